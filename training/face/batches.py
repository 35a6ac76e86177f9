"""Batches from the shards: rendered crops with labels, natural ones with answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from roommood.shared.errors import ConfigError
from roommood.training.face.answers import NaturalShard, natural_shards
from roommood.training.face.dense import STEP, Dense, dense_losses, joined, natural_window
from roommood.training.face.loss import Losses, losses
from roommood.training.face.pool import MOST_CROPS, Pool, natural_pool, rendered_pool
from roommood.training.face.stock import Shard, shards
from roommood.training.face.windows import Window, relit, rendered_window

WINDOWS = (224, 256, 256, 320)  # of a crop, drawn for each batch: none is shown twice alike
NATURAL_SHARE = 2 / 3
RENDERED_WEIGHT = 0.5  # of their loss, beside natural crops
GROUPS = 4  # of a batch's crops, each seen through a window of its own
LOOK_EVERY = 200  # batches, for new shards
CPU = torch.device("cpu")


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


def batches(
    folder: Path,
    size: int,
    rng: np.random.Generator,
    device: torch.device = CPU,
    most: int = MOST_CROPS,
) -> Iterator[Batch]:
    """Endless batches of both kinds, or of the one of which the folder has shards; new shards are
    taken up as they come. ConfigError without any."""
    natural, rendered = natural_pool(folder, most, device), rendered_pool(folder, most, device)
    while True:
        for pool in (natural, rendered):
            pool.refresh()
        if not len(natural) and not len(rendered):
            raise ConfigError(f"{folder}: no shards; render some first")
        both = bool(len(natural) and len(rendered))
        first = round(size * NATURAL_SHARE) if both else size * bool(len(natural))
        for _ in range(LOOK_EVERY):
            yield _batch(natural, first, rendered, size - first, rng)


def _batch(
    natural: Pool, first: int, rendered: Pool, second: int, rng: np.random.Generator
) -> Batch:
    side = int(rng.choice(WINDOWS))
    pictures: list[Tensor] = []
    answers: list[Dense] = []
    labels: list[Tensor] = []
    for count in _shared(first):
        shown, dense = natural_window(natural.draw(count, rng), Window.drawn(side, rng, STEP))
        pictures.append(shown)
        answers.append(dense)
    for count in _shared(second):
        shown, rows = rendered_window(rendered.draw(count, rng), Window.drawn(side, rng))
        pictures.append(shown)
        labels.append(rows)
    return Batch(
        relit(torch.cat(pictures), rng)[:, None],
        joined(answers) if answers else None,
        torch.cat(labels) if labels else None,
    )


def _shared(count: int) -> list[int]:
    """count in up to GROUPS parts, none of them 0."""
    parts = [count // GROUPS + (number < count % GROUPS) for number in range(GROUPS)]
    return [part for part in parts if part]


def some_pictures(folder: Path, count: int) -> Tensor:
    """The first crops of a folder (N, 1, S, S), from which norms are measured."""
    natural = natural_shards(folder)
    first = NaturalShard.open(natural[0]) if natural else Shard.open(shards(folder)[0])
    return torch.from_numpy(np.array(first.pictures[:count])).float()[:, None]
