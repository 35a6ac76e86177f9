"""Writing the detector's net as an ONNX graph, node by node, so that nothing is in it that does
not compute.

Batch norm and the input's normalisation are folded into the convolutions; weights are stored as
16-bit floats with a Cast behind each, which onnxruntime folds away when it loads the file.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from roommood.training.face.data import Floats
from roommood.training.face.net import (
    GREY_MEAN,
    GREY_STD,
    OUTPUTS,
    STRIDES,
    Block,
    FaceNet,
    Head,
)
from roommood.training.face.nodes import Graph

OPSET = 17
IR_VERSION = 8


def build(net: FaceNet) -> onnx.ModelProto:
    """The model: input `picture` (N, 1, H, W), grey 0..255; outputs cls_s, bbox_s, kps_s for s =
    8, 16, 32."""
    graph = Graph()
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 1, "H", "W"])
    levels = _features(graph, net)
    outputs = []
    for stride, head, features in zip(STRIDES, net.heads, levels, strict=True):
        assert isinstance(head, Head)
        outputs += _head(graph, head, features, stride)
    body = helper.make_graph(graph.nodes, "face", [picture], outputs, graph.weights)
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="roommood"
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def _features(graph: Graph, net: FaceNet) -> tuple[str, str, str]:
    at4 = _stage(graph, net.stage4, graph.node("Relu", _stem(graph, net, "picture")))
    at8 = _stage(graph, net.stage8, at4)
    at16 = _stage(graph, net.stage16, at8)
    top = graph.node("Relu", _convolution(graph, net.lateral32, _stage(graph, net.stage32, at16)))
    middle = _join(graph, net.lateral16, at16, net.down_to_16, top)
    return _join(graph, net.lateral8, at8, net.down_to_8, middle), middle, top


def folded(layers: nn.Module) -> tuple[nn.Conv2d, Floats, Floats]:
    """A convolution and its batch norm as one: the convolution's settings, kernel and bias."""
    assert isinstance(layers, nn.Sequential)
    convolution, norm = layers[0], layers[1]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    with torch.no_grad():
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        kernel = convolution.weight * factor[:, None, None, None]
        bias = norm.bias - norm.running_mean * factor
    return convolution, kernel.contiguous().numpy(), bias.numpy()


def _stem(graph: Graph, net: FaceNet, inputs: str) -> str:
    """The first convolution on 0..255: ((x - m) / s) * k + b = x * (k / s) + (b - m / s *
    sum(k))."""
    convolution, kernel, bias = folded(net.stem)
    bias = bias - kernel.sum((1, 2, 3)) * GREY_MEAN / GREY_STD
    padding = [net.shape.stem_padding] * 4
    return _conv_node(graph, inputs, convolution, kernel / np.float32(GREY_STD), bias, padding)


def _convolution(graph: Graph, layers: nn.Module, inputs: str) -> str:
    convolution, kernel, bias = folded(layers)
    padding = [int(convolution.padding[0])] * 4
    return _conv_node(graph, inputs, convolution, kernel, bias, padding)


def _conv_node(
    graph: Graph,
    inputs: str,
    convolution: nn.Conv2d,
    kernel: Floats,
    bias: Floats,
    padding: list[int],
) -> str:
    return graph.node(
        "Conv",
        inputs,
        graph.half(kernel),
        graph.half(bias),
        kernel_shape=list(convolution.kernel_size),
        strides=list(convolution.stride),
        pads=padding,
        group=convolution.groups,
    )


def _stage(graph: Graph, blocks: nn.Module, features: str) -> str:
    assert isinstance(blocks, nn.Sequential)
    for block in blocks:
        assert isinstance(block, Block)
        deep = graph.node("Relu", _convolution(graph, block.depthwise, features))
        mixed = _convolution(graph, block.pointwise, deep)
        features = graph.node("Relu", graph.node("Add", mixed, features) if block.adds else mixed)
    return features


def _join(graph: Graph, lateral: nn.Module, fine: str, down: nn.Module, coarse: str) -> str:
    if not isinstance(down, nn.Identity):
        coarse = _convolution(graph, down, coarse)
    scales = graph.constant(np.array([1, 1, 2, 2], np.float32))
    larger = graph.node(
        "Resize",
        coarse,
        "",
        scales,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return graph.node("Relu", graph.node("Add", _convolution(graph, lateral, fine), larger))


def _head(graph: Graph, head: Head, features: str, stride: int) -> list[onnx.ValueInfoProto]:
    deep, last = _stage(graph, head.blocks, features), head.outputs
    assert last.bias is not None
    kernel, bias = last.weight.detach().contiguous().numpy(), last.bias.detach().numpy()
    raw = _conv_node(graph, deep, last, kernel, bias, [0, 0, 0, 0])
    rows = graph.node("Transpose", raw, perm=[0, 2, 3, 1])
    flat = graph.node("Reshape", rows, graph.constant(np.array([0, -1, OUTPUTS], np.int64)))
    names = (f"logit_{stride}", f"bbox_{stride}", f"kps_{stride}")
    graph.node("Split", flat, graph.constant(np.array([1, 4, 10], np.int64)), outputs=names, axis=2)
    graph.node("Sigmoid", names[0], outputs=(f"cls_{stride}",))
    widths = {f"cls_{stride}": 1, names[1]: 4, names[2]: 10}
    return [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", f"A{stride}", w])
        for n, w in widths.items()
    ]
