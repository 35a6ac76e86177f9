"""What all evaluations share: which one a model needs, timing, rounding."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final, Literal, SupportsFloat

from roommood.inference_worker.vision.onnx_model import OnnxModel
from roommood.shared.errors import ConfigError

Task = Literal["face", "expression"]

HAAR: Final = "haar"
# YuNet's first output, and what a detector that decodes by itself gives.
_DETECTOR_OUTPUTS: Final = frozenset({"cls_8", "faces"})
_WARM_UPS: Final = 5
_DIGITS: Final = 5


def is_haar(spec: str) -> bool:
    return spec.partition(":")[0] == HAAR


def task_of(spec: str) -> Task:
    """What a model is for, told by its outputs. Raises ModelError for a file that is none."""
    if is_haar(spec):
        return "face"
    outputs = OnnxModel(Path(spec)).output_shapes.keys()
    return "face" if outputs & _DETECTOR_OUTPUTS else "expression"


def milliseconds(call: Callable[[], object], runs: int) -> float:
    """The median processor time of a call, after some that do not count.

    Processor time, since other programs on a busy machine would stretch wall time; with one
    thread and an idle machine both are the same.
    """
    for _ in range(_WARM_UPS):
        call()
    times = []
    for _ in range(runs):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return rounded(median(times) * 1000)


def rounded(value: SupportsFloat) -> float:
    """To the digits that a measurement on a few thousand faces bears, and two more."""
    return round(float(value), _DIGITS)


def check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit is {limit}: use 1 or more")
