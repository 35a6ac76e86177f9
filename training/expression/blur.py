"""What blur does to a classifier that says how sure it is, and what the worker's look at the
detail of a face makes of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.vision.emotions import ExpressionClassifier
from roommood.inference_worker.vision.sharpness import detail
from roommood.training.expression.ferplus import SIDE_PX, Pictures

BATCH = 64
QUANTILE = 0.01


@dataclass(frozen=True)
class Blurred:
    """One kind of blur, in shares of all faces (0..1): right answers; faces of which the
    classifier alone is sure, and how many of these are right; the same with the look at detail;
    and the detail, across and down, that 99 of 100 faces have."""

    accuracy: float
    sure: float
    right_of_sure: float
    sure_and_sharp: float
    right_of_sharp: float
    least_detail: tuple[float, float]


def measure_blur(
    classifier: ExpressionClassifier, pictures: Pictures, truth: NDArray[np.int64]
) -> Iterator[tuple[str, Blurred]]:
    """Faces (N, 48, 48) with labels (N,), in one kind of blur after the other, by its name."""
    for name, spoil in _kinds().items():
        yield name, _judge(classifier, np.stack([spoil(picture) for picture in pictures]), truth)


def _judge(
    classifier: ExpressionClassifier, pictures: Pictures, truth: NDArray[np.int64]
) -> Blurred:
    answers = np.concatenate(
        [
            classifier.answers(list(pictures[start : start + BATCH]))
            for start in range(0, len(pictures), BATCH)
        ]
    )
    right = answers.argmax(1) == truth
    sure = answers.max(1) >= classifier.contract.sure_threshold
    sharp = classifier.sure_enough(answers, list(pictures))
    across, down = (float(np.quantile(shares, QUANTILE)) for shares in detail(pictures))
    return Blurred(
        float(right.mean()),
        float(sure.mean()),
        _mean(right[sure]),
        float(sharp.mean()),
        _mean(right[sharp]),
        (across, down),
    )


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _kinds() -> dict[str, Callable[[Pictures], Pictures]]:
    kinds: dict[str, Callable[[Pictures], Pictures]] = {"as they are": lambda picture: picture}
    for side in (24, 16, 12, 8):
        kinds[f"{side} px"] = partial(_coarse, side=side)
    for sigma in (1, 2, 3, 4, 6):
        kinds[f"out of focus, sigma {sigma} px"] = partial(_unfocused, sigma=sigma)
    for name, shape in (("across", (1, -1)), ("down", (-1, 1))):
        for length in (5, 9, 13, 17):
            kernel = np.full(length, 1 / length, np.float32).reshape(shape)
            kinds[f"moved {name} by {length} px"] = partial(_smeared, kernel=kernel)
    return kinds


def _unfocused(picture: Pictures, sigma: float) -> Pictures:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def _coarse(picture: Pictures, side: int) -> Pictures:
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    whole = cv2.resize(small, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.uint8)


def _smeared(picture: Pictures, kernel: NDArray[np.float32]) -> Pictures:
    return np.asarray(cv2.filter2D(picture, -1, kernel), np.uint8)
