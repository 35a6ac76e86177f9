"""Crops for the classifier from the photographs that the detector learns from: faces without a
label of their own, and what a detector takes for faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from roommood.inference_worker.evaluation.ferplus import SIDE_PX
from roommood.shared.opencv import file_name
from roommood.training.face.data import Floats, Picture
from roommood.training.face.mine import traps
from roommood.training.face.stock import load_photographs
from roommood.training.face.teacher import Detector
from roommood.training.face.warp import Photo

SQUARE_OF_BOX = 1.13
SMALLEST_PX = 24.0
CERTAIN_SCORE = 0.95
MOST_TRAPS = 1500
MOST_PIECES = 700
SEED = 5


def write_crops(
    root: Path,
    labels: Path,
    earlier: Detector,
    faces: Path,
    non_faces: Path,
    progress: Callable[[str], None],
) -> tuple[int, int]:
    """Write both kinds as 48x48 grey PNG files; how many there are of each."""
    rng = np.random.default_rng(SEED)
    scenes, empties = load_photographs(root, labels, progress)
    return (
        _write(faces, _certain_faces(scenes)),
        _write(non_faces, [*_false_alarms(earlier, empties, rng), *_pieces(empties, rng)]),
    )


def _certain_faces(photos: Iterable[Photo]) -> Iterable[Picture]:
    for photo in photos:
        for box, score in zip(photo.faces.boxes, photo.faces.scores, strict=True):
            if score >= CERTAIN_SCORE and np.sqrt(np.prod(box[2:] - box[:2])) >= SMALLEST_PX:
                yield square(photo.picture, box)


def _false_alarms(detector: Detector, photos: Sequence[Photo], rng: Generator) -> Iterable[Picture]:
    mistaken = traps(detector, photos)
    for place in rng.permutation(len(mistaken))[:MOST_TRAPS]:
        yield square(mistaken[place].photo.picture, mistaken[place].box)


def _pieces(photos: Sequence[Photo], rng: Generator) -> Iterable[Picture]:
    """Squares from anywhere in pictures without faces."""
    for place in rng.integers(0, len(photos), MOST_PIECES):
        picture = photos[place].picture
        side = rng.uniform(0.1, 0.8) * min(picture.shape)
        corner = rng.uniform(0, np.array(picture.shape[::-1]) - side)
        yield square(picture, np.concatenate([corner, corner + side]).astype(np.float32))


def square(picture: Picture, box: Floats) -> Picture:
    """The square around a box (4,) that the classifier sees, 48x48; its edge repeated."""
    side = float(np.sqrt(np.prod(box[2:] - box[:2]))) * SQUARE_OF_BOX
    corner = (box[:2] + box[2:]) / 2 - side / 2
    margin = int(side) + 2
    framed = cv2.copyMakeBorder(picture, *(margin,) * 4, cv2.BORDER_REPLICATE)
    left, top = np.round(corner).astype(int) + margin
    piece = framed[top : top + max(int(side), 1), left : left + max(int(side), 1)]
    how = cv2.INTER_AREA if side > SIDE_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(piece, (SIDE_PX, SIDE_PX), interpolation=how), np.uint8)


def _write(folder: Path, crops: Iterable[Picture]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for count, crop in enumerate(crops, 1):
        cv2.imwrite(file_name(folder / f"{count:05d}.png"), crop)
    return count
