"""OpenCV's cascade of Haar features (Viola & Jones 2001), as many first projects use it.

Slow, and blind to turned, tilted and masked faces; here for comparison with such projects.
"""

import threading
from pathlib import Path
from typing import Any, Final

from roommood.inference_worker.vision.faces import BoxStyle, Detection
from roommood.inference_worker.vision.opencv import Picture, cv2, gray, resize
from roommood.shared.errors import ConfigError, ModelError
from roommood.shared.opencv import file_name

_CASCADE: Final = "haarcascade_frontalface_default.xml"


class HaarDetector:
    """Frontal faces; `scale` is the step between the sizes looked for, `neighbours` how many
    raw hits make a face. Its score is 1 - neighbours / (2 hits): one half for a face just found.

    A CascadeClassifier keeps state while it detects, so each thread gets its own.
    """

    box_style: BoxStyle = "haar"
    detector_id = "haar"
    provider = "opencv"
    reads_gray = True

    def __init__(self, scale: float = 1.3, neighbours: float = 5, *, input_size: int = 640) -> None:
        """Raises ConfigError for a setting out of range, ModelError without a cascade."""
        if not 1.01 <= scale <= 2 or not (1 <= neighbours <= 100 and neighbours % 1 == 0):
            raise ConfigError(
                f"haar's scale is {scale:g} and neighbours {neighbours:g}: "
                "use 1.01 to 2, and a whole number from 1 to 100"
            )
        self._scale = scale
        self._neighbours = int(neighbours)
        self._input_size = input_size
        self._local = threading.local()
        self._cascade()

    def detect(self, picture: Picture) -> list[Detection]:
        """See `FaceDetector.detect`."""
        height, width = picture.shape[:2]
        shrink = min(1.0, self._input_size / max(width, height))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        small = resize(gray(picture), *size)
        try:
            boxes, hits = self._cascade().detectMultiScale2(
                small, scaleFactor=self._scale, minNeighbors=self._neighbours
            )
        except cv2.error as error:
            raise ModelError(f"{_CASCADE}: the cascade failed: {error}") from error
        faces = zip(boxes.tolist(), hits.tolist(), strict=True) if len(boxes) else ()
        return [self._detection(box, count, shrink) for box, count in faces]

    def self_test(self) -> None:
        """Nothing is recorded for OpenCV's own cascade."""

    def _detection(self, box: list[int], hits: int, shrink: float) -> Detection:
        x, y, width, height = (side / shrink for side in box)
        score = 1 - self._neighbours / (2 * max(self._neighbours, hits))
        return Detection(x, y, width, height, score)

    def _cascade(self) -> Any:
        if not hasattr(self._local, "cascade"):
            self._local.cascade = _load_cascade()
        return self._local.cascade


def _load_cascade() -> Any:
    if not hasattr(cv2, "CascadeClassifier"):
        raise ModelError(
            f"OpenCV {cv2.__version__} has no CascadeClassifier: install "
            "'opencv-python-headless>=4.12,<5', or choose another detector"
        )
    path = Path(cv2.__file__).parent / "data" / _CASCADE
    cascade = cv2.CascadeClassifier(file_name(path))
    if cascade.empty():
        raise ModelError(f"{path}: no usable cascade: install opencv-python-headless again")
    return cascade
