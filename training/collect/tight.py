"""Whether pictures are face crops, as training takes them, or whole photographs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from roommood.inference_worker.evaluation.pictures import read_picture
from roommood.inference_worker.models.files import SHIPPED_FACE
from roommood.inference_worker.vision.detectors import open_detector
from roommood.inference_worker.vision.faces import FaceDetector
from roommood.shared.errors import ConfigError, PictureError
from roommood.shared.opencv import cv2

_LOOKED_AT: Final = 40
# Of the shorter side, the median: 0.68 as `collect` cuts, 0.9 to 1.1 of three sets of face
# crops, 0.12 of photographs of people.
_LEAST_SHARE: Final = 0.45
# Below this a detector hardly sees the whole face that a crop is.
_LEAST_SIDE_PX: Final = 96
_LEAST_FACES: Final = 5


def check_tight(folder: Path, files: Sequence[Path]) -> None:
    """Raises ConfigError where the face of most pictures fills less than half of the picture:
    training takes a picture's middle square for the face. Looks at forty of them at most."""
    some = files[:: max(1, len(files) // _LOOKED_AT)]
    shares = list(_shares(some, open_detector(str(SHIPPED_FACE))))
    if len(shares) >= _LEAST_FACES and median(shares) < _LEAST_SHARE:
        raise ConfigError(
            f"{folder} holds whole photographs: of {len(shares)} looked at, half show a face that "
            f"spans less than {median(shares):.0%} of the picture, and training takes the whole "
            "picture for a face. Let the faces be cut out first, for each expression: "
            "roommood-train collect NEW --source FOLDER --label EXPRESSION"
        )


def _shares(files: Iterable[Path], detector: FaceDetector) -> Iterable[float]:
    for path in files:
        try:
            picture = read_picture(path, cv2.IMREAD_COLOR)
        except PictureError:  # told by whoever reads it
            continue
        if min(picture.shape[:2]) < _LEAST_SIDE_PX:
            continue
        faces = detector.detect(picture)
        if faces:
            yield max(face.side for face in faces) / min(picture.shape[:2])
