"""Learning the teacher's answers in every cell, from natural crops."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roommood.training.face.answers import GRID, LEVELS, PLACE, UNKNOWN, NaturalShard
from roommood.training.face.data import Floats, Picture
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
from roommood.training.face.windows import mirror_labels, move_rows

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
    return torch.cat([boxes, points, torch.ones(len(at), 2)], 1)


def natural_window(
    crops: list[tuple[NaturalShard, int]], side: int, rng: np.random.Generator
) -> tuple[Tensor, Dense]:
    """A window (side, side) of each crop, at a place where all grids begin, half of them
    mirrored: pictures (B, S, S) and what the teacher answers."""
    seen = [_Window(shard, i, side, rng) for shard, i in crops]
    steps = torch.from_numpy(np.stack([window.scores for window in seen]))
    weight = (steps != UNKNOWN).float()
    image = [np.full(len(window.cells), number) for number, window in enumerate(seen)]
    places = np.concatenate([window.places for window in seen]).reshape(-1, PLACE)
    dense = Dense(
        scores=steps.float() / LEVELS * weight,
        weight=weight,
        image=torch.from_numpy(np.concatenate(image)),
        cell=torch.from_numpy(np.concatenate([window.cells for window in seen])),
        places=torch.from_numpy(places),
        missed=torch.stack([window.missed for window in seen]),
    )
    return torch.from_numpy(np.stack([window.picture for window in seen])).float(), dense


class _Window:
    """One window of one stored crop: picture (S, S), scores (A,), cells (n,) with their places
    (n, PLACE), rows of missed faces (G, 16)."""

    picture: Picture
    scores: NDArray[np.uint8]
    cells: Cells
    places: Floats
    missed: Tensor

    def __init__(self, shard: NaturalShard, i: int, side: int, rng: np.random.Generator) -> None:
        corner = rng.integers(0, (CROP - side) // STEP + 1, 2) * STEP
        left, top = corner.tolist()
        mirrored = bool(rng.random() < 0.5)
        kept = cells_of_window(side, left, top, mirrored)
        part = shard.pictures[i][top : top + side, left : left + side]
        self.picture = np.ascontiguousarray(part[:, ::-1] if mirrored else part)
        self.scores = shard.scores[i][kept]
        self.cells, self.places = _moved_cells(shard, i, kept, mirrored)
        rows = torch.from_numpy(np.array(shard.missed[i]))[None]
        rows = move_rows(rows, torch.from_numpy(corner)[None], side)
        self.missed = (mirror_labels(rows, side) if mirrored else rows)[0]


def _moved_cells(shard: NaturalShard, i: int, kept: Cells, mirrored: bool) -> tuple[Cells, Floats]:
    back = np.full(len(GRID), -1)
    back[kept] = np.arange(len(kept))
    known = shard.cells[i].astype(np.int64)
    inside = (known >= 0) & (back[known] >= 0)
    places = shard.places[i][inside].astype(np.float32)
    return back[known[inside]], mirror_places(places) if mirrored else places


@cache
def cells_of_window(side: int, left: int, top: int, mirrored: bool) -> Cells:
    """Which of a crop's cells are those of a window (side, side), in the window's order."""
    parts, start = [], 0
    for stride in STRIDES:
        n, m = CROP // stride, side // stride
        index = start + np.arange(n * n).reshape(n, n)
        part = index[top // stride :, left // stride :][:m, :m]
        parts.append((part[:, ::-1] if mirrored else part).reshape(-1))
        start += n * n
    return np.concatenate(parts)


def mirror_places(places: Floats) -> Floats:
    """Places (n, PLACE) of the mirrored picture: left and right eye and corner of the mouth
    change."""
    mirrored = places.copy()
    mirrored[:, 0] = 1 - places[:, 0]
    points = places[:, 4:].reshape(-1, 5, 2)[:, [1, 0, 2, 4, 3]].copy()
    points[..., 0] = 1 - points[..., 0]
    mirrored[:, 4:] = points.reshape(-1, 10)
    return mirrored
