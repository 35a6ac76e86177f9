"""Whether a head is bent so far, down or back, that its expression cannot be told.

A head over a phone shows lowered lids and a short lower face, which reads as sadness.
"""

from collections.abc import Sequence
from typing import Final

Point = tuple[float, float]

# Where the tip of the nose lies between the eyes (0) and the mouth (1). Of 1,461 faces in street
# and home photographs that two detectors see, 1 in 50 lies outside; of those whose nose is lower,
# the classifier called a third sad, of the others 1 in 22.
_HIGHEST_NOSE, _LOWEST_NOSE = 0.32, 0.72
_LEAST_PX: Final = 1.0


def bent(landmarks: Sequence[Point] | None) -> bool:
    """Whether the five landmarks of a face (eyes, nose tip, corners of the mouth, in pixels) are
    those of a head bent down or thrown back; without landmarks it cannot be told: False."""
    if landmarks is None:
        return False
    right_eye, left_eye, nose, right_mouth, left_mouth = (complex(*point) for point in landmarks)
    eyes, mouth = (right_eye + left_eye) / 2, (right_mouth + left_mouth) / 2
    down = mouth - eyes
    if abs(down) < _LEAST_PX:
        return True
    along = ((nose - eyes) * down.conjugate()).real / abs(down) ** 2
    return not _HIGHEST_NOSE <= along <= _LOWEST_NOSE
