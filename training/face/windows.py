"""What a net sees of a stored crop: a window of it, mirrored or not, in another light."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

LEARN_SHARE, KEEP_SHARE = 0.5, 0.2
SHADOW_SHARE = 0.35


def relit(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures (B, H, W) of 0..255 in another light: brighter or darker, and a third of them with
    darker shadows, as when people sit before a window, or paler ones."""
    light = torch.from_numpy(rng.normal(1, 0.12, (len(pictures), 1, 1))).float()
    power = np.exp(rng.normal(0.15, 0.45, (len(pictures), 1, 1)))
    power = np.where(rng.random(power.shape) < SHADOW_SHARE, power, 1.0)
    bent = (pictures / 255).clamp(min=1e-4).pow(torch.from_numpy(power).float()) * 255
    return bent * light


def window(
    pictures: Tensor, rows: Tensor, side: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A square part of each picture (B, S, S), anywhere, and its label rows (B, G, 16).

    As when crops are rendered: a face of which less than half is left is ignored, and one of
    which less than a fifth is left is gone.
    """
    if side >= pictures.shape[-1]:
        return pictures, rows
    corner = rng.integers(0, pictures.shape[-1] - side + 1, (len(rows), 2))
    parts = [
        picture[top : top + side, left : left + side]
        for picture, (left, top) in zip(pictures, corner.tolist(), strict=True)
    ]
    return torch.stack(parts), move_rows(rows, torch.from_numpy(corner), side)


def move_rows(rows: Tensor, corner: Tensor, side: int) -> Tensor:
    """Label rows (B, G, 16) as windows (side, side) show them whose corners are (B, 2)."""
    shift = corner.float()[:, None].repeat(1, 1, 7)
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
