"""How much detail a face holds: a large face out of focus, or moving, tells no more than one of a
few pixels."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.vision.opencv import Picture

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

# Detail that a face of 8 pixels lacks and one of 16 has: brows, eyelids, the corners of a mouth.
_COARSE_PX, _FINE_PX = 8, 16
# The least that a face must have of it along each axis: 99 of 100 sharp faces of 16 pixels do.
_LEAST_ACROSS, _LEAST_DOWN = 0.0110, 0.0080
# With less than this, as a face of 48 pixels has that moved by 7, every tenth answer of which the
# classifier is sure would be wrong: half its doubt is asked for.
_USUAL_ACROSS, _USUAL_DOWN = 0.025, 0.018
_NEVER: Final = 2.0
_EVEN: Final = np.float32(1.0)
_NO_SCALE: Final = 1e-9


def least_sure(crops: Picture, threshold: float) -> Doubles:
    """(N,): the probability from which an answer to each crop counts as sure, by its detail:
    `threshold`, halfway from there to 1 in a dull face, and more than 1 in a blurred one."""
    if min(crops.shape[1:3]) < _FINE_PX:
        return np.full(len(crops), threshold)
    along = zip(*(each.tolist() for each in detail(crops)), strict=True)
    return np.array([_due(across, down, threshold) for across, down in along])


def _due(across: float, down: float, threshold: float) -> float:
    if across < _LEAST_ACROSS or down < _LEAST_DOWN:
        return _NEVER
    if across < _USUAL_ACROSS or down < _USUAL_DOWN:
        return (1 + threshold) / 2
    return threshold


def detail(crops: Picture) -> tuple[Floats, Floats]:
    """The share of a crop's contrast that lies in detail between 8 and 16 pixels a side.

    For crops (N, H, W) or (N, H, W, 3): two arrays (N,) in 0..1, along rows and along columns,
    since a head that moves is smeared along one of them. Any brightness and contrast give the
    same, and a crop without contrast gives 0.
    """
    gray = crops.astype(np.float32) if crops.ndim == 3 else crops.mean(3, dtype=np.float32)
    count, height, width = gray.shape
    pixels = np.float32(height * width)
    total = gray.reshape(count, -1).sum(1)
    contrast: Floats = np.maximum(_power(gray) - total * total / pixels, _EVEN * pixels)
    rows: Floats = gray.reshape(-1, width) @ _band(width).T
    across: Floats = _power(rows.reshape(count, -1)) / contrast
    down: Floats = _power(_band(height) @ gray) / contrast
    return across, down


def _power(pictures: Floats) -> Floats:
    """(N,): the sum of each picture's squares."""
    flat = pictures.reshape(len(pictures), -1)
    power: Floats = np.vecdot(flat, flat)
    return power


@cache
def _band(size: int) -> Floats:
    """(R, size), R being its rank: of a row of pixels it gives as much power as the row's detail
    between 8 and 16 pixels has, in fewer numbers."""
    band = _limited(size, _FINE_PX) - _limited(size, _COARSE_PX)
    _, scales, axes = np.linalg.svd(band)
    rank = int((scales > _NO_SCALE * scales[0]).sum())
    short: Floats = (scales[:rank, None] * axes[:rank]).astype(np.float32)
    return short


def _limited(size: int, pixels: int) -> Doubles:
    """(size, size): averages a row to so many pixels and draws lines between them again."""
    edges = np.arange(pixels + 1) * size / pixels
    left, right = np.arange(size)[None], np.arange(1, size + 1)[None]
    shared = np.minimum(edges[1:, None], right) - np.maximum(edges[:-1, None], left)
    mean = np.clip(shared, 0, None) * pixels / size
    middles = (edges[:-1] + edges[1:]) / 2
    lines = np.stack(
        [np.interp(np.arange(size) + 0.5, middles, row) for row in np.eye(pixels)], axis=1
    )
    limited: Doubles = lines @ mean
    return limited
