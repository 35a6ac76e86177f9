"""Cutting faces out of a picture, exactly as a classifier's contract describes the crop."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from roommood.inference_worker.models.contract import CropContract, Placement
from roommood.inference_worker.vision.faces import Detection
from roommood.inference_worker.vision.opencv import Picture, cv2, gray, resize

_MEASURES: Final = {
    "max": lambda face: max(face.width, face.height),
    "sqrt": lambda face: face.side,
    "width": lambda face: face.width,
}


@dataclass(frozen=True, slots=True)
class Square:
    """A square in the picture, in pixels; it may reach beyond the picture's edge."""

    left: float
    top: float
    side: float


def square_of(detection: Detection, crop: CropContract, placement: Placement) -> Square:
    """Where the crop of a detection lies."""
    side = placement.side * _MEASURES[crop.of](detection)
    left = detection.x + detection.width / 2 + (placement.dx - 0.5) * side
    top = detection.y + detection.height / 2 + (placement.dy - 0.5) * side
    return Square(left, top, side)


def cut(picture: Picture, square: Square, width: int, height: int, *, as_gray: bool) -> Picture:
    """The square as `width` x `height` pixels, (H, W) gray or (H, W, 3) BGR: see `cut_into`."""
    crop = np.empty((height, width) if as_gray else (height, width, 3), np.uint8)
    cut_into(crop, picture, square)
    return crop


def cut_into(crop: Picture, picture: Picture, square: Square) -> None:
    """Fills `crop`, (H, W) gray or (H, W, 3) BGR, with the square.

    Placed to a fraction of a pixel, since half a pixel matters on a small face. Large faces are
    averaged down first, so that no pixel is skipped. Beyond the edge the last pixel repeats.
    """
    height, width = crop.shape[:2]
    x0, x1 = _span(square.left, square.side, picture.shape[1])
    y0, y1 = _span(square.top, square.side, picture.shape[0])
    patch = picture[y0:y1, x0:x1]
    small = _shrunk(gray(patch) if crop.ndim == 2 else patch, square.side, min(width, height))
    scale_x, scale_y = small.shape[1] / (x1 - x0), small.shape[0] / (y1 - y0)
    step_x, step_y = square.side / width * scale_x, square.side / height * scale_y
    # Maps the centre of an output pixel to where it is sampled; centres lie at halves.
    where = np.array(
        [
            [step_x, 0, (square.left - x0) * scale_x + step_x / 2 - 0.5],
            [0, step_y, (square.top - y0) * scale_y + step_y / 2 - 0.5],
        ]
    )
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(small, where, (width, height), crop, how, cv2.BORDER_REPLICATE)


def _span(start: float, side: float, limit: int) -> tuple[int, int]:
    """The pixels needed for a crop along one axis, with one to spare: at least one."""
    first = min(max(math.floor(start) - 1, 0), limit - 1)
    last = min(max(math.ceil(start + side) + 1, first + 1), limit)
    return first, last


def _shrunk(patch: Picture, side: float, target: int) -> Picture:
    """Down to twice the target, where bilinear sampling reads every pixel."""
    scale = 2 * target / side
    if scale >= 1:
        return patch
    height, width = patch.shape[:2]
    return resize(patch, max(1, round(width * scale)), max(1, round(height * scale)))
