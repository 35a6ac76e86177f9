"""What a net sees of a stored crop: a window of it, mirrored or not, in another light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from roommood.training.face.paste import CROP

LEARN_SHARE, KEEP_SHARE = 0.5, 0.2
SHADOW_SHARE = 0.35


@dataclass(frozen=True)
class Window:
    """A square part (side, side) of a crop, from a corner on, maybe mirrored."""

    side: int
    left: int
    top: int
    mirrored: bool

    @classmethod
    def drawn(cls, side: int, rng: np.random.Generator, step: int = 1) -> Window:
        """Anywhere in a crop, at multiples of step; every other one mirrored."""
        left, top = (rng.integers(0, (CROP - side) // step + 1, 2) * step).tolist()
        return cls(side, left, top, bool(rng.random() < 0.5))

    def of(self, pictures: Tensor) -> Tensor:
        """This part of pictures (B, H, W)."""
        part = pictures[:, self.top : self.top + self.side, self.left : self.left + self.side]
        return part.flip(-1) if self.mirrored else part

    def rows(self, rows: Tensor) -> Tensor:
        """Label rows (B, G, 16) as this part shows them; see move_rows."""
        moved = move_rows(rows, torch.tensor([self.left, self.top], device=rows.device), self.side)
        return mirror_labels(moved, self.side) if self.mirrored else moved


def rendered_window(crops: Mapping[str, Tensor], window: Window) -> tuple[Tensor, Tensor]:
    """Pictures (B, S, S) and label rows (B, G, 16) of rendered crops in a window."""
    return window.of(crops["pictures"]).float(), window.rows(crops["labels"])


def relit(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures (B, H, W) of 0..255 in another light: brighter or darker, and a third of them with
    darker shadows, as when people sit before a window, or paler ones."""
    light = rng.normal(1, 0.12, (len(pictures), 1, 1))
    power = np.exp(rng.normal(0.15, 0.45, (len(pictures), 1, 1)))
    power = np.where(rng.random(power.shape) < SHADOW_SHARE, power, 1.0)
    bend = torch.from_numpy(power).float().to(pictures.device)
    bent = (pictures / 255).clamp(min=1e-4).pow(bend) * 255
    return bent * torch.from_numpy(light).float().to(pictures.device)


def move_rows(rows: Tensor, corner: Tensor, side: int) -> Tensor:
    """Label rows (B, G, 16) as a window (side, side) shows them whose corner is (2,).

    As when crops are rendered: a face of which less than half is left is ignored, and one of
    which less than a fifth is left is gone.
    """
    shift = corner.float().repeat(7)
    places = rows[..., :14] - shift
    boxes = places[..., :4].clamp(0, side)
    share = _areas(boxes) / _areas(rows[..., :4]).clamp(min=1e-6)
    score = torch.where(share < LEARN_SHARE, 0.0, rows[..., 14])
    moved = torch.cat([boxes, places[..., 4:], score[..., None], rows[..., 15:]], -1)
    return moved * (share >= KEEP_SHARE)[..., None]


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def mirror_labels(rows: Tensor, width: int) -> Tensor:
    """Label rows (..., 16) of the picture mirrored left to right; empty rows stay empty."""
    real = (rows[..., 2] > rows[..., 0]).unsqueeze(-1)
    mirrored = rows.clone()
    mirrored[..., 0], mirrored[..., 2] = width - rows[..., 2], width - rows[..., 0]
    points = rows[..., 4:14].reshape(*rows.shape[:-1], 5, 2)[..., [1, 0, 2, 4, 3], :].clone()
    points[..., 0] = width - points[..., 0]
    mirrored[..., 4:14] = points.flatten(-2)
    return torch.where(real, mirrored, rows)
