"""Batches from shards on disk: rendered crops with labels, natural ones with answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from roommood.training.face.answers import NaturalShard, natural_shards
from roommood.training.face.dense import Dense, dense_losses, natural_window
from roommood.training.face.loss import Losses, losses
from roommood.training.face.stock import Shard, shards
from roommood.training.face.windows import mirror_labels, relit, window

WINDOWS = (224, 256, 256, 320)  # of a crop, drawn for each batch: none is shown twice alike
NATURAL_SHARE = 2 / 3
RENDERED_WEIGHT = 0.5  # of their loss, beside natural crops


@dataclass(frozen=True)
class Batch:
    """Pictures (B, 1, S, S), 0..255: natural ones first, as many as `dense` has rows, then rendered
    ones with label rows (R, G, 16)."""

    pictures: Tensor
    dense: Dense | None
    labels: Tensor | None

    def losses(self, raw: Tensor, where: Tensor) -> Losses:
        """Of raw outputs (B, A, 15) at the cells (A, 3)."""
        if self.dense is None:
            assert self.labels is not None
            return losses(raw, self.labels, where)
        count = len(self.dense.scores)
        natural = dense_losses(raw[:count], self.dense, where)
        if self.labels is None:
            return natural
        return natural.plus(losses(raw[count:], self.labels, where), RENDERED_WEIGHT)


def batches(folder: Path, size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Endless batches of both kinds, or of the one of which the folder has shards; new shards are
    taken up as they come. FileNotFoundError without any."""
    natural = Endless(lambda: [NaturalShard.open(path) for path in natural_shards(folder)], rng)
    rendered = Endless(lambda: [Shard.open(path) for path in shards(folder)], rng)
    while True:
        both = bool(natural) and bool(rendered)
        if not natural and not rendered:
            raise FileNotFoundError(f"{folder}: no shards; render some first")
        first = round(size * NATURAL_SHARE) if both else size * bool(natural)
        side = int(rng.choice(WINDOWS))
        yield _batch(natural.take(first), rendered.take(size - first), side, rng)


class Endless:
    """Draws crops from all shards there are, half of each before it looks for new ones."""

    def __init__(self, read: Callable[[], Sequence[Any]], rng: np.random.Generator) -> None:
        self._read, self._rng = read, rng
        self._drawn: list[tuple[Any, int]] = []

    def __bool__(self) -> bool:
        return bool(self._drawn or self._read())

    def take(self, count: int) -> list[tuple[Any, int]]:
        """So many crops: a shard, and a place in it. FileNotFoundError where there are none."""
        while len(self._drawn) < count:
            more = [
                (shard, i)
                for shard in self._read()
                for i in self._rng.permutation(len(shard))[: (len(shard) + 1) // 2].tolist()
            ]
            if not more:
                raise FileNotFoundError("no crops in the shards any more; render some")
            self._rng.shuffle(more)
            self._drawn = more + self._drawn
        return [self._drawn.pop() for _ in range(count)]


def _batch(
    natural: list[tuple[NaturalShard, int]],
    rendered: list[tuple[Shard, int]],
    side: int,
    rng: np.random.Generator,
) -> Batch:
    pictures: list[Tensor] = []
    dense, labels = None, None
    if natural:
        part, dense = natural_window(natural, side, rng)
        pictures.append(part)
    if rendered:
        part, labels = _rendered(rendered, side, rng)
        pictures.append(part)
    return Batch(relit(torch.cat(pictures), rng)[:, None], dense, labels)


def _rendered(
    crops: list[tuple[Shard, int]], side: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    pictures = torch.from_numpy(np.stack([shard.pictures[i] for shard, i in crops])).float()
    rows = torch.from_numpy(np.stack([shard.labels[i] for shard, i in crops]))
    mirrored = torch.from_numpy(rng.random(len(rows)) < 0.5)
    pictures[mirrored] = pictures[mirrored].flip(-1)
    rows[mirrored] = mirror_labels(rows[mirrored], pictures.shape[-1])
    return window(pictures, rows, side, rng)


def some_pictures(folder: Path, count: int) -> Tensor:
    """The first crops of a folder (N, 1, S, S), from which norms are measured."""
    natural = natural_shards(folder)
    first = NaturalShard.open(natural[0]) if natural else Shard.open(shards(folder)[0])
    return torch.from_numpy(np.array(first.pictures[:count])).float()[:, None]
