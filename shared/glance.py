"""A small luma picture of a scene: cheap enough to ask at each look if anything has changed."""

from typing import Final

import numpy as np

from roommood.shared.opencv import Pixels, cv2

# Pixels of the longer side: the detector's input of 640 px has 8 of its own in each, so that the
# smallest face which it finds covers four.
_SIDE_PX: Final = 80
_EIGHTH: Final = 8
# Grey levels by which a pixel differs that shows something else. Noise of 12 grey levels in a
# camera's pixels is 1.5 in these.
_OTHER: Final = 6
# Such pixels that make a change: noise and compression make one now and then.
_FEWEST: Final = 3


def glance_of(picture: Pixels) -> Pixels:
    """The (H, W) luma of a picture, (H, W, 3) BGR or (H, W) gray: an eighth of its size, but at
    most 80 pixels a side."""
    height, width = picture.shape[:2]
    small = _at_most(picture, -(-height // _EIGHTH), -(-width // _EIGHTH))
    if small.ndim == 3:
        small = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
    return small


def glance_of_eighth(luma: Pixels) -> Pixels:
    """The same of a picture whose luma at an eighth of its size is at hand."""
    return _at_most(luma, *luma.shape)


def _at_most(picture: Pixels, height: int, width: int) -> Pixels:
    scale = min(1.0, _SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if picture.shape[1::-1] == size:
        return picture
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)


def unchanged(before: Pixels, now: Pixels) -> bool:
    """Whether two glances show the same, but for light that became a little brighter or darker."""
    if before.shape != now.shape:
        return False
    difference = now.astype(np.int16) - before
    difference -= np.int16(difference.sum() / difference.size)
    return int(np.count_nonzero(np.abs(difference) > _OTHER)) < _FEWEST
