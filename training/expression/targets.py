"""What FER+ is learnt from: which pictures, and which shares of votes they are to answer.

FER2013 holds copies of the same picture in more than one split, mostly with other votes, so
figures on one split flatter a network that saw the copy in another.
"""

import csv
import hashlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.ferplus import Counts, FaceSet, without_single_votes
from roommood.shared.errors import ConfigError
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.ferplus import Floats

# How much the word that FER2013 was searched by weighs, in votes of one person, where a voter saw
# the same and where none did: voters confirm every third face searched as disgust and every
# eighth searched as fear, and without a voter a talking face is no fear.
CONFIRMED_VOTES: Final = {"disgust": 2.0, "fear": 1.5, "anger": 1.0, "sadness": 0.5}
LONE_VOTES: Final = {"disgust": 1.0, "fear": 0.3}


# Of what strangers voted on, the part on which they differ; nearly half of FER+.
_LEAST_DISAGREEMENT: Final = 0.05


def are_of_strangers(votes: Counts) -> bool:
    """Whether votes (N, 10) differ as strangers' do: what has one label each was not voted on."""
    differ = votes.max(axis=1) < votes.sum(axis=1)
    return len(votes) > 0 and bool(differ.mean() >= _LEAST_DISAGREEMENT)


def read_names(path: Path) -> frozenset[str]:
    """The pictures, as SPLIT/NAME, in the last column of each tab-separated line of `path`."""
    lines = path.read_text().splitlines()
    return frozenset(line.split("\t")[-1].strip() for line in lines if line.strip())


def read_first_labels(path: Path) -> dict[str, str]:
    """Expression by SPLIT/NAME from a CSV with the header picture,first_label."""
    with path.open(newline="") as lines:
        rows = csv.DictReader(lines)
        if rows.fieldnames != ["picture", "first_label"]:
            raise ConfigError(f"{path}: the header is {rows.fieldnames}, not picture,first_label")
        return {row["picture"]: row["first_label"] for row in rows}


def without_names(faces: FaceSet, split: str, names: frozenset[str]) -> FaceSet:
    """The faces of a split of that name that `names` does not hold."""
    return faces.take(np.array([f"{split}/{name}" not in names for name in faces.names], bool))


def without_copies(faces: FaceSet, judged: FaceSet) -> FaceSet:
    """The faces of which `judged` holds no copy, equal in every pixel."""
    known = {_digest(picture) for picture in judged.pictures}
    return faces.take(np.array([_digest(p) not in known for p in faces.pictures], bool))


def shares_with_first_labels(faces: FaceSet, split: str, first: dict[str, str]) -> Floats:
    """Shares (N, 8) of votes, to which the first labels of rare expressions add a little.

    A vote of one person is dropped as elsewhere, unless the first label agrees with it.
    """
    agreed = without_single_votes(faces.votes)[:, : len(EXPRESSIONS)].astype(np.float32)
    for row, name in enumerate(faces.names):
        label = first.get(f"{split}/{name}", "")
        if label in CONFIRMED_VOTES:
            place = EXPRESSIONS.index(label)
            seen = faces.votes[row, place]
            own = (CONFIRMED_VOTES if seen else LONE_VOTES).get(label, 0.0)
            agreed[row, place] = seen + own
    return np.asarray(agreed / agreed.sum(axis=1, keepdims=True).clip(min=0.5), dtype=np.float32)


def _digest(picture: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
