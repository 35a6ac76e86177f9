"""Learning the teacher's answers in every cell, from natural crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roommood.training.face.answers import GRID, LEVELS, UNKNOWN
from roommood.training.face.loss import (
    BOX_WEIGHT,
    LANDMARK_WEIGHT,
    Losses,
    assign,
    distance_iou_loss,
    flatten,
    landmark_loss,
    quality_focal,
)
from roommood.training.face.net import STRIDES, decode_boxes, decode_landmarks
from roommood.training.face.paste import CROP
from roommood.training.face.windows import Window

STEP = STRIDES[-1]  # windows start where the grids of all strides do
Cells = NDArray[np.int64]


@dataclass(frozen=True)
class Dense:
    """What the teacher answers in windows of a batch of crops.

    scores  (B, A) 0..1
    weight  (B, A) 0 where nothing is to be learnt
    image   (n,) and cell (n,): the cells with a face
    places  (n, PLACE) their boxes and landmarks, as the net gives them
    missed  (B, G, 16) label rows of faces that the teacher does not see
    """

    scores: Tensor
    weight: Tensor
    image: Tensor
    cell: Tensor
    places: Tensor
    missed: Tensor


def dense_losses(raw: Tensor, dense: Dense, where: Tensor) -> Losses:
    """The loss of raw outputs (B, A, 15) against the teacher's answers and the faces that it
    misses, per unit of the score that is due."""
    boxes = decode_boxes(raw[..., 1:5], where)
    rows, owner = flatten(dense.missed)
    extra = assign(raw[..., 0].sigmoid(), boxes, rows, owner, where)
    due = torch.maximum(dense.scores, extra.score)
    weight = torch.where(extra.score > 0, 1.0, dense.weight * extra.weight)
    score = (quality_focal(raw[..., 0], due) * weight).sum()
    image, cell = extra.score.nonzero(as_tuple=True)
    box, points = _place_losses(
        raw,
        boxes,
        where,
        torch.cat([dense.image, image]),
        torch.cat([dense.cell, cell]),
        torch.cat([_rows_of(dense, where), rows[extra.face[image, cell]]]),
        torch.cat([dense.scores[dense.image, dense.cell], extra.score[image, cell]]),
    )
    total = due.sum().clamp(min=1.0)
    return Losses(score / total, BOX_WEIGHT * box / total, LANDMARK_WEIGHT * points / total)


def _place_losses(
    raw: Tensor,
    boxes: Tensor,
    where: Tensor,
    image: Tensor,
    cell: Tensor,
    rows: Tensor,
    share: Tensor,
) -> tuple[Tensor, Tensor]:
    box = (share * distance_iou_loss(boxes[image, cell], rows[:, :4])).sum()
    points = decode_landmarks(raw[image, cell, 5:], where[cell])
    return box, (share * landmark_loss(points, rows)).sum()


def _rows_of(dense: Dense, where: Tensor) -> Tensor:
    """The teacher's places as label rows (n, 16)."""
    at = where[dense.cell]
    boxes = decode_boxes(dense.places[:, :4], at)
    points = decode_landmarks(dense.places[:, 4:], at).flatten(1)
    return torch.cat([boxes, points, torch.ones(len(at), 2, device=at.device)], 1)


def natural_window(crops: Mapping[str, Tensor], window: Window) -> tuple[Tensor, Dense]:
    """A window of each of some natural crops, whose parts are as NaturalShard holds them; it must
    start where all grids do, at multiples of STEP. Pictures (B, S, S) and what the teacher
    answers."""
    device = crops["pictures"].device
    kept = torch.from_numpy(cells_of_window(window)).to(device)
    steps = crops["scores"][:, kept]
    weight = (steps != UNKNOWN).float()
    image, cell, places = _moved_cells(crops, kept)
    dense = Dense(
        scores=steps.float() / LEVELS * weight,
        weight=weight,
        image=image,
        cell=cell,
        places=mirror_places(places) if window.mirrored else places,
        missed=window.rows(crops["missed"]),
    )
    return window.of(crops["pictures"]).float(), dense


def _moved_cells(crops: Mapping[str, Tensor], kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Picture (n,), cell in the window (n,) and places (n, PLACE) of the cells with a face that
    lie in it."""
    back = torch.full((len(GRID),), -1, device=kept.device)
    back[kept] = torch.arange(len(kept), device=kept.device)
    known = crops["cells"].long()
    inside = (known >= 0) & (back[known.clamp(min=0)] >= 0)
    image, place = inside.nonzero(as_tuple=True)
    return image, back[known[image, place]], crops["places"][image, place].float()


def joined(parts: Sequence[Dense]) -> Dense:
    """The answers to several groups of pictures, one behind the other."""
    starts = np.cumsum([0, *(len(part.scores) for part in parts[:-1])]).tolist()
    return Dense(
        scores=torch.cat([part.scores for part in parts]),
        weight=torch.cat([part.weight for part in parts]),
        image=torch.cat([part.image + start for part, start in zip(parts, starts, strict=True)]),
        cell=torch.cat([part.cell for part in parts]),
        places=torch.cat([part.places for part in parts]),
        missed=torch.cat([part.missed for part in parts]),
    )


@cache
def cells_of_window(window: Window) -> Cells:
    """Which of a crop's cells are those of a window, in the window's order."""
    parts, start = [], 0
    for stride in STRIDES:
        n, m = CROP // stride, window.side // stride
        index = start + np.arange(n * n).reshape(n, n)
        part = index[window.top // stride :, window.left // stride :][:m, :m]
        parts.append((part[:, ::-1] if window.mirrored else part).reshape(-1))
        start += n * n
    return np.concatenate(parts)


def mirror_places(places: Tensor) -> Tensor:
    """Places (n, PLACE) of the mirrored picture: left and right eye and corner of the mouth
    change."""
    mirrored = places.clone()
    mirrored[:, 0] = 1 - places[:, 0]
    points = places[:, 4:].reshape(-1, 5, 2)[:, [1, 0, 2, 4, 3]].clone()
    points[..., 0] = 1 - points[..., 0]
    mirrored[:, 4:] = points.reshape(-1, 10)
    return mirrored
