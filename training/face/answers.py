"""The teacher's answers to a natural crop, cell by cell, and the shards that hold them on disk.

The net has the teacher's grids, so it can learn the teacher's answers themselves (Hinton et al.
2015), everywhere, instead of a few boxes; what the labels add to them, or doubt, stands beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.average_precision import iou_matrix
from roommood.training.face.data import Faces, Floats, Picture
from roommood.training.face.net import cells, decode_boxes
from roommood.training.face.paste import CROP
from roommood.training.face.render import LABEL_WIDTH, MAX_FACES, pack
from roommood.training.face.teacher import STRIDES, cell_scores

PLACE = 14  # of a cell: a box and five points, in its own strides
MOST_CELLS = 384
FAINT = 0.15  # below it a cell's box is not learnt
DOUBT = 0.3  # from it on a cell must lie on a labelled face, or is left out
SAME_IOU, MISSED = 0.35, 0.6
PLAIN_PX = 17.0  # a face that the teacher misses is learnt from this size on, left out below
LEVELS = 250  # a score is stored as so many steps
UNKNOWN = 255


@dataclass(frozen=True)
class Answers:
    """What the teacher says of one crop.

    scores  (A,) in steps of 1/LEVELS, UNKNOWN where nothing is to be learnt
    cells   (n,) the cells with a face
    places  (n, PLACE) their boxes and landmarks, as the net gives them
    """

    scores: NDArray[np.uint8]
    cells: NDArray[np.int64]
    places: Floats


@dataclass(frozen=True)
class NaturalCrop:
    """One example: grey (CROP, CROP), the teacher's answers, and label rows (MAX_FACES, 16) of
    faces that it misses."""

    picture: Picture
    answers: Answers
    missed: Floats


def every_cell(outputs: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Scores (A,) and places (A, PLACE) of all cells, from the finest grid on."""
    scores, places = [], []
    for stride in STRIDES:
        scores.append(cell_scores(outputs, stride))
        box, points = outputs[f"bbox_{stride}"][0], outputs[f"kps_{stride}"][0]
        places.append(np.concatenate([box.reshape(-1, 4), points.reshape(-1, 10)], 1))
    return np.concatenate(scores), np.concatenate(places)


GRID = cells(CROP, CROP)  # of a crop: column, row and stride of every cell


def _boxes(chosen: NDArray[np.int64], places: Floats) -> Floats:
    """Left, top, right, bottom in pixels of some cells' places."""
    boxes: Floats = decode_boxes(torch.from_numpy(places[:, :4]), GRID[chosen]).numpy()
    return boxes


def labelled(places: Floats, faces: Faces) -> NDArray[np.bool_]:
    """Of all cells (A,) those whose place (A, PLACE) lies on a labelled face."""
    overlap = iou_matrix(_boxes(np.arange(len(places)), places), faces.boxes)
    on_face: NDArray[np.bool_] = (overlap >= SAME_IOU).any(1)
    return on_face


def answers(scores: Floats, places: Floats, faces: Faces) -> Answers:
    """What of the teacher's scores (A,) and places (A, PLACE) is to be learnt: where it is fairly
    sure of a face on which no label lies, nothing."""
    steps = np.round(scores * LEVELS).astype(np.uint8)
    likely = np.flatnonzero(scores >= DOUBT)
    overlap = iou_matrix(_boxes(likely, places[likely]), faces.boxes)
    steps[likely[~(overlap >= SAME_IOU).any(1)]] = UNKNOWN
    chosen = np.flatnonzero((scores >= FAINT) & (steps != UNKNOWN))
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")[:MOST_CELLS]]
    return Answers(steps, chosen, places[chosen])


def missed(scores: Floats, places: Floats, faces: Faces, plain: bool) -> Floats:
    """Label rows of the faces that the teacher does not see; small or unclear ones among them, and
    all in a spoilt picture, have score 0."""
    seen = np.flatnonzero(scores >= MISSED)
    overlap = iou_matrix(faces.boxes, _boxes(seen, places[seen]))
    fair = plain & ((faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(-1) >= PLAIN_PX**2)
    faces = Faces(faces.boxes, faces.landmarks, np.where(fair, faces.scores, 0).astype(np.float32))
    return pack(faces.where(~(overlap >= SAME_IOU).any(1)))


@dataclass(frozen=True)
class NaturalShard:
    """Crops on disk, memory-mapped: pictures (n, CROP, CROP), scores (n, A), cells (n, MOST_CELLS)
    with -1 behind the last, places (n, MOST_CELLS, PLACE), missed (n, MAX_FACES, 16)."""

    pictures: Picture
    scores: NDArray[np.uint8]
    cells: NDArray[np.int16]
    places: NDArray[np.float16]
    missed: Floats

    @classmethod
    def open(cls, folder: Path) -> NaturalShard:
        """Map a folder that write_shard wrote."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in PARTS))

    def __len__(self) -> int:
        return len(self.pictures)


PARTS = ("pictures", "scores", "cells", "places", "missed")


def natural_shards(folder: Path) -> Sequence[Path]:
    """The finished shards of a folder, oldest first."""
    return sorted(path for path in folder.glob("natural-*") if path.suffix != ".part")


def write_shard(folder: Path, count: int, crops: Iterable[NaturalCrop]) -> None:
    """Write count crops to a folder, which appears only when it is complete."""
    part = folder.with_suffix(".part")
    part.mkdir(parents=True, exist_ok=True)
    stock = NaturalShard(
        np.zeros((count, CROP, CROP), np.uint8),
        np.zeros((count, len(GRID)), np.uint8),
        np.full((count, MOST_CELLS), -1, np.int16),
        np.zeros((count, MOST_CELLS, PLACE), np.float16),
        np.zeros((count, MAX_FACES, LABEL_WIDTH), np.float32),
    )
    for i, crop in enumerate(crops):
        n = len(crop.answers.cells)
        stock.pictures[i], stock.scores[i] = crop.picture, crop.answers.scores
        stock.cells[i, :n], stock.places[i, :n] = crop.answers.cells, crop.answers.places
        stock.missed[i] = crop.missed
    for name in PARTS:
        np.save(part / f"{name}.npy", getattr(stock, name))
    part.rename(folder)
