"""Tiny ONNX models whose outputs can be told in advance, so that every branch can be checked."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from roommood.shared.protocol.emotions import EXPRESSIONS

FLOAT = TensorProto.FLOAT
STRIDES = (8, 16, 32)


def expression_metadata(side: int = 8, **changes: Any) -> dict[str, str]:
    """A whole contract; `changes` replace values (structured ones as JSON), None removes one."""
    tensor = {"width": side, "height": side, "channels": 1, "colour": "gray", "layout": "NCHW"}
    contract: dict[str, Any] = {
        "contract": "1",
        "task": "expression",
        "model_id": "tiny-1",
        "labels": list(EXPRESSIONS),
        "input": tensor | {"mean": [0.0], "std": [255.0]},
        "crop": {"of": "max", "haar": {"side": 1.0}, "tight": {"side": 1.0, "dx": 0, "dy": 0}},
        "output": "logits",
    }
    contract |= changes
    return {
        f"roommood.{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in contract.items()
        if value is not None
    }


def expression_model(
    path: Path,
    metadata: Mapping[str, str] | None = None,
    *,
    shape: Sequence[int | str] = ("n", 1, 8, 8),
    brightness: Sequence[float] = (0,) * 8,
    bias: Sequence[float] = (0,) * 8,
) -> Path:
    """Logits (n, labels) = mean of the input tensor * brightness + bias."""
    pixels = int(np.prod([side for side in shape[1:] if isinstance(side, int)]))
    weights = np.tile(np.asarray(brightness, np.float32) / pixels, (pixels, 1))
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["faces"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"]),
        ],
        "expression",
        [helper.make_tensor_value_info("faces", FLOAT, shape)],
        [helper.make_tensor_value_info("logits", FLOAT, [shape[0], len(bias)])],
        [_constant("weights", weights), _constant("bias", bias)],
    )
    return _save(graph, path, expression_metadata() if metadata is None else metadata)


def face_model(
    path: Path,
    metadata: Mapping[str, str] | None = None,
    *,
    shape: Sequence[int | str] = (1, 3, "height", "width"),
    gains: Sequence[float] = (1 / 255, 0, 0),
    obj: float | None = 1.0,
    bbox: Sequence[float] = (0.5, 0.5, 0, 0),
    kps: Sequence[float] | None = (0.5,) * 10,
    nhwc: bool = False,
) -> Path:
    """A YuNet whose cls is a cell's brightness times the stride's gain; the rest is constant."""
    channel_axis = 3 if nhwc else 1
    nodes = [helper.make_node("ReduceMean", ["input"], ["mean"], axes=[channel_axis], keepdims=0)]
    nodes += [helper.make_node("Unsqueeze", ["mean", "axis"], ["gray"])]
    constants = [
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
        numpy_helper.from_array(np.array([1, -1, 1], np.int64), "cells"),
        _constant("zero", 0.0),
    ]
    outputs = []
    fixed = {"obj": obj, "bbox": bbox, "kps": kps}
    for stride, gain in zip(STRIDES, gains, strict=True):
        tile: dict[str, Any] = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes += [
            helper.make_node("AveragePool", ["gray"], [f"pool_{stride}"], **tile),
            helper.make_node("Reshape", [f"pool_{stride}", "cells"], [f"cell_{stride}"]),
            helper.make_node("Mul", [f"cell_{stride}", f"gain_{stride}"], [f"cls_{stride}"]),
            helper.make_node("Mul", [f"cell_{stride}", "zero"], [f"none_{stride}"]),
        ]
        constants.append(_constant(f"gain_{stride}", gain))
        outputs.append(helper.make_tensor_value_info(f"cls_{stride}", FLOAT, [1, None, 1]))
        for kind, values in fixed.items():
            if values is None:
                continue
            row = np.asarray(values, np.float32).reshape(1, 1, -1)
            name = f"{kind}_{stride}"
            constants.append(numpy_helper.from_array(row, f"{name}_value"))
            nodes.append(helper.make_node("Add", [f"none_{stride}", f"{name}_value"], [name]))
            outputs.append(helper.make_tensor_value_info(name, FLOAT, [1, None, row.shape[2]]))
    inputs = [helper.make_tensor_value_info("input", FLOAT, shape)]
    return _save(helper.make_graph(nodes, "face", inputs, outputs, constants), path, metadata or {})


def face_metadata(**changes: Any) -> dict[str, str]:
    """A detector's contract for gray pictures, (pixel - 0) / 255."""
    contract: dict[str, Any] = {
        "contract": "1",
        "task": "face",
        "model_id": "tiny-face",
        "input": {"channels": 1, "colour": "gray", "mean": [0.0], "std": [255.0]},
    }
    contract |= changes
    return {
        f"roommood.{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in contract.items()
    }


def _constant(name: str, values: object) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def _save(graph: onnx.GraphProto, path: Path, metadata: Mapping[str, str]) -> Path:
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, ir_version=8, opset_imports=[opset])
    if metadata:
        helper.set_model_props(model, dict(metadata))
    onnx.save(model, path)
    return path
