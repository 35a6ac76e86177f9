"""Pictures for tests: real photographs out of installed packages, and plain ones."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from roommood.inference_worker.vision.opencv import Picture, cv2

# Where Haar, YuNet and the eye agree that the face is: x, y, width, height.
ASTRONAUT_FACE = (177, 66, 93, 97)
GRACE_HOPPER_FACE = (160, 115, 200, 220)


def astronaut() -> Picture:
    """512x512 BGR."""
    return _read("skimage", "data/astronaut.png")


def grace_hopper() -> Picture:
    """512 wide, 600 high, BGR."""
    return _read("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


def plain(width: int, height: int, value: int = 0) -> Picture:
    return np.full((height, width, 3), value, np.uint8)


def jpeg(picture: Picture, *options: int) -> bytes:
    """The picture as a JPEG of quality 95; `options` are OpenCV's flags and values."""
    return cv2.imencode(".jpg", picture, list(options))[1].tobytes()


def overlap(box: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    width = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    height = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    common = max(0.0, width) * max(0.0, height)
    return common / (box[2] * box[3] + other[2] * other[3] - common)


@cache
def _read(package: str, path: str) -> Picture:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    picture = cv2.imread(str(Path(spec.origin).parent / path), cv2.IMREAD_COLOR)
    assert picture is not None
    picture.setflags(write=False)
    return picture  # type: ignore[return-value]
