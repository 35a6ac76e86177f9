"""Measuring how to cut a face out of a frame so that it looks like the training faces.

Training faces are pasted, enlarged, on a larger canvas; a detector looks; the
median relation of its boxes to the pasted squares is the crop recipe.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from roommood.training.expression.ferplus import SIDE_PX, Pictures

Box = tuple[float, float, float, float]
Detect = Callable[[Pictures], Box | None]
MEASURES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "max": lambda sides: sides.max(axis=1),
    "sqrt": lambda sides: np.sqrt(sides.prod(axis=1)),
    "width": lambda sides: sides[:, 0],
}


@dataclass(frozen=True)
class Recipe:
    """Crop side = `side` * measure `of` the box; crop centre = box centre + (dx, dy) * crop side.

    `spread` is the median deviation of the side from the median, as a part of it; `found` the
    part of the faces that the detector saw.
    """

    of: str
    side: float
    dx: float
    dy: float
    spread: float
    found: float


def measure_recipes(detect: Detect, pictures: Pictures, scale: int = 3) -> list[Recipe]:
    """One recipe for each measure of a box, from faces (N, 48, 48) enlarged `scale` times."""
    boxes = [detect(_on_canvas(picture, scale)) for picture in pictures]
    side = SIDE_PX * scale
    faces = np.array([box for box in boxes if box is not None and min(box[2:]) > 0.4 * side])
    centres = faces[:, :2] + faces[:, 2:] / 2
    offsets = (2 * side / 2 - centres) / side
    return [_recipe(of, faces[:, 2:] / side, offsets, len(pictures)) for of in MEASURES]


def haar() -> Detect:
    """OpenCV's frontal-face cascade."""
    cascade = cv2.CascadeClassifier(
        str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml")
    )

    def detect(picture: Pictures) -> Box | None:
        boxes = cascade.detectMultiScale(picture, 1.05, 4, minSize=(60, 60))
        if not len(boxes):
            return None
        faces = np.asarray(boxes, dtype=np.float64)
        left, top, width, height = faces[faces[:, 2].argmax()].tolist()
        return left, top, width, height

    return detect


def tight(model: Path) -> Detect:
    """A detector whose boxes lie close around the face: YuNet, or ours."""
    from roommood.training.face.teacher import Detector

    detector = Detector.open(model)

    def detect(picture: Pictures) -> Box | None:
        shown = np.repeat(picture[:, :, None], 3, 2) if detector.channels == 3 else picture
        faces = detector.detect(shown)
        if not len(faces):
            return None
        left, top, right, bottom = map(float, faces.boxes[0])
        return left, top, right - left, bottom - top

    return detect


def _recipe(
    of: str, sides: NDArray[np.float64], offsets: NDArray[np.float64], shown: int
) -> Recipe:
    factors = 1 / MEASURES[of](sides)
    side = float(np.median(factors))
    dx, dy = map(float, np.median(offsets, axis=0))
    spread = float(np.median(np.abs(factors / side - 1)))
    return Recipe(of, side, dx, dy, spread, len(factors) / shown)


def _on_canvas(picture: Pictures, scale: int) -> Pictures:
    side = SIDE_PX * scale
    edge = side // 2
    face = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    canvas = cv2.copyMakeBorder(face, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 6.0)
    canvas[edge:-edge, edge:-edge] = face
    return canvas.astype(np.uint8, copy=False)
