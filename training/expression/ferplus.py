"""What is learnt from votes in the layout of FER+, and which faces are kept out."""

import zlib

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.ferplus import Counts, without_single_votes
from roommood.shared.protocol.emotions import EXPRESSIONS

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def expression_shares(votes: Counts) -> Floats:
    """Votes (N, 10) as distributions (N, 8) over the expressions; a row without any is all zero."""
    agreed = without_single_votes(votes)[:, : len(EXPRESSIONS)]
    totals = agreed.sum(axis=1, keepdims=True)
    return np.asarray(agreed / np.maximum(totals, 1), dtype=np.float32)


def trainable(votes: Counts) -> NDArray[np.bool_]:
    """A mask (N,) of the rows worth learning from: most of their votes name an expression."""
    agreed = without_single_votes(votes)
    named = agreed[:, : len(EXPRESSIONS)].sum(axis=1)
    return np.asarray((named > 0) & (named > 0.5 * agreed.sum(axis=1)), dtype=np.bool_)


def held_out(names: tuple[str, ...], percent: int) -> NDArray[np.bool_]:
    """A mask (N,) of about `percent` % of the names, the same on every machine and in any order."""
    return np.array([zlib.crc32(name.encode()) % 100 < percent for name in names], dtype=bool)
