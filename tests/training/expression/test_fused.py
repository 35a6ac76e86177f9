"""What the export puts otherwise answers as the network did, and in cheaper operations."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime as ort
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from roommood.training.expression.fused import with_global_pools, with_strided_shortcuts
from roommood.training.expression.net import ExpressionNet, NetShape


def test_a_shortcut_in_one_convolution_answers_as_average_and_mixing_did() -> None:
    torch.manual_seed(3)
    net = ExpressionNet(NetShape(widths=(8, 16, 24), blocks=(1, 2, 1)))
    _with_statistics(net)
    faces = torch.randn(5, 1, 48, 48)
    fused = with_strided_shortcuts(net)
    with torch.inference_mode():
        assert torch.allclose(fused(faces), net.eval()(faces), atol=1e-5)
    assert not any(isinstance(part, nn.AvgPool2d) for part in fused.modules())
    assert any(isinstance(part, nn.AvgPool2d) for part in net.modules()), "the net was changed"


@pytest.mark.parametrize("keeps", [True, False])
def test_a_mean_over_whole_pictures_is_a_pooling_of_the_same_shape(keeps: bool) -> None:
    graph = _mean_over([2, 3], keeps)
    pictures = np.random.default_rng(4).normal(size=(2, 3, 5, 7)).astype(np.float32)
    pooled = with_global_pools(graph)
    assert "ReduceMean" not in [node.op_type for node in pooled.graph.node]
    assert not pooled.graph.initializer, "of the axes nothing is left to be told of"
    assert _run(pooled, pictures) == pytest.approx(_run(graph, pictures), abs=1e-6)
    assert _run(pooled, pictures).shape == ((2, 3, 1, 1) if keeps else (2, 3))


def test_a_mean_over_channels_stays() -> None:
    graph = _mean_over([1], keeps=True)
    assert with_global_pools(graph) == graph


def test_the_shipped_file_computes_between_its_convolutions_in_bytes_alone() -> None:
    kinds = [node.op_type for node in onnx.load(SHIPPED_EXPRESSION).graph.node]
    last_part = kinds[kinds.index("Conv") :]
    assert not {"AveragePool", "ReduceMean"} & set(last_part)


def _with_statistics(net: ExpressionNet) -> None:
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -1, 1)  # type: ignore[arg-type]
            nn.init.uniform_(part.running_var, 0.5, 2)  # type: ignore[arg-type]


def _mean_over(axes: list[int], keeps: bool) -> ModelProto:
    sides = ["n", "c", "h", "w"] if keeps else ["n", "c"]
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["pictures", "axes"], ["means"], keepdims=int(keeps))],
        "means",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["n", "c", "h", "w"])],
        [helper.make_tensor_value_info("means", TensorProto.FLOAT, sides)],
        [numpy_helper.from_array(np.array(axes, np.int64), "axes")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _run(model: ModelProto, pictures: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"pictures": pictures})[0])
