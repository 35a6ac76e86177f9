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
# The least that a face must have of it along each axis: 99 of 100 sharp faces of 16 pixels do.
_LEAST_ACROSS, _LEAST_DOWN = 0.0110, 0.0080
# With less than this, as a face of 48 pixels has that moved by 7, every tenth answer of which the
# classifier is sure would be wrong: half its doubt is asked for.
_USUAL_ACROSS, _USUAL_DOWN = 0.025, 0.018
_NEVER: Final = 2.0
_EVEN: Final = 1.0


def sure_enough(answers: Floats, crops: Picture, threshold: float) -> NDArray[np.bool_]:
    """Which of the crops show an expression clearly, by their probabilities (N, 8) and their
    detail: at least `threshold`, halfway from there to 1 in a dull face, none in a blurred one."""
    if min(crops.shape[1:3]) < _FINE_PX:
        return np.asarray(answers.max(1) >= threshold, np.bool_)
    across, down = detail(crops)
    dull = (across < _USUAL_ACROSS) | (down < _USUAL_DOWN)
    faint = (across < _LEAST_ACROSS) | (down < _LEAST_DOWN)
    due = np.where(faint, _NEVER, np.where(dull, (1 + threshold) / 2, threshold))
    return np.asarray(answers.max(1) >= due, np.bool_)


def detail(crops: Picture) -> tuple[Floats, Floats]:
    """The share of a crop's contrast that lies in detail between 8 and 16 pixels a side.

    For crops (N, H, W) or (N, H, W, 3): two arrays (N,) in 0..1, along rows and along columns,
    since a head that moves is smeared along one of them. Any brightness and contrast give the
    same, and a crop without contrast gives 0.
    """
    gray = crops.astype(np.float32) if crops.ndim == 3 else crops.mean(3, dtype=np.float32)
    gray -= gray.mean((1, 2), keepdims=True)
    contrast: Floats = np.maximum(_power(gray), np.float32(_EVEN))
    across: Floats = _power(gray @ _band(gray.shape[2]).T) / contrast
    down: Floats = _power(_band(gray.shape[1]) @ gray) / contrast
    return across, down


def _power(pictures: Floats) -> Floats:
    """(N,): the mean of each picture's squares, of which no picture is made."""
    flat = pictures.reshape(len(pictures), -1)
    mean: Floats = np.einsum("np,np->n", flat, flat) / np.float32(flat.shape[1])
    return mean


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
