"""What a classifier of a stranger is tried on before it may count: mistakes that would otherwise be
plausible figures.

The pictures show no face, so nothing is said about how good it is.
"""

from pathlib import Path
from typing import Final

import numpy as np

from roommood.inference_worker.vision.onnx_model import Tensor
from roommood.inference_worker.vision.opencv import Picture, resize
from roommood.shared.errors import ModelError

# Of probabilities: a network that is quantised anew for each batch rounds otherwise in another.
_MOST_APART: Final = 0.1
_OF_ONE, _OF_HUNDRED = 1e-3, 0.1


def trial_crops(height: int, width: int) -> Picture:
    """(4, H, W) gray, none of them even: noise, two slopes, and blots."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    across = np.broadcast_to(np.linspace(20, 235, width), (height, width))
    down = np.broadcast_to(np.linspace(250, 90, height)[:, None], (height, width))
    blots = resize(np.ascontiguousarray(noise[:6, :6]), width, height)
    return np.stack([noise, across.astype(np.uint8), down.astype(np.uint8), blots])


def check_alone(path: Path, alone: Tensor, together: Tensor) -> None:
    """Raises ModelError where answers (N, 8) to the same pictures differ between two batches."""
    apart = float(np.abs(alone - together[: len(alone)]).max())
    if apart > _MOST_APART:
        raise ModelError(
            f"{path}: its answer to a picture changes by {apart:.2f} with those beside it, or from "
            "one time to the next: export it for inference, not for training (model.eval())"
        )


def check_varied(path: Path, scores: Tensor) -> None:
    """Raises ModelError where outputs (N, labels) for N pictures are all the same."""
    if (scores == scores[0]).all():  # to the last bit: probabilities may be all but 1 and 0
        raise ModelError(
            f"{path}: it gives the same answer whatever the picture: its weights are missing, or "
            "mean and std of its contract are wrong: correct the contract or export it again"
        )


def check_logits(path: Path, scores: Tensor) -> None:
    """Raises ModelError where outputs (N, labels) for N pictures are no logits of a network."""
    if scores.min() < -_OF_ONE:
        return
    sums = scores.sum(1)
    if np.abs(sums - 1).max() < _OF_ONE:
        raise ModelError(f"{path}: its outputs add up to 1: set output to 'probabilities'")
    if np.abs(sums - 100).max() < _OF_HUNDRED:
        raise ModelError(f"{path}: its outputs are percent: {_DIVIDE}")
    if scores.max() <= 1:
        raise ModelError(f"{path}: its outputs all lie between 0 and 1: {_SIGMOIDS}")


def check_probabilities(path: Path, scores: Tensor) -> None:
    """Raises ModelError where outputs (N, labels) are no probabilities that add up to 1."""
    sums = scores.sum(1)
    if scores.min() >= -0.01 and np.abs(sums - 1).max() <= 0.05:
        return
    if scores.min() >= -0.01 and np.abs(sums - 100).max() <= 5:
        todo = _DIVIDE
    elif scores.min() >= 0 and scores.max() <= 1 and scores.any():
        todo = _SIGMOIDS
    else:
        todo = "set output to 'logits'"
    raise ModelError(
        f"{path}: its outputs are no probabilities ({scores.min():.3g} to {scores.max():.3g}, "
        f"which add up to {sums[0]:.3g}): {todo}"
    )


_DIVIDE: Final = "let the model divide them by 100, and set output to 'probabilities'"
_SIGMOIDS: Final = (
    "those of sigmoids are neither logits nor probabilities that add up to 1: export the layer "
    "before them, and set output to 'logits'"
)
