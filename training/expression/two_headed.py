"""What networks with two heads learn from: votes, and the word by which FER2013 was searched."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.ferplus import FaceSet
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.data import (
    TRAIN,
    drawing_odds,
    learnable,
    load_unlabelled,
)
from roommood.training.expression.evaluate import clear_faces
from roommood.training.expression.ferplus import (
    Floats,
    Pictures,
    expression_shares,
    held_out,
    trainable,
)
from roommood.training.expression.targets import read_first_labels

# Votes, then first labels.
HEADS: Final = 2
# In choosing what is drawn, what a first label weighs beside the votes.
_FIRST_LABELS_DRAW: Final = 0.5


@dataclass(frozen=True)
class TwoHeaded:
    """Pictures (N, 48, 48) and what each head is to answer to them, (N, 2, 8).

    A row of zeros is left to teachers; one in which all are alike is no face.
    """

    pictures: Pictures
    shares: Floats

    def joined(self, other: "TwoHeaded") -> "TwoHeaded":
        """These, then the others."""
        return TwoHeaded(
            np.concatenate([self.pictures, other.pictures]),
            np.concatenate([self.shares, other.shares]),
        )

    def odds(self, balance: float) -> NDArray[np.float64]:
        """Odds (N,) of drawing each: see `drawing_odds`."""
        return drawing_odds(self.shares[:, 0] + _FIRST_LABELS_DRAW * self.shares[:, 1], balance)


def load_two_headed(
    data: Path,
    first_labels: Path,
    leave_out: Path | None = None,
    held_out_percent: int = 5,
    progress: Progress = no_progress,
) -> tuple[TwoHeaded, TwoHeaded]:
    """The faces of FER+ Train to learn from, and the held-out ones with a clear majority.

    Raises ConfigError.
    """
    split = learnable(data, leave_out, progress)
    out = held_out(split.names, held_out_percent)
    first = read_first_labels(first_labels)
    return (
        two_headed(split.take(~out & trainable(split.votes)), first),
        two_headed(clear_faces(split.take(out)), first),
    )


def two_headed(faces: FaceSet, first: dict[str, str]) -> TwoHeaded:
    """Faces of Train with the shares of their votes and the first labels of those that have one."""
    shares = np.zeros((len(faces), HEADS, len(EXPRESSIONS)), dtype=np.float32)
    shares[:, 0] = expression_shares(faces.votes)
    for row, name in enumerate(faces.names):
        label = first.get(f"{TRAIN}/{name}")
        if label:
            shares[row, 1, EXPRESSIONS.index(label)] = 1
    return TwoHeaded(faces.pictures, shares)


def first_label_shares(first: dict[str, str]) -> Floats:
    """The share (8,) of each expression among the first labels of Train; none is contempt's."""
    labels = [label for name, label in first.items() if name.startswith(f"{TRAIN}/")]
    counts = np.array([labels.count(name) for name in EXPRESSIONS], dtype=np.float32)
    return np.asarray(counts / max(1, len(labels)), dtype=np.float32)


def unlabelled(folder: Path) -> TwoHeaded:
    """Every picture below `folder` as a face that only teachers know."""
    return _alike(load_unlabelled(folder).pictures, 0.0)


def non_faces(folder: Path) -> TwoHeaded:
    """Every picture below `folder` as one of which no expression is to be told."""
    return _alike(load_unlabelled(folder).pictures, 1 / len(EXPRESSIONS))


def _alike(pictures: Pictures, share: float) -> TwoHeaded:
    shape = (len(pictures), HEADS, len(EXPRESSIONS))
    return TwoHeaded(pictures, np.full(shape, share, dtype=np.float32))
