"""How much detail a face holds: a large face out of focus, or moving, tells no more than one of a
few pixels."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.vision.opencv import Picture

Floats = NDArray[np.float32]

# Detail that a face of 8 pixels lacks and one of 16 has: brows, eyelids, the corners of a mouth.
_COARSE_PX, _FINE_PX = 8, 16
# The least that a face must have of it along each axis: 99 of 100 sharp faces of 16 pixels do
# (`roommood-train measure-blur`).
_LEAST_ACROSS, _LEAST_DOWN = 0.0110, 0.0080
_EVEN: Final = 1.0


def blurred(crops: Picture) -> NDArray[np.bool_]:
    """Which crops (N, H, W) or (N, H, W, 3) hold less detail than a sharp face of 16 pixels.

    In crops of fewer pixels than that it cannot be told: none is.
    """
    if min(crops.shape[1:3]) < _FINE_PX:
        return np.zeros(len(crops), np.bool_)
    across, down = detail(crops)
    return (across < _LEAST_ACROSS) | (down < _LEAST_DOWN)


def detail(crops: Picture) -> tuple[Floats, Floats]:
    """The share of a crop's contrast that lies in detail between 8 and 16 pixels a side.

    For crops (N, H, W) or (N, H, W, 3): two arrays (N,) in 0..1, along rows and along columns,
    since a head that moves is smeared along one of them. Any brightness and contrast give the
    same, and a crop without contrast gives 0.
    """
    gray = crops.astype(np.float32) if crops.ndim == 3 else crops.mean(3, dtype=np.float32)
    gray -= gray.mean((1, 2), keepdims=True)
    contrast = np.maximum(np.square(gray).mean((1, 2)), _EVEN)
    across = np.square(gray @ _band(gray.shape[2]).T).mean((1, 2)) / contrast
    down = np.square(_band(gray.shape[1]) @ gray).mean((1, 2)) / contrast
    return across, down


@cache
def _band(size: int) -> Floats:
    """(size, size): maps a row of pixels to its detail between 8 and 16 pixels."""
    return _limited(size, _FINE_PX) - _limited(size, _COARSE_PX)


def _limited(size: int, pixels: int) -> Floats:
    """(size, size): averages a row to so many pixels and draws lines between them again."""
    edges = np.arange(pixels + 1) * size / pixels
    left, right = np.arange(size)[None], np.arange(1, size + 1)[None]
    shared = np.minimum(edges[1:, None], right) - np.maximum(edges[:-1, None], left)
    mean = np.clip(shared, 0, None) * pixels / size
    middles = (edges[:-1] + edges[1:]) / 2
    lines = np.stack(
        [np.interp(np.arange(size) + 0.5, middles, row) for row in np.eye(pixels)], axis=1
    )
    limited: Floats = (lines @ mean).astype(np.float32)
    return limited
