"""What a training run draws from: faces, target shares, and how often each is drawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from roommood.inference_worker.evaluation.ferplus import (
    SIDE_PX,
    FaceSet,
    majority_labels,
    read_split,
)
from roommood.shared.errors import ConfigError
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.augment import Policy, augment
from roommood.training.expression.ferplus import Floats, Pictures, held_out, trainable
from roommood.training.expression.net import MEAN, STD
from roommood.training.expression.targets import (
    read_first_labels,
    read_names,
    shares_with_first_labels,
    without_copies,
    without_names,
)

TRAIN = "FER2013Train"
JUDGED = ("FER2013Valid", "FER2013Test")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Faces:
    """Pictures (N, 48, 48) and target shares (N, 8); a row of zeros is left to the teachers.

    Pictures to learn from may be larger: see `augment`.
    """

    pictures: Pictures
    shares: Floats

    def joined(self, other: "Faces") -> "Faces":
        """These faces, then the others."""
        return Faces(
            np.concatenate([self.pictures, other.pictures]),
            np.concatenate([self.shares, other.shares]),
        )


@dataclass(frozen=True)
class Lesson:
    """What a run learns from, how often each face is drawn, and what its accuracy is checked on.

    An epoch is `draws` faces, or as many as there are; the accuracy of a run is the mean over
    `checks`.
    """

    learn: Faces
    odds: NDArray[np.float64]
    checks: tuple[Faces, ...]
    draws: int = 0


def load_faces(
    data: Path,
    held_out_percent: int,
    progress: Progress = no_progress,
    leave_out: Path | None = None,
    first_labels: Path | None = None,
) -> tuple[Faces, Faces]:
    """The training faces of the FER+ folder `data`, and the held-out ones with a clear majority.

    Left out are the pictures that `leave_out` names, and those of which another split holds a
    copy. For `first_labels` see `targets`. Raises ConfigError where nothing is left of either.
    """
    split = learnable(data, leave_out, progress)
    out = held_out(split.names, held_out_percent)
    learn = split.take(~out & trainable(split.votes))
    check = split.take(out & (majority_labels(split.votes) >= 0))
    if not len(learn):
        raise ConfigError(
            f"{data / TRAIN} has nothing to learn from: an expression must have most votes of a "
            f"picture, and no copy of that may lie in {' or '.join(JUDGED)}"
        )
    if not len(check):
        raise ConfigError(
            f"{data / TRAIN} has too few pictures to hold {held_out_percent} % of them out: "
            "raise --held-out"
        )
    first = read_first_labels(first_labels) if first_labels else {}
    return (
        Faces(learn.pictures, shares_with_first_labels(learn, TRAIN, first)),
        Faces(check.pictures, np.eye(8, dtype=np.float32)[majority_labels(check.votes)]),
    )


def learnable(
    data: Path, leave_out: Path | None = None, progress: Progress = no_progress
) -> FaceSet:
    """The faces of Train that may be learnt from: see `load_faces`."""
    split = read_split(data / TRAIN, progress)
    if leave_out:
        split = without_names(split, TRAIN, read_names(leave_out))
    for name in filter(lambda name: (data / name).is_dir(), JUDGED):
        split = without_copies(split, read_split(data / name))
    return split


def load_unlabelled(folder: Path) -> Faces:
    """Every picture below `folder` as a face without a target, grey and scaled to 48x48."""
    import cv2

    from roommood.shared.opencv import file_name

    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
    read = [cv2.imread(file_name(file), cv2.IMREAD_GRAYSCALE) for file in files]
    size = (SIDE_PX, SIDE_PX)
    faces = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in read if p is not None]
    pictures = np.array(faces, dtype=np.uint8).reshape(-1, *size)
    return Faces(pictures, np.zeros((len(pictures), 8), dtype=np.float32))


def load_non_faces(folder: Path, teacher_share: float) -> Faces:
    """Every picture below `folder` as one on which no expression is likelier than another.

    Of its target nothing is left to teachers, who have `teacher_share` of the others'.
    """
    pictures = load_unlabelled(folder).pictures
    even = 1 / (len(EXPRESSIONS) * (1 - teacher_share))
    return Faces(pictures, np.full((len(pictures), len(EXPRESSIONS)), even, dtype=np.float32))


def with_non_faces(
    learn: Faces, odds: NDArray[np.float64], others: Faces
) -> tuple[Faces, NDArray[np.float64]]:
    """Both together, each of the others drawn half as often as the average of the first."""
    each = np.full(len(others.pictures), odds.mean() / 2)
    every = np.concatenate([odds, each])
    return learn.joined(others), np.asarray(every / every.sum())


def drawing_odds(shares: Floats, balance: float) -> NDArray[np.float64]:
    """Odds (N,) of drawing each face: 0 draws evenly, 1 draws each expression equally often.

    A face without a target is drawn half as often as the average one with a target.
    """
    known = shares.any(axis=1)
    weights = (shares @ shares[known].mean(axis=0).clip(1e-6) ** -balance).astype(np.float64)
    weights[~known] = weights[known].mean() / 2
    return np.asarray(weights / weights.sum())


def draw(odds: NDArray[np.float64], count: int, rng: Generator) -> NDArray[np.int64]:
    """`count` row numbers in random order, each as often as its odds say, give or take one."""
    marks = (np.arange(count) + rng.random()) / count
    rows = np.searchsorted(odds.cumsum(), marks).clip(max=len(odds) - 1)
    return rng.permutation(rows)


def batches(
    faces: Faces, rows: NDArray[np.int64], policy: Policy, rng: Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each row of `rows` (steps, batch): augmented faces as the network's input, and shares."""
    for batch in rows:
        drawn = [augment(faces.pictures[row], policy, rng) for row in batch]
        yield as_input(np.stack(drawn)), torch.from_numpy(faces.shares[batch])


def mix(pictures: Tensor, shares: Tensor, alpha: float, rng: Generator) -> tuple[Tensor, Tensor]:
    """Each face and target blended with another of its batch, by a part from Beta(alpha, alpha)."""
    if not alpha:
        return pictures, shares
    count = len(pictures)
    part = torch.from_numpy(rng.beta(alpha, alpha, (count, 1)).astype(np.float32))
    other = torch.from_numpy(rng.permutation(count))
    blended = pictures[other].lerp(pictures, part[:, :, None, None])
    return blended, shares[other].lerp(shares, part)


def as_input(pictures: Pictures) -> Tensor:
    """Pictures (N, 48, 48) as the network's input (N, 1, 48, 48)."""
    return (torch.from_numpy(pictures).float().unsqueeze(1) - MEAN) / STD
