"""The crops of the shards, in the memory of the device that trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from roommood.training.face.answers import GRID, MOST_CELLS, PLACE, NaturalShard, natural_shards
from roommood.training.face.paste import CROP
from roommood.training.face.render import LABEL_WIDTH, MAX_FACES
from roommood.training.face.stock import Shard, shards

MOST_CROPS = 40_000  # of each kind: about 5 GB of natural and 4 GB of rendered ones
Parts = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
_PICTURES = ((CROP, CROP), torch.uint8)
NATURAL: Parts = {
    "pictures": _PICTURES,
    "scores": ((len(GRID),), torch.uint8),
    "cells": ((MOST_CELLS,), torch.int16),
    "places": ((MOST_CELLS, PLACE), torch.float16),
    "missed": ((MAX_FACES, LABEL_WIDTH), torch.float32),
}
RENDERED: Parts = {
    "pictures": _PICTURES,
    "labels": ((MAX_FACES, LABEL_WIDTH), torch.float32),
}


class Pool:
    """So many crops of one kind, each part a tensor (most, ...); the oldest give way to new
    ones."""

    def __init__(
        self,
        parts: Parts,
        paths: Callable[[], Sequence[Path]],
        read: Callable[[Path], Any],
        most: int,
        device: torch.device,
    ) -> None:
        self._paths, self._read, self._most = paths, read, most
        self._tensors = {
            name: torch.empty((most, *shape), dtype=kind, device=device)
            for name, (shape, kind) in parts.items()
        }
        self._seen: set[Path] = set()
        self._next = self._filled = 0

    def __len__(self) -> int:
        return self._filled

    def refresh(self) -> None:
        """Take up the shards that were not read yet; one that goes meanwhile is left."""
        for path in self._paths():
            if path in self._seen:
                continue
            self._seen.add(path)
            try:
                self._put(self._read(path))
            except FileNotFoundError:
                continue

    def _put(self, shard: Any) -> None:
        count = min(len(shard), self._most)
        places = torch.from_numpy((self._next + np.arange(count)) % self._most)
        for name, tensor in self._tensors.items():
            part = torch.from_numpy(np.array(getattr(shard, name)[:count]))
            tensor[places.to(tensor.device)] = part.to(tensor.device)
        self._next = (self._next + count) % self._most
        self._filled = min(self._filled + count, self._most)

    def draw(self, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """So many crops, any: each part (count, ...)."""
        index = torch.from_numpy(rng.integers(0, self._filled, count))
        return {name: tensor[index.to(tensor.device)] for name, tensor in self._tensors.items()}


def natural_pool(folder: Path, most: int, device: torch.device) -> Pool:
    """The natural crops of a folder."""
    return Pool(NATURAL, lambda: natural_shards(folder), NaturalShard.open, most, device)


def rendered_pool(folder: Path, most: int, device: torch.device) -> Pool:
    """The rendered crops of a folder."""
    return Pool(RENDERED, lambda: shards(folder), Shard.open, most, device)
