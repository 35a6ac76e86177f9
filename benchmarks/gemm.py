"""What this core can compute: matrix products in floats and in bytes by onnxruntime, one thread.

Every millisecond of a model is judged beside it, since machines differ by more than programs do.
"""

import time
from collections.abc import Callable
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, shape_inference

# Rows, columns and depth of the product: in the caches of a core, and large enough for its peak.
_SIDE: Final = 384
_OPSET: Final = 17
_MODEL: Final = 9


def product(kind: str) -> tuple[Callable[[], object], float]:
    """A product in "fp32" or "int8" to be timed, and its 10^9 operations (two a multiplication)."""
    session, inputs = _session(kind)
    return lambda: session.run(None, inputs), 2 * _SIDE**3 / 1e9


@cache
def _session(kind: str) -> tuple[Any, dict[str, Any]]:
    dice, shape = np.random.default_rng(1), (_SIDE, _SIDE)
    if kind == "fp32":
        kinds, node = (TensorProto.FLOAT,) * 2, helper.make_node("MatMul", ["a", "b"], ["c"])
        inputs = {name: dice.standard_normal(shape, np.float32) for name in "ab"}
    else:
        kinds = (TensorProto.UINT8, TensorProto.INT32)
        node = helper.make_node("MatMulInteger", ["a", "b"], ["c"])
        inputs = {
            "a": dice.integers(0, 255, shape, np.uint8),
            "b": dice.integers(-64, 64, shape, np.int8),
        }
    a, c = (
        helper.make_tensor_value_info(name, kind_of, shape)
        for name, kind_of in zip("ac", kinds, strict=True)
    )
    weights = onnx.numpy_helper.from_array(inputs.pop("b"), "b")
    graph = helper.make_graph([node], "product", [a], [c], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = _MODEL
    return ort.InferenceSession(model.SerializeToString(), _options()), inputs


def _options() -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def operations(path: Path, shape: tuple[int, ...]) -> float:
    """10^9 operations of a model's convolutions and products on an input of this shape."""
    model = onnx.load(str(path))
    for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dimension.ClearField("dim_param")
        dimension.dim_value = size
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    sizes = {constant.name: tuple(constant.dims) for constant in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        sizes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    return sum(_of_node(node, sizes) for node in graph.node) / 1e9


def _of_node(node: Any, sizes: dict[str, tuple[int, ...]]) -> float:
    if node.op_type == "Conv":
        return 2.0 * prod(sizes[node.output[0]]) * prod(sizes[node.input[1]][1:])
    if node.op_type in ("Gemm", "MatMul"):
        return 2.0 * prod(sizes[node.output[0]]) * sizes[node.input[0]][-1]
    return 0.0


def shortest_ms(act: Callable[[], object], rounds: int) -> float:
    """Processor milliseconds of one call, the shortest of so many: what else runs only adds."""
    times = []
    act()
    for _ in range(rounds):
        began_s = time.thread_time()
        act()
        times.append((time.thread_time() - began_s) * 1000)
    return min(times)
