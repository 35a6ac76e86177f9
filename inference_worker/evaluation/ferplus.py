"""Face pictures and votes in the folder layout of FER+.

A split is a folder of 48x48 gray pictures beside a `label.csv` without a header: file name,
crop box, ten vote counts. The columns and the majority protocol are those of Barsoum et al.
2016, "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
Distribution" (arXiv 1608.01041).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.pictures import read_picture
from roommood.inference_worker.evaluation.tables import rows_of
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.errors import ConfigError, PictureError
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS

SPLITS: Final = {"train": "FER2013Train", "valid": "FER2013Valid", "test": "FER2013Test"}
LABEL_FILE: Final = "label.csv"
VOTE_COLUMNS: Final = (*EXPRESSIONS, "unknown", "not a face")
SIDE_PX: Final = 48
UNCLEAR: Final = -1
_BEFORE_VOTES: Final = 2

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FaceSet:
    """Faces and votes: `pictures` (N, 48, 48) uint8, `votes` (N, 10) counts, `names` of files."""

    pictures: Picture
    votes: Counts
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "FaceSet":
        """The faces chosen by a mask or by row numbers, in that order."""
        index = np.arange(len(self))[rows]
        return FaceSet(self.pictures[index], self.votes[index], tuple(self.names[i] for i in index))


def find_split(data: Path, split: str | None) -> tuple[str, Path]:
    """A split's name and folder: the one asked for, else test if it is there, else valid.

    Raises ConfigError, naming what is there.
    """
    there = [name for name, folder in SPLITS.items() if (data / folder).is_dir()]
    splits = [split] if split else ["test", "valid"]
    for name in splits:
        if name in there:
            return name, data / SPLITS[name]
    raise ConfigError(
        f"{data}: no {' or '.join(SPLITS[name] for name in splits)}/ there; "
        f"it has {', '.join(SPLITS[name] for name in there) or 'no split at all'}: choose --split"
    )


def read_clear_faces(folder: Path, limit: int | None = None) -> tuple[Picture, Counts]:
    """Pictures (N, 48, 48) with a clear majority, and their labels (N,) in wire order.

    Pictures without one are never read. Raises as `read_split` does.
    """
    rows = _read_rows(folder / LABEL_FILE)
    labels = majority_labels(np.array([votes for _, votes in rows], np.int64))
    kept = np.flatnonzero(labels != UNCLEAR)[:limit]
    if not kept.size:
        raise ConfigError(f"{folder / LABEL_FILE}: no picture has a clear majority of votes")
    return np.stack([_read_picture(folder / rows[i][0]) for i in kept]), labels[kept]


def read_split(folder: Path, progress: Progress = no_progress) -> FaceSet:
    """All rows of `folder`/label.csv with their pictures.

    Raises:
        ConfigError: the file is missing or empty, or a row is malformed.
        PictureError: a picture is missing, unreadable or not 48x48.
    """
    rows = _read_rows(folder / LABEL_FILE)
    pictures = np.empty((len(rows), SIDE_PX, SIDE_PX), np.uint8)
    for place, (name, _) in enumerate(rows):
        pictures[place] = _read_picture(folder / name)
        progress(place + 1, len(rows))
    votes = np.array([votes for _, votes in rows], np.int64)
    return FaceSet(pictures, votes, tuple(name for name, _ in rows))


def majority_labels(votes: Counts) -> Counts:
    """The label (N,) on which most votes (N, 10) agree, or UNCLEAR.

    A class that one person alone chose loses its vote; then the top class must hold more than
    half of what is left, and be one of the eight expressions.
    """
    agreed = without_single_votes(votes)
    top = agreed.argmax(axis=1)
    clear = 2 * agreed.max(axis=1) > agreed.sum(axis=1)
    return np.where(clear & (top < len(EXPRESSIONS)), top, UNCLEAR)


def without_single_votes(votes: Counts) -> Counts:
    """The same votes, every count of one set to zero."""
    return np.where(votes > 1, votes, 0)


def _read_rows(path: Path) -> list[tuple[str, list[int]]]:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file: a FER+ split holds pictures and {LABEL_FILE}")
    rows = [_parse_row(path, number, row) for number, row in rows_of(path)]
    if not rows:
        raise ConfigError(f"{path}: it is empty: a row per picture is due")
    return rows


def _parse_row(path: Path, number: int, row: list[str]) -> tuple[str, list[int]]:
    cells = row[_BEFORE_VOTES:]
    if len(cells) != len(VOTE_COLUMNS):
        raise ConfigError(
            f"{path}, line {number}: {len(cells)} votes after name and box, {len(VOTE_COLUMNS)} "
            f"are due: {', '.join(VOTE_COLUMNS)}"
        )
    if not all(cell.isdecimal() for cell in cells):
        raise ConfigError(f"{path}, line {number}: votes are whole numbers, not {cells}")
    return row[0], [int(cell) for cell in cells]


def _read_picture(path: Path) -> Picture:
    if not path.is_file():
        raise PictureError(f"{path}: missing, but {LABEL_FILE} names it")
    picture = read_picture(path, cv2.IMREAD_GRAYSCALE)
    if picture.shape != (SIDE_PX, SIDE_PX):
        height, width = picture.shape
        raise PictureError(f"{path}: {width}x{height} pixels, {SIDE_PX}x{SIDE_PX} are due")
    return picture
