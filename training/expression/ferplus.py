"""Reading face pictures and votes in the folder layout of FER+.

A split is a folder of 48x48 grey PNG files beside a `label.csv` without a
header: file name, crop box, then ten vote counts.  The vote columns and the
majority protocol are those of Barsoum et al. 2016, "Training Deep Networks for
Facial Expression Recognition with Crowd-Sourced Label Distribution"
(arXiv 1608.01041).
"""

import csv
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roommood.shared.errors import RoommoodError
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS

VOTE_COLUMNS = (*EXPRESSIONS, "unknown", "not a face")
SIDE_PX = 48
DROPPED = -1

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


class FerPlusError(RoommoodError):
    """A split's folder or its label.csv is not what the FER+ layout promises."""


@dataclass(frozen=True)
class FaceSet:
    """Labelled faces: `pictures` (N, 48, 48) uint8, `votes` (N, 10) counts, `names` of files."""

    pictures: Pictures
    votes: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "FaceSet":
        """The faces chosen by a mask or by row numbers, in that order."""
        index = np.arange(len(self))[rows]
        return FaceSet(self.pictures[index], self.votes[index], tuple(self.names[i] for i in index))


def read_split(folder: Path, progress: Progress = no_progress) -> FaceSet:
    """All rows of `folder`/label.csv with their pictures.

    Raises FerPlusError when the file is missing, a row is malformed, or a picture
    is not 48x48.
    """
    rows = _read_rows(folder / "label.csv")
    pictures = np.empty((len(rows), SIDE_PX, SIDE_PX), dtype=np.uint8)
    for place, (name, _) in enumerate(rows):
        pictures[place] = _read_picture(folder / name)
        progress(place + 1, len(rows))
    votes = np.array([votes for _, votes in rows], dtype=np.float32)
    return FaceSet(pictures, votes, tuple(name for name, _ in rows))


def majority_labels(votes: Floats) -> Labels:
    """The majority label (N,) of votes (N, 10), or DROPPED.

    A class that only one person chose counts as an error and loses its vote; then
    a picture is kept if its top class holds more than half of the remaining votes
    and is one of the eight expressions.
    """
    agreed = without_single_votes(votes)
    top = agreed.argmax(axis=1)
    clear = agreed.max(axis=1) > 0.5 * agreed.sum(axis=1)
    kept = clear & (top < len(EXPRESSIONS))
    return np.where(kept, top, DROPPED).astype(np.int64)


def expression_shares(votes: Floats) -> Floats:
    """Votes (N, 10) as distributions (N, 8) over the expressions; a row without any is all zero."""
    agreed = without_single_votes(votes)[:, : len(EXPRESSIONS)]
    totals = agreed.sum(axis=1, keepdims=True)
    return np.asarray(agreed / np.maximum(totals, 1), dtype=np.float32)


def without_single_votes(votes: Floats) -> Floats:
    """The same votes with every count of one set to zero."""
    return np.where(votes > 1, votes, 0).astype(np.float32)


def trainable(votes: Floats) -> NDArray[np.bool_]:
    """A mask (N,) of the rows worth learning from: most of their votes name an expression."""
    agreed = without_single_votes(votes)
    named = agreed[:, : len(EXPRESSIONS)].sum(axis=1)
    return np.asarray((named > 0) & (named > 0.5 * agreed.sum(axis=1)), dtype=np.bool_)


def held_out(names: tuple[str, ...], percent: int) -> NDArray[np.bool_]:
    """A mask (N,) of about `percent` % of the names, the same on every machine and in any order."""
    return np.array([zlib.crc32(name.encode()) % 100 < percent for name in names], dtype=bool)


def _read_rows(path: Path) -> list[tuple[str, list[int]]]:
    if not path.is_file():
        raise FerPlusError(f"{path} is missing: give the folder that holds the PNGs and label.csv")
    with path.open(newline="") as lines:
        rows = [_parse_row(path, number, row) for number, row in enumerate(csv.reader(lines), 1)]
    if not rows:
        raise FerPlusError(f"{path} is empty")
    return rows


def _parse_row(path: Path, number: int, row: list[str]) -> tuple[str, list[int]]:
    try:
        votes = [int(float(cell)) for cell in row[2:]]
    except ValueError as error:
        raise FerPlusError(f"{path}, line {number}: a vote is not a number: {error}") from error
    if len(votes) != len(VOTE_COLUMNS):
        expected = len(VOTE_COLUMNS)
        raise FerPlusError(f"{path}, line {number}: {len(votes)} votes, expected {expected}")
    return row[0], votes


def _read_picture(path: Path) -> Pictures:
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise FerPlusError(f"{path} is missing or not a picture")
    if picture.shape != (SIDE_PX, SIDE_PX):
        raise FerPlusError(f"{path} is {picture.shape[1]}x{picture.shape[0]}, expected 48x48")
    return picture.astype(np.uint8, copy=False)
