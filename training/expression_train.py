"""Training the expression classifier on vote distributions, alone or with teachers.

The targets are shares of votes, not single labels (Barsoum et al. 2016).  Rare
expressions are drawn more often; pairs of faces are mixed (Zhang et al. 2018,
arXiv 1710.09412); the weights that count are an exponential moving average.
Teachers see the very pictures that the student sees (Beyer et al. 2022,
arXiv 2106.05237).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.augment import Policy, augment
from training.expression_net import MEAN, STD, STUDENT, ExpressionNet, NetShape
from training.ferplus import (
    Floats,
    Pictures,
    expression_shares,
    held_out,
    majority_labels,
    read_split,
    trainable,
)

Progress = Callable[[int, float, float], None]


@dataclass(frozen=True)
class TrainSettings:
    """One run.  `teacher_share` is the part of the target that teachers give, the votes the rest.

    `held_out_percent` of the pictures are never trained on: they choose nothing but
    the epoch that is kept, the temperature and the offsets.
    """

    data: Path
    checkpoint: Path
    shape: NetShape = STUDENT
    epochs: int = 30
    batch: int = 128
    peak_rate: float = 3e-3
    weight_decay: float = 0.05
    average_decay: float = 0.998
    mixup: float = 0.3
    balance: float = 0.3
    held_out_percent: int = 5
    seed: int = 1
    threads: int = 1
    policy: Policy = field(default_factory=Policy)
    teachers: tuple[Path, ...] = ()
    teacher_share: float = 0.7


@dataclass(frozen=True)
class Faces:
    """What a run learns from or is checked on: pictures (N, 48, 48) and target shares (N, 8)."""

    pictures: Pictures
    shares: Floats


class Run:
    """One training run that can stop after any epoch and resume from its checkpoint."""

    def __init__(self, settings: TrainSettings) -> None:
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.faces, self.checked = load_faces(settings.data, settings.held_out_percent)
        self.odds = drawing_odds(self.faces.shares, settings.balance)
        self.steps = len(self.faces.shares) // settings.batch
        self.net = ExpressionNet(settings.shape).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = _averaged(self.net, settings.average_decay)
        self.optimizer = _optimizer(self.net, settings)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            settings.peak_rate,
            total_steps=settings.epochs * self.steps,
            pct_start=0.15,
        )
        self.teachers = [load_net(path) for path in settings.teachers]
        self.epoch = 0

    def train(self, progress: Progress) -> None:
        """Run to the last epoch; after each, write the checkpoint and report (epoch, loss, accuracy)."""
        if self.settings.checkpoint.is_file():
            self._resume()
        while self.epoch < self.settings.epochs:
            loss = self._one_epoch()
            self.epoch += 1
            self._save()
            progress(self.epoch, loss, accuracy(self.average.module, self.checked))

    def _one_epoch(self) -> float:
        self.net.train()
        rng = np.random.default_rng((self.settings.seed, self.epoch))
        total = 0.0
        for pictures, shares in self._batches(rng):
            total += self._step(pictures, shares)
        return total / self.steps

    def _batches(self, rng: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        order = draw(self.odds, self.steps * self.settings.batch, rng)
        for rows in order.reshape(self.steps, self.settings.batch):
            drawn = [augment(self.faces.pictures[row], self.settings.policy, rng) for row in rows]
            pictures, shares = as_input(np.stack(drawn)), torch.from_numpy(self.faces.shares[rows])
            yield mix(pictures, shares, self.settings.mixup, rng)

    def _step(self, pictures: Tensor, shares: Tensor) -> float:
        target = self._target(pictures, shares)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.net(pictures)
        loss = functional.cross_entropy(logits.float(), target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.net)
        return float(loss.detach())

    def _target(self, pictures: Tensor, shares: Tensor) -> Tensor:
        if not self.teachers:
            return shares
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            answers = [teacher(pictures).float().softmax(1) for teacher in self.teachers]
        taught = torch.stack(answers).mean(0)
        return shares.lerp(taught, self.settings.teacher_share)

    def _save(self) -> None:
        state = {
            "shape": self.settings.shape,
            "epoch": self.epoch,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        self.settings.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self.settings.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.settings.checkpoint)

    def _resume(self) -> None:
        state = _read_checkpoint(self.settings.checkpoint)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch = state["epoch"]


def load_faces(data: Path, held_out_percent: int) -> tuple[Faces, Faces]:
    """The training faces of the FER+ folder `data`, and the held-out ones with a clear majority."""
    split = read_split(data / "FER2013Train")
    out = held_out(split.names, held_out_percent)
    learn = split.take(~out & trainable(split.votes))
    check = split.take(out & (majority_labels(split.votes) >= 0))
    return (
        Faces(learn.pictures, expression_shares(learn.votes)),
        Faces(check.pictures, np.eye(8, dtype=np.float32)[majority_labels(check.votes)]),
    )


def drawing_odds(shares: Floats, balance: float) -> NDArray[np.float64]:
    """Odds (N,) of drawing each face: 0 draws evenly, 1 draws each expression equally often."""
    weights = (shares @ shares.mean(axis=0).clip(1e-6) ** -balance).astype(np.float64)
    return np.asarray(weights / weights.sum())


def draw(odds: NDArray[np.float64], count: int, rng: Generator) -> NDArray[np.int64]:
    """`count` row numbers in random order, each drawn as often as its odds say, rounded up or down."""
    marks = (np.arange(count) + rng.random()) / count
    rows = np.searchsorted(odds.cumsum(), marks).clip(max=len(odds) - 1)
    return rng.permutation(rows)


def mix(pictures: Tensor, shares: Tensor, alpha: float, rng: Generator) -> tuple[Tensor, Tensor]:
    """Each picture and target blended with another of its batch, by a share from Beta(alpha, alpha)."""
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


def predict(net: nn.Module, pictures: Pictures) -> Floats:
    """Logits (N, 8) of pictures (N, 48, 48)."""
    net.eval()
    with torch.inference_mode():
        parts = [net(as_input(part)) for part in np.array_split(pictures, len(pictures) // 256 + 1)]
    return torch.cat(parts).numpy()  # type: ignore[no-any-return]


def accuracy(net: nn.Module, faces: Faces) -> float:
    """The part of the faces whose top target is the network's top answer."""
    hits = predict(net, faces.pictures).argmax(1) == faces.shares.argmax(1)
    return float(hits.mean())


def load_net(checkpoint: Path) -> ExpressionNet:
    """The averaged network of a checkpoint, ready to answer."""
    state = _read_checkpoint(checkpoint)
    net = ExpressionNet(state["shape"])
    weights = {
        name.removeprefix("module."): value
        for name, value in state["average"].items()
        if name.startswith("module.")
    }
    net.load_state_dict(weights)
    return net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _read_checkpoint(path: Path) -> dict[str, Any]:
    with torch.serialization.safe_globals([NetShape]):
        return torch.load(path, weights_only=True)  # type: ignore[no-any-return]


def _averaged(net: nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel:
    blend = torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    return torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=blend, use_buffers=True)


def _optimizer(net: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, settings.peak_rate, weight_decay=settings.weight_decay)
