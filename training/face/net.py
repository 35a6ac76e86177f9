"""The detector's net: a grey picture in, scores, boxes and five landmarks per cell of three grids
out.

Convolution over 6x6 pixels at stride 4, depthwise-separable residual blocks (Howard et al. 2017;
He et al. 2016), a feature pyramid (Lin et al. 2017) and one anchor-free head per stride, encoded
as in YuNet (Wu, Peng, Yu 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
OUTPUTS = 15
PRIOR = 0.01
GREY_MEAN = 117.0
GREY_STD = 64.0
BLACK = -GREY_MEAN / GREY_STD
STEM_STRIDE = 4


@dataclass(frozen=True)
class NetShape:
    """Widths and depths: channels after the stem and at strides 8, 16, 32; blocks and neck
    channels per stride; the stem's kernel, and blocks at stride 4, right behind it."""

    stem: int = 32
    widths: tuple[int, int, int] = (48, 80, 112)
    depths: tuple[int, int, int] = (4, 6, 4)
    necks: tuple[int, int, int] = (48, 64, 64)
    head_depths: tuple[int, int, int] = (1, 1, 1)
    stem_kernel: int = 6
    stem_depth: int = 2

    @property
    def stem_padding(self) -> int:
        """Pixels of black around the picture, so that the grid shrinks by exactly the stride."""
        return (self.stem_kernel - STEM_STRIDE) // 2


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution with an odd kernel, padded so that the grid shrinks by exactly the stride, and
    batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Block(nn.Module):
    """Depthwise 3x3, then 1x1; added to its input where the shapes allow it, before the last ReLU.

    The sum stands before the activation because onnxruntime then folds all three into one kernel.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = convolution(inputs, inputs, 3, stride, inputs)
        self.pointwise = convolution(inputs, outputs, 1)
        self.adds = inputs == outputs and stride == 1

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        mixed = self.pointwise(functional.relu(self.depthwise(features), inplace=True))
        return functional.relu(features + mixed if self.adds else mixed)


def stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """Halve the grid, then `depth` residual blocks."""
    return nn.Sequential(
        Block(inputs, outputs, 2), *(Block(outputs, outputs) for _ in range(depth))
    )


class Head(nn.Module):
    """Blocks and one 1x1 convolution to the 15 outputs of a cell: score logit, 4 of the box, 10
    of the landmarks."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(width, width) for _ in range(depth)))
        self.outputs = nn.Conv2d(width, OUTPUTS, 1)
        nn.init.normal_(self.outputs.weight, std=0.01)
        nn.init.zeros_(self.outputs.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.outputs.bias[0] = -math.log((1 - PRIOR) / PRIOR)  # type: ignore[index]

    def forward(self, features: Tensor) -> Tensor:
        """(N, width, H, W) to (N, H * W, 15), row by row."""
        raw: Tensor = self.outputs(self.blocks(features))
        return raw.flatten(2).transpose(1, 2)


class FaceNet(nn.Module):
    """Grey pictures (N, 1, H, W), already (value - GREY_MEAN) / GREY_STD, sides multiples of 32.

    Around them the stem sees black, so that export can fold mean and deviation into its weights
    exactly.
    """

    def __init__(self, shape: NetShape | None = None) -> None:
        super().__init__()
        self.shape = shape = shape or NetShape()
        (w8, w16, w32), (d8, d16, d32), (n8, n16, n32) = shape.widths, shape.depths, shape.necks
        self.stem = nn.Sequential(
            nn.Conv2d(1, shape.stem, shape.stem_kernel, STEM_STRIDE, bias=False),
            nn.BatchNorm2d(shape.stem),
        )
        self.stage4 = nn.Sequential(
            *(Block(shape.stem, shape.stem) for _ in range(shape.stem_depth))
        )
        self.stage8, self.stage16, self.stage32 = (
            stage(shape.stem, w8, d8),
            stage(w8, w16, d16),
            stage(w16, w32, d32),
        )
        self.lateral8, self.lateral16 = convolution(w8, n8, 1), convolution(w16, n16, 1)
        self.lateral32 = convolution(w32, n32, 1)
        self.down_to_16 = nn.Identity() if n32 == n16 else convolution(n32, n16, 1)
        self.down_to_8 = nn.Identity() if n16 == n8 else convolution(n16, n8, 1)
        self.heads = nn.ModuleList(
            Head(n, d) for n, d in zip(shape.necks, shape.head_depths, strict=True)
        )

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Raw outputs at strides 8, 16 and 32, each (N, H/s * W/s, 15)."""
        framed = functional.pad(picture, (self.shape.stem_padding,) * 4, value=BLACK)
        at8 = self.stage8(self.stage4(functional.relu(self.stem(framed))))
        at16 = self.stage16(at8)
        top = functional.relu(self.lateral32(self.stage32(at16)))
        middle = self._join(self.lateral16(at16), self.down_to_16(top))
        bottom = self._join(self.lateral8(at8), self.down_to_8(middle))
        first, second, third = (
            head(f) for head, f in zip(self.heads, (bottom, middle, top), strict=True)
        )
        return first, second, third

    @staticmethod
    def _join(fine: Tensor, coarse: Tensor) -> Tensor:
        return functional.relu(
            fine + functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        )


def parameters(net: nn.Module) -> int:
    """How many weights a net has."""
    return sum(weight.numel() for weight in net.parameters())


def cells(height: int, width: int) -> Tensor:
    """Column, row and stride of every cell of the three grids: (A, 3), in the order of the
    outputs."""
    grids = []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing="ij"
        )
        grids.append(torch.stack([columns, rows, torch.full_like(rows, stride)], -1).reshape(-1, 3))
    return torch.cat(grids).float()


def decode_boxes(raw: Tensor, where: Tensor) -> Tensor:
    """Raw box outputs (..., A, 4) at the cells (A, 3) as left, top, right, bottom in pixels."""
    stride = where[:, 2:3]
    centre = (where[:, :2] + raw[..., :2]) * stride
    half = torch.exp(raw[..., 2:].clamp(max=5.0)) * stride / 2
    return torch.cat([centre - half, centre + half], -1)


def decode_landmarks(raw: Tensor, where: Tensor) -> Tensor:
    """Raw landmark outputs (..., A, 10) at the cells (A, 3) as (..., A, 5, 2) pixels."""
    points = raw.reshape(*raw.shape[:-1], 5, 2)
    return (points + where[:, None, :2]) * where[:, None, 2:3]
