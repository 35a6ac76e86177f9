"""The same network in fewer and cheaper operations, for the file that is shipped.

On bytes onnxruntime averages far slower than it convolves.
"""

import copy

import numpy as np
import torch
from onnx import ModelProto, NodeProto, helper, numpy_helper
from torch import nn

from roommood.training.expression.net import Block, ExpressionNet


def with_strided_shortcuts(net: ExpressionNet) -> ExpressionNet:
    """A copy of `net` in which each shortcut that averages squares of pixels and mixes channels
    does both in one convolution. Its answers are the same."""
    fused = copy.deepcopy(net).eval()
    for block in fused.blocks:
        assert isinstance(block, Block)
        if isinstance(block.shortcut, nn.Sequential):
            block.shortcut = _strided(*block.shortcut)
    return fused


def with_global_pools(graph: ModelProto) -> ModelProto:
    """A copy of `graph` in which means over whole pictures, which onnxruntime takes in floats,
    are global poolings, which it takes in bytes. Its answers are the same."""
    pooled = ModelProto()
    pooled.CopyFrom(graph)
    constants = {item.name: numpy_helper.to_array(item) for item in graph.graph.initializer}
    nodes = [new for node in graph.graph.node for new in _pooled(node, constants)]
    del pooled.graph.node[:]
    pooled.graph.node.extend(nodes)
    # Else onnxruntime tells of each that it removes it.
    used = {name for node in nodes for name in node.input}
    weights = [weight for weight in graph.graph.initializer if weight.name in used]
    del pooled.graph.initializer[:]
    pooled.graph.initializer.extend(weights)
    return pooled


def _strided(average: nn.Module, mix: nn.Module, norm: nn.Module) -> nn.Module:
    assert isinstance(average, nn.AvgPool2d)
    assert isinstance(mix, nn.Conv2d)
    side = int(average.kernel_size)  # type: ignore[arg-type]
    both = nn.Conv2d(mix.in_channels, mix.out_channels, side, side, bias=False)
    with torch.no_grad():
        both.weight.copy_(mix.weight.expand_as(both.weight) / side**2)
    return nn.Sequential(both, norm)


def _pooled(node: NodeProto, constants: dict[str, np.ndarray]) -> list[NodeProto]:
    if node.op_type != "ReduceMean" or list(constants[node.input[1]]) != [2, 3]:
        return [node]
    keeps = all(item.i for item in node.attribute if item.name == "keepdims")
    if keeps:
        return [helper.make_node("GlobalAveragePool", node.input[:1], node.output, node.name)]
    square = f"{node.output[0]}.square"
    return [
        helper.make_node("GlobalAveragePool", node.input[:1], [square], node.name),
        helper.make_node("Flatten", [square], node.output, f"{node.name}.flat"),
    ]
