"""Which cell learns which face, and what it pays.

Assignment by alignment of score and box (Feng et al. 2021, TOOD); quality focal loss for the
score (Li et al. 2020); distance-IoU for the box (Zheng et al. 2020); smooth L1 for the landmarks,
in face sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from roommood.training.face.net import decode_boxes, decode_landmarks

TOP_CELLS = 10
SCORE_POWER, IOU_POWER = 0.5, 4.0
REACH_CELLS = 1.0
BOX_WEIGHT, LANDMARK_WEIGHT = 2.5, 1.0
LANDMARK_BETA = 0.05
FULL_SCORE = 0.88


@dataclass(frozen=True)
class Targets:
    """What every cell of a batch should say.

    score   (B, A) the score wanted, 0 where there is no face
    weight  (B, A) 0 where the score's loss is left out
    face    (B, A) which of the flattened faces the cell stands for, valid where score > 0
    """

    score: Tensor
    weight: Tensor
    face: Tensor


@dataclass(frozen=True)
class Losses:
    """The parts of the loss, each a scalar, already weighted."""

    score: Tensor
    box: Tensor
    landmarks: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.score + self.box + self.landmarks

    def plus(self, other: Losses, weight: float) -> Losses:
        """Part by part, the other's with a weight."""
        return Losses(
            self.score + weight * other.score,
            self.box + weight * other.box,
            self.landmarks + weight * other.landmarks,
        )


def flatten(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Labels (B, G, 16) as the rows in use (F, 16) and the picture (F,) that each belongs to."""
    image, place = (labels[..., 2] > labels[..., 0]).nonzero(as_tuple=True)
    return labels[image, place], image


def pairwise_iou(faces: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of faces (F, 4) with the boxes (F, A, 4) of their pictures: (F,
    A)."""
    low = torch.maximum(faces[:, None, :2], boxes[..., :2])
    high = torch.minimum(faces[:, None, 2:], boxes[..., 2:])
    both = (high - low).clamp(min=0).prod(-1)
    return both / (_area(faces)[:, None] + _area(boxes) - both).clamp(min=1e-6)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, rows: Tensor, image: Tensor, where: Tensor) -> Targets:
    """Choose each face's cells: among those inside it, the ten whose score and box agree best.

    scores (B, A) 0..1, boxes (B, A, 4), rows and image as flatten gives them, where (A, 3)
    column, row, stride.

    The best cell's score is to be the root of its overlap: with the overlap itself a small face,
    whose box is never exact, would be taught to be less sure of than a large one.
    """
    quality = rows[:, 14]
    iou = pairwise_iou(rows[:, :4], boxes[image])
    inside = _inside(rows[:, :4], where)
    learns = inside & (quality > 0)[:, None]
    metric = (scores[image] ** SCORE_POWER * iou**IOU_POWER + 1e-12) * learns
    chosen = _settle(_top(metric), iou, image, len(scores))
    metric = metric * chosen
    best_iou, best = (iou * chosen).amax(-1, keepdim=True), metric.amax(-1, keepdim=True)
    sure = best_iou.sqrt() * (quality / FULL_SCORE).clamp(max=1)[:, None]
    level = metric / best.clamp(min=1e-12) * sure
    score = _largest(level, image, len(scores))
    owned, cell = chosen.nonzero(as_tuple=True)
    face = torch.zeros(scores.shape, dtype=torch.long, device=scores.device)
    face[image[owned], cell] = owned
    unclear = (inside & (quality == 0)[:, None]).to(scores.dtype)
    ignored = _largest(unclear, image, len(scores))
    ignored[image[owned], cell] = 0
    return Targets(score, 1 - ignored, face)


def _inside(faces: Tensor, where: Tensor) -> Tensor:
    """Cells whose middle lies in a face, or up to a cell from its centre where the face is small:
    (F, A)."""
    stride = where[:, 2]
    middle = (where[:, :2] + 0.5) * stride[:, None]
    centre, half = (
        (faces[:, None, :2] + faces[:, None, 2:]) / 2,
        (faces[:, None, 2:] - faces[:, None, :2]) / 2,
    )
    reach = torch.maximum(half, torch.minimum(half * 2, REACH_CELLS * stride[:, None]))
    return ((middle - centre).abs() <= reach).all(-1)


def _top(metric: Tensor) -> Tensor:
    values, cell = metric.topk(min(TOP_CELLS, metric.shape[-1]), dim=-1)
    return torch.zeros_like(metric, dtype=torch.bool).scatter_(-1, cell, values > 0)


def _settle(chosen: Tensor, iou: Tensor, image: Tensor, pictures: int) -> Tensor:
    """Where two faces chose one cell, the one that overlaps its box more keeps it."""
    claim = (iou + 1e-6 * (1 + torch.arange(len(iou), device=iou.device))[:, None]) * chosen
    return chosen & (claim >= _largest(claim, image, pictures)[image])


def _largest(values: Tensor, image: Tensor, pictures: int) -> Tensor:
    """For each cell of each picture the largest of its faces' values, 0 without: (pictures, A)."""
    empty = values.new_zeros(pictures, values.shape[1])
    return empty.scatter_reduce_(0, image[:, None].expand_as(values), values, "amax")


def losses(raw: Tensor, labels: Tensor, where: Tensor) -> Losses:
    """The loss of raw outputs (B, A, 15) against labels
    (B, G, 16), per unit of assigned score."""
    boxes = decode_boxes(raw[..., 1:5], where)
    rows, owner = flatten(labels)
    targets = assign(raw[..., 0].sigmoid(), boxes, rows, owner, where)
    total = targets.score.sum().clamp(min=1.0)
    image, cell = targets.score.nonzero(as_tuple=True)
    row = rows[targets.face[image, cell]]
    share = targets.score[image, cell]
    box = (share * distance_iou_loss(boxes[image, cell], row[:, :4])).sum()
    points = decode_landmarks(raw[image, cell, 5:], where[cell])
    landmarks = (share * landmark_loss(points, row)).sum()
    score = (quality_focal(raw[..., 0], targets.score) * targets.weight).sum()
    return Losses(score / total, BOX_WEIGHT * box / total, LANDMARK_WEIGHT * landmarks / total)


def quality_focal(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy with a soft target, weighted by the squared distance to it."""
    distance = (logits.sigmoid() - target).square()
    return distance * functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


def distance_iou_loss(boxes: Tensor, faces: Tensor) -> Tensor:
    """1 - IoU + squared distance of the centres over the squared diagonal of both: (n, 4), (n, 4)
    to (n,)."""
    low, high = torch.maximum(boxes[:, :2], faces[:, :2]), torch.minimum(boxes[:, 2:], faces[:, 2:])
    both = (high - low).clamp(min=0).prod(-1)
    iou = both / (_area(boxes) + _area(faces) - both).clamp(min=1e-6)
    around = torch.maximum(boxes[:, 2:], faces[:, 2:]) - torch.minimum(boxes[:, :2], faces[:, :2])
    apart = (boxes[:, :2] + boxes[:, 2:] - faces[:, :2] - faces[:, 2:]) / 2
    return 1 - iou + apart.square().sum(-1) / around.square().sum(-1).clamp(min=1e-6)


def landmark_loss(points: Tensor, row: Tensor) -> Tensor:
    """Smooth L1 of landmarks (n, 5, 2) against label rows (n, 16), in face sizes: (n,)."""
    size = (row[:, 2:4] - row[:, :2]).clamp(min=1).mean(-1)[:, None, None]
    due = row[:, 4:14].reshape(-1, 5, 2)
    error = functional.smooth_l1_loss(
        points / size, due / size, beta=LANDMARK_BETA, reduction="none"
    )
    return error.flatten(1).mean(-1) * row[:, 15] * 5
