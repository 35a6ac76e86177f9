"""The shipped detector's file turned back into a net that can learn on.

An exported file has its batch norms folded into the convolutions. Pictures tell what each norm
would have measured; it then starts with these statistics, and scales them away, so that the net
answers as the file does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from roommood.shared.errors import ModelError
from roommood.training.face.net import GREY_MEAN, GREY_STD, Block, FaceNet, Head, NetShape

SHIPPED = (
    NetShape(),
    NetShape(depths=(4, 5, 3)),
    NetShape(depths=(4, 5, 3), stem_depth=1),
    NetShape(depths=(3, 4, 3), head_depths=(0, 1, 1), stem_depth=1),
)  # face-7 to face-4

_Kernel = tuple[NDArray[np.float32], NDArray[np.float32]]


def net_from_onnx(path: Path, pictures: Tensor, shapes: Sequence[NetShape] = SHIPPED) -> FaceNet:
    """The net in an exported file, of one of the shapes; `pictures` (N, 1, H, W), 0..255, are such
    as it is to learn from. ModelError where the file holds another net."""
    kernels = list(_kernels(path))
    net = next((FaceNet(shape).eval() for shape in shapes if _fits(FaceNet(shape), kernels)), None)
    if net is None:
        raise ModelError(f"{path}: not a net of {' or '.join(map(str, shapes))}")
    layers = list(_convolutions(net))
    with torch.no_grad():
        for (kernel, bias), (convolution, norm) in zip(kernels, layers, strict=True):
            convolution.weight.copy_(torch.from_numpy(kernel))
            offset = convolution.bias if norm is None else norm.bias
            offset.copy_(torch.from_numpy(bias))  # type: ignore[union-attr]
        _unfold_input(net)
        _measure(net, [(at, norm) for at, norm in layers if norm is not None], pictures)
    return net


def _fits(net: FaceNet, kernels: Sequence[_Kernel]) -> bool:
    shapes = [tuple(convolution.weight.shape) for convolution, _ in _convolutions(net)]
    return [kernel.shape for kernel, _ in kernels] == shapes


def _kernels(path: Path) -> Iterator[_Kernel]:
    graph = onnx.load(str(path)).graph
    stored = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
    casts = {
        n.output[0]: stored[n.input[0]]
        for n in graph.node
        if n.op_type == "Cast" and n.input[0] in stored
    }
    for node in graph.node:
        if node.op_type == "Conv":
            kernel, bias = (casts[name].astype(np.float32) for name in node.input[1:3])
            yield kernel, bias


def _convolutions(net: FaceNet) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """The convolutions and their norms in the order in which `face_graph` writes them."""
    yield _pair(net.stem)
    for blocks in (net.stage4, net.stage8, net.stage16, net.stage32):
        yield from _of_blocks(blocks)
    yield _pair(net.lateral32)
    for down, lateral in ((net.down_to_16, net.lateral16), (net.down_to_8, net.lateral8)):
        if isinstance(down, nn.Sequential):
            yield _pair(down)
        yield _pair(lateral)
    for head in net.heads:
        assert isinstance(head, Head)
        yield from _of_blocks(head.blocks)
        yield head.outputs, None


def _of_blocks(blocks: nn.Sequential) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    for block in blocks:
        assert isinstance(block, Block)
        yield _pair(block.depthwise)
        yield _pair(block.pointwise)


def _pair(layers: nn.Sequential) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    convolution, norm = layers
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return convolution, norm


def _unfold_input(net: FaceNet) -> None:
    """The file's stem takes 0..255, the net's what is left after mean and deviation."""
    convolution, norm = _pair(net.stem)
    norm.bias += convolution.weight.sum((1, 2, 3)) * GREY_MEAN
    convolution.weight *= GREY_STD


def _measure(
    net: FaceNet, layers: Sequence[tuple[nn.Conv2d, nn.BatchNorm2d]], pictures: Tensor
) -> None:
    seen: dict[nn.Module, Tensor] = {}
    norms = [norm for _, norm in layers]
    hooks = [norm.register_forward_pre_hook(lambda n, x: seen.update({n: x[0]})) for norm in norms]
    for norm in norms:
        norm.weight.fill_(1).mul_((1 + norm.eps) ** 0.5)  # nothing is scaled while they measure
    net((pictures - GREY_MEAN) / GREY_STD)
    for hook in hooks:
        hook.remove()
    for convolution, norm in layers:
        mean, variance = seen[norm].mean((0, 2, 3)), seen[norm].var((0, 2, 3))
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias += mean
        # What never varied was divided by the root of eps alone when it was folded: kept, that
        # would grow with each file that is learnt on from, until fp16 cannot hold it.
        convolution.weight[variance == 0] *= norm.eps**0.5
