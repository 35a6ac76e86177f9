"""A user's own labelled crops, parted into what is learned, what stops a run, what judges it.

Pictures of one session resemble each other, so parts follow time and, where that is near
enough, the bounds between sessions: a picture is not judged by its neighbour.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from roommood.inference_worker.evaluation.ferplus import SIDE_PX
from roommood.inference_worker.evaluation.pictures import read_picture
from roommood.shared.errors import ConfigError, PictureError
from roommood.shared.opencv import cv2
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.collect.collection import labelled_files, margin_of, session_of
from roommood.training.collect.tight import check_tight
from roommood.training.expression.ferplus import Labels, Pictures

# A crop of 48 px with a margin of a quarter on each side.
WIDE_PX: Final = 72
# Learned, then stopping the run; the rest judges it.
CUTS: Final = (0.7, 0.85)
# How far, as a part of the pictures, a cut moves to fall between two sessions.
_SNAP: Final = 0.1


@dataclass(frozen=True)
class Part:
    """Faces with their margin, (N, 72, 72) uint8, and their labels (N,)."""

    pictures: Pictures
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class OwnPictures:
    """The three parts; `by_session` if no session lies in two of them; `twins` were left out."""

    learn: Part
    check: Part
    judge: Part
    by_session: bool
    twins: int


def read_own(folder: Path, least: int, progress: Progress = no_progress) -> OwnPictures:
    """Every picture below `folder`/<expression>/, files of equal content once.

    Raises ConfigError for an unknown class, an unreadable file, fewer than two expressions, or
    fewer than `least` pictures of one that has any.
    """
    margin = margin_of(folder)
    by_class: dict[str, dict[bytes, Path]] = {}
    files = list(labelled_files(folder))
    if not margin:
        check_tight(folder, [path for _, path in files])
    for expression, path in files:
        by_class.setdefault(expression, {}).setdefault(path.read_bytes(), path)
    unique = {name: in_order(list(pictures.values())) for name, pictures in by_class.items()}
    _check_counts(folder, {name: len(paths) for name, paths in unique.items()}, least)
    cuts = {name: cut_points([path.name for path in paths]) for name, paths in unique.items()}
    total, read = sum(map(len, unique.values())), 0
    parts: list[list[tuple[Pictures, int]]] = [[], [], []]
    for name, paths in unique.items():
        for place, path in enumerate(paths):
            part = sum(place >= bound for bound in cuts[name])
            parts[part].append((read_face(path, margin), EXPRESSIONS.index(name)))
            read += 1
            progress(read, total)
    by_session = all(_between_sessions(unique[name], cuts[name]) for name in unique)
    learn, check, judge = map(_part, parts)
    return OwnPictures(learn, check, judge, by_session, len(files) - total)


def read_face(path: Path, margin: float) -> Pictures:
    """One crop as gray (72, 72): the classifier's 48x48 and a margin, its edge repeated if short.

    Of a picture that is not square the middle counts. Raises ConfigError for no picture.
    """
    try:
        picture = read_picture(path, cv2.IMREAD_GRAYSCALE)
    except PictureError as error:
        raise ConfigError(f"{error}: remove it") from error
    height, width = picture.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    wide_px = round(SIDE_PX * (1 + 2 * margin))
    how = cv2.INTER_AREA if side > wide_px else cv2.INTER_LINEAR
    return wide(cv2.resize(square, (wide_px, wide_px), interpolation=how).astype(np.uint8))


def wide(picture: Pictures) -> Pictures:
    """A square picture at 72x72, cut or its edge repeated around the middle."""
    missing = (WIDE_PX - picture.shape[-1]) // 2
    if missing < 0:
        return picture[-missing : -missing + WIDE_PX, -missing : -missing + WIDE_PX]
    rest = WIDE_PX - picture.shape[-1] - missing
    return np.pad(picture, ((missing, rest), (missing, rest)), mode="edge")


def centre(pictures: Pictures) -> Pictures:
    """The classifier's 48x48 of faces (..., 72, 72)."""
    edge = (WIDE_PX - SIDE_PX) // 2
    return pictures[..., edge:-edge, edge:-edge]


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Collected pictures by time; others by a hash of their name, the same on every machine."""
    if all(session_of(path.name) for path in paths):
        return sorted(paths, key=lambda path: path.name)
    return sorted(paths, key=lambda path: (zlib.crc32(path.name.encode()), path.name))


def cut_points(names: Sequence[str]) -> tuple[int, int]:
    """Where the parts of one expression's pictures, in their order, begin: check, then judge.

    A part is never empty where there are three pictures or more.
    """
    sessions = [session_of(name) for name in names]
    count = len(names)
    bounds = [place for place in range(1, count) if sessions[place] != sessions[place - 1]]
    first, second = (_snapped(round(share * count), bounds, count) for share in CUTS)
    first = min(max(first, 1), count - 2)
    return first, min(max(second, first + 1), count - 1)


def _snapped(place: int, bounds: Sequence[int], count: int) -> int:
    near = [bound for bound in bounds if abs(bound - place) <= _SNAP * count]
    return min(near, key=lambda bound: abs(bound - place), default=place)


def _between_sessions(paths: Sequence[Path], cuts: tuple[int, int]) -> bool:
    sessions = [session_of(path.name) for path in paths]
    return all(sessions[cut] and sessions[cut] != sessions[cut - 1] for cut in cuts)


def _check_counts(folder: Path, counts: dict[str, int], least: int) -> None:
    counted = ", ".join(f"{name} {number}" for name, number in counts.items())
    if len(counts) < 2:
        raise ConfigError(
            f"{folder} has pictures of {counted or 'nothing'}: two expressions are due"
        )
    short = [name for name, number in counts.items() if number < least]
    if short:
        raise ConfigError(
            f"{folder} has too few pictures of {', '.join(short)}: {least} different ones of each "
            f"expression are due, and there are {counted}. Collect more, or remove that folder"
        )


def _part(faces: list[tuple[Pictures, int]]) -> Part:
    pictures = np.stack([picture for picture, _ in faces])
    return Part(pictures, np.array([label for _, label in faces], dtype=np.int64))
