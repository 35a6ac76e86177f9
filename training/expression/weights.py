"""The weights of an exported classifier, back in a network that can be trained on.

An exported file has its batch norms folded into the convolutions. Here each norm becomes a plain
addition of its bias, so it must stay frozen: with statistics of a batch it would be another
network.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from roommood.shared.errors import ModelError
from roommood.training.expression.net import EARLIER, STUDENT, TEACHER, ExpressionNet

_HALF: Final = ".half"
_BYTES: Final = "_quantized"
_FUSED: Final = "shortcut.0.weight"


def net_from_onnx(path: Path) -> ExpressionNet:
    """A network with the weights of a file that `export` wrote, ready to answer as it does.

    Raises ModelError for any other file.
    """
    weights = _weights(path)
    for shape in (STUDENT, EARLIER, TEACHER):
        net = ExpressionNet(shape)
        state = _state(net, weights)
        if all(name in state and state[name].shape == due.shape for name, due in _due(net).items()):
            net.load_state_dict(state)
            return net.eval()
    raise ModelError(
        f"{path} is not a classifier that this release's export wrote: start from a checkpoint"
    )


def freeze_norms(net: nn.Module) -> None:
    """Let every batch norm use its stored statistics and keep them, also while training."""
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


def _weights(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf raises errors of its own kind, and OSError
        raise ModelError(f"{path} is not a readable ONNX file: {error}") from error
    arrays = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    stored = {name.removesuffix(_HALF): array.astype(np.float32) for name, array in arrays.items()}
    return _unfused(stored | dict(_out_of_bytes(graph, arrays)))


def _out_of_bytes(
    graph: onnx.GraphProto, arrays: dict[str, NDArray[np.generic]]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Weights stored as whole numbers with a scale, or one for each output channel."""
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in arrays:
            numbers, scale, zero = (arrays[name].astype(np.float32) for name in node.input)
            each = (-1, *[1] * (numbers.ndim - 1))
            values = (numbers - zero.reshape(each)) * scale.reshape(each)
            yield node.input[0].removesuffix(_BYTES), values.astype(np.float32)


def _unfused(weights: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """With the shortcuts that `fused.py` made one convolution as those which average before they
    mix: of such a square of weights, all equal, the sum is the weight of the mean."""
    both = [name for name, value in weights.items() if name.endswith(_FUSED) and value.ndim == 4]
    for name in both:
        mix = name.replace("shortcut.0", "shortcut.1")
        weights[mix] = weights[name].sum((2, 3), keepdims=True)
        weights[f"{mix}_bias"] = weights[f"{name}_bias"]
    return weights


def _due(net: ExpressionNet) -> dict[str, torch.Tensor]:
    return net.state_dict()


def _state(net: ExpressionNet, weights: dict[str, NDArray[np.float32]]) -> dict[str, torch.Tensor]:
    state = {name: torch.from_numpy(value.copy()) for name, value in weights.items()}
    state = {name: value for name, value in state.items() if name in _due(net)}
    for name, part in net.named_modules():
        if isinstance(part, nn.BatchNorm2d):
            bias = weights.get(f"{_folded_into(name)}.weight_bias")
            if bias is not None and len(bias) == part.num_features:
                state |= _as_addition(name, part, torch.from_numpy(bias.copy()))
    return state


def _folded_into(norm: str) -> str:
    """The convolution before a norm, by the names of ExpressionNet."""
    if norm.endswith("shortcut.2"):
        return norm.removesuffix("2") + "1"
    return norm.removesuffix("_norm")


def _as_addition(name: str, norm: nn.BatchNorm2d, bias: torch.Tensor) -> dict[str, torch.Tensor]:
    ones = torch.ones(norm.num_features)
    return {
        f"{name}.weight": ones,
        f"{name}.bias": bias,
        f"{name}.running_mean": torch.zeros(norm.num_features),
        f"{name}.running_var": ones - norm.eps,
        f"{name}.num_batches_tracked": torch.tensor(0),
    }
