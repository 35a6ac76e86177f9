"""Weights and activations of a network in eight bits, by static quantisation (Jacob et al. 2018,
arXiv 1712.05877): a third of the time on processors that multiply bytes, and half the file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

BATCH = 20
Floats = NDArray[np.float32]


def in_eight_bits(graph: ModelProto, faces: Floats) -> ModelProto:
    """The graph with its arithmetic in eight bits; the ranges are those that `faces` (N, C, H, W)
    give.

    Weights get one scale a channel, and seven bits: with eight, processors without VNNI overflow
    in the middle of a sum, and would answer otherwise than the others. What stands before the
    first convolution stays as it is: of a dark face a byte would leave little.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, done = (Path(folder) / name for name in ("a.onnx", "b.onnx", "c.onnx"))
        onnx.save(graph, plain)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(done),
            _Faces(graph.graph.input[0].name, faces),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_before_convolutions(onnx.load(prepared)),
        )
        return onnx.load(done)


def _before_convolutions(graph: ModelProto) -> list[str]:
    names = [node.name for node in graph.graph.node]
    kinds = [node.op_type for node in graph.graph.node]
    return names[: kinds.index("Conv")]


class _Faces:
    """Batches of pictures as onnxruntime's calibration wants them."""

    def __init__(self, name: str, faces: Floats) -> None:
        parts = np.array_split(faces, max(1, len(faces) // BATCH))
        self._batches = iter([{name: part} for part in parts])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)

    def __iter__(self) -> _Faces:
        return self

    def __next__(self) -> dict[str, Any]:
        return next(self._batches)
