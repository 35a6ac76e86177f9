"""How much of what a core can compute the shipped models use: GFLOP/s beside those of a GEMM.

    python -m benchmarks.model_speed [--quick]

By turns in one run, so that what else the machine does weighs on all alike.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.gemm import operations, product, shortest_ms
from benchmarks.rows import Options, Row, at_least, run_alone, stated
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION, SHIPPED_FACE
from roommood.inference_worker.vision.onnx_model import OnnxModel


def model_speed(options: Options) -> Iterator[Row]:
    rounds = int(options.length(150, 40))
    yield from _speed("detector, 640x480", SHIPPED_FACE, (1, 1, 480, 640), "fp32", 0.75, rounds)
    for faces in (3, 16):
        name, shape = f"classifier, {faces} faces", (faces, 1, 48, 48)
        yield from _speed(name, SHIPPED_EXPRESSION, shape, "int8", 0.65, rounds)


def _speed(
    name: str, path: Path, shape: tuple[int, ...], kind: str, bar: float, rounds: int
) -> Iterator[Row]:
    model = OnnxModel(path)
    pixels = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    tensor = pixels if model.takes_bytes else pixels.astype(np.float32)
    outputs = list(model.output_shapes)[:1]
    bounds = {name: np.array([0.4], np.float32) for name in model.more_inputs}
    multiply, work = product(kind)
    model_ms = gemm_ms = float("inf")
    for _ in range(3):
        gemm_ms = min(gemm_ms, shortest_ms(multiply, rounds))
        model_ms = min(model_ms, shortest_ms(lambda: model(tensor, outputs, bounds), rounds))
    own, best = operations(path, shape) * 1000 / model_ms, work * 1000 / gemm_ms
    yield stated(f"{name}: the network and what its file does around it", model_ms, "ms CPU")
    beside = {f"GEMM in {kind}, one thread": best}
    yield stated(f"{name}: the same in {kind}", own, "GFLOP/s", beside)
    yield at_least(f"{name}: part of the GEMM's", own / best, "x", bar)


if __name__ == "__main__":
    run_alone(model_speed, __doc__)
