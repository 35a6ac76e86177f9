"""The expression classifier: a small residual network of dense 3x3 convolutions.

Dense convolutions, ReLU and additions are what onnxruntime fuses and runs
fastest on a CPU; depthwise ones need fewer multiply-adds but more time.  Blocks
after He et al. 2016 (arXiv 1512.03385), channel gates after Hu et al. 2018
(arXiv 1709.01507).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from roommood.inference_worker.evaluation.ferplus import SIDE_PX
from roommood.shared.protocol.emotions import EXPRESSIONS

MEAN = 128.0
STD = 64.0
# In units of the input: half of a usual face's contrast, the contrast of nothing but noise, and
# black and white.
LEAST_CONTRAST, EVEN = 32 / STD, 3 / STD
BLACK, WHITE = -MEAN / STD, (255 - MEAN) / STD


@dataclass(frozen=True)
class NetShape:
    """`widths` channels and `blocks` residual blocks per stage (24x24, 12x12, 6x6 pixels; with a
    `stem_stride` of 1 the first has all 48x48). Each of `heads` gives eight logits."""

    widths: tuple[int, ...] = (32, 64, 160)
    blocks: tuple[int, ...] = (2, 3, 2)
    dropout: float = 0.2
    stem_stride: int = 2
    heads: int = 1


STUDENT = NetShape()
# That of the files up to expression-5.
EARLIER = NetShape((32, 64, 112), (2, 3, 1))
TEACHER = NetShape(widths=(48, 96, 192), blocks=(2, 3, 2))


class Gate(nn.Module):
    """Squeeze and excitation: scales each channel by a number that the whole picture decides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 8, 1)
        self.excite = nn.Conv2d(channels // 8, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        summary = torch.relu(self.squeeze(features.mean((2, 3), keepdim=True)))
        return features * torch.sigmoid(self.excite(summary))


class Block(nn.Module):
    """Two 3x3 convolutions and a gate beside a shortcut; `stride` 2 halves the picture."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.gate = Gate(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, features: Tensor) -> Tensor:
        change = torch.relu(self.first_norm(self.first(features)))
        change = self.gate(self.second_norm(self.second(change)))
        return torch.relu(change + self.shortcut(features))


class ExpressionNet(nn.Module):
    """Faces (N, 1, 48, 48), (pixel - MEAN) / STD, to logits (N, 8) in the order of EXPRESSIONS,
    or (N, 8 * heads), one head after the other."""

    def __init__(self, shape: NetShape = STUDENT) -> None:
        super().__init__()
        self.shape = shape
        self.stem = nn.Conv2d(1, shape.widths[0], 5, shape.stem_stride, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(shape.widths[0])
        self.blocks = nn.Sequential(*_blocks(shape))
        self.dropout = nn.Dropout(shape.dropout)
        self.classify = nn.Linear(shape.widths[-1], shape.heads * len(EXPRESSIONS))

    def forward(self, faces: Tensor) -> Tensor:
        features = torch.relu(self.stem_norm(self.stem(lifted(faces))))
        features = self.blocks(features).mean((2, 3))
        return self.classify(self.dropout(features))  # type: ignore[no-any-return]


def one_headed(net: ExpressionNet, second_power: float) -> ExpressionNet:
    """The same network with one head, whose logits are the first's and, by a power, the second's.

    Both are linear in the same features, so the sum costs nothing. The second knows no contempt,
    which it leaves to the first.
    """
    if net.shape.heads == 1:
        return net
    merged = ExpressionNet(replace(net.shape, heads=1))
    state = net.state_dict()
    scale = torch.tensor([float(name != "contempt") for name in EXPRESSIONS]) * second_power
    for name in ("classify.weight", "classify.bias"):
        first, second = state[name].view(2, len(EXPRESSIONS), -1)
        state[name] = (first + scale[:, None] * second).view(merged.state_dict()[name].shape)
    merged.load_state_dict(state)
    return merged.eval()


def lifted(faces: Tensor) -> Tensor:
    """Faces (N, 1, H, W) of little contrast, as in the dark, against the light or in fog,
    stretched to LEAST_CONTRAST and brought towards a middle grey; all others as they are."""
    mean = faces.mean((2, 3), keepdim=True)
    contrast = (faces - mean).square().mean((2, 3), keepdim=True).sqrt()
    gain = (LEAST_CONTRAST / contrast.clamp(min=EVEN)).clamp(min=1)
    return ((faces - mean) * gain + mean / gain).clamp(BLACK, WHITE)


def count_parameters(net: nn.Module) -> int:
    """Trainable parameters; batch norms count although the export folds them away."""
    return sum(parameter.numel() for parameter in net.parameters())


def count_multiply_adds(net: ExpressionNet) -> int:
    """Multiply-adds of all convolutions and the last layer for one face."""
    total = 0

    def add(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += weight[0].numel() * output[0].numel()

    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    with torch.inference_mode():
        net.eval()(torch.zeros(1, 1, SIDE_PX, SIDE_PX))
    for hook in hooks:
        hook.remove()
    return total


def _blocks(shape: NetShape) -> Iterator[Block]:
    inputs = shape.widths[0]
    for stage, (width, depth) in enumerate(zip(shape.widths, shape.blocks, strict=True)):
        for number in range(depth):
            yield Block(inputs, width, 2 if stage and not number else 1)
            inputs = width


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(
        nn.AvgPool2d(stride, stride),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    )
