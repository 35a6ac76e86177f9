"""Large teachers, then small students that learn from them: the classifier's training on a GPU.

All pictures lie on the device and are distorted there.  The networks of a stage learn side by
side from the same batches, so that distorting, and the teachers' answers, are paid for once.
Each has two heads: one answers the shares of votes, the other the word by which FER2013 was
searched; `export` adds their logits.  Students learn what the teachers answer to the very
pictures that they see (Hinton et al. 2015; Beyer et al. 2022, arXiv 2106.05237).
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.augment import Policy
from roommood.training.expression.augment_batch import BatchAugment
from roommood.training.expression.data import draw
from roommood.training.expression.net import MEAN, STD, ExpressionNet, NetShape
from roommood.training.expression.two_headed import HEADS, TwoHeaded

WARM_UP: Final = 0.1
# Of each batch's loss, what the second head weighs.
FIRST_LABEL_WEIGHT: Final = 0.5

# Hears the epoch (from 1), and of each network its mean loss and its accuracy on what is held out.
Report = Callable[[int, Mapping[str, tuple[float, float]]], None]


@dataclass(frozen=True)
class Stage:
    """How the networks of one stage learn.

    With teachers the target is theirs by `teacher_share`, the labels' by the rest. The rate falls
    to nothing after `epochs`, or after `limit_s` seconds if that is sooner.
    """

    shapes: Mapping[str, NetShape]
    epochs: int
    limit_s: float = math.inf
    batch: int = 256
    peak_rate: float = 2e-3
    weight_decay: float = 0.05
    average_decay: float = 0.999
    balance: float = 0.3
    mixup: float = 0.2
    teacher_share: float = 0.0
    policy: Policy = field(default_factory=Policy)
    seed: int = 1


class Learner:
    """One network, the moving average of its weights, which is what counts, and its optimizer."""

    def __init__(self, shape: NetShape, stage: Stage, device: torch.device) -> None:
        net = ExpressionNet(shape).to(device)
        self.net: nn.Module = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.shape = shape
        blend = torch.optim.swa_utils.get_ema_multi_avg_fn(stage.average_decay)  # type: ignore[no-untyped-call]
        self.average = torch.optim.swa_utils.AveragedModel(
            self.net, multi_avg_fn=blend, use_buffers=True
        )
        self.optimizer = _optimizer(self.net, stage)
        self.epochs = stage.epochs

    def step(self, faces: Tensor, targets: Tensor, rate: float) -> Tensor:
        """Learn from one batch; gives its loss, left on the device."""
        self.net.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = two_headed_loss(_logits(self.net, faces), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.net)
        return loss.detach()

    @property
    def answer(self) -> nn.Module:
        """The network that counts."""
        return self.average.module.eval()

    def save(self, path: Path) -> None:
        """Write the average, in half precision, as a checkpoint that `load_net` reads."""
        weights = self.answer.state_dict()
        halved = {name: v.half() if v.is_floating_point() else v for name, v in weights.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        answer = {name: value.cpu() for name, value in halved.items()}
        torch.save({"shape": self.shape, "answer": answer, "epoch": self.epochs}, partial)
        partial.replace(path)


def run_stage(
    stage: Stage,
    learn: TwoHeaded,
    check: TwoHeaded,
    device: torch.device,
    report: Report,
    teachers: Sequence[nn.Module] = (),
) -> dict[str, Learner]:
    """The networks of a stage, after learning; `report` hears of each epoch.

    A processor uses one thread, as for `train`: on a busy machine two wait for each other.
    """
    torch.set_num_threads(1)
    torch.manual_seed(stage.seed)
    torch.backends.cudnn.benchmark = True
    learners = {name: Learner(shape, stage, device) for name, shape in stage.shapes.items()}
    augment = BatchAugment(stage.policy, device, stage.seed)
    rng = np.random.default_rng(stage.seed)
    pictures = torch.from_numpy(learn.pictures).to(device)
    known = torch.from_numpy(_known(learn.shares, stage.teacher_share if teachers else 0)).to(
        device
    )
    losses = {name: torch.zeros((), device=device) for name in learners}
    for step in _steps(stage, learn.odds(stage.balance), device, rng):
        faces, targets = _mixed(augment(pictures[step.rows]), known[step.rows], stage.mixup, rng)
        if teachers:
            targets = _taught(targets, faces.flip(-1) if step.number % 2 else faces, teachers)
        for name, learner in learners.items():
            losses[name] += learner.step(faces, targets, stage.peak_rate * step.rate)
        if step.ends_epoch:
            report(step.epoch, _figures(learners, losses, step.in_epoch, check, device))
            losses = {name: torch.zeros((), device=device) for name in learners}
    return learners


@dataclass(frozen=True)
class _Step:
    rows: Tensor
    number: int
    epoch: int
    in_epoch: int
    rate: float
    ends_epoch: bool


def _optimizer(net: nn.Module, stage: Stage) -> torch.optim.AdamW:
    decayed = [weight for weight in net.parameters() if weight.ndim > 1]
    others = [weight for weight in net.parameters() if weight.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, stage.peak_rate, weight_decay=stage.weight_decay, fused=True)


def _steps(
    stage: Stage, odds: NDArray[np.float64], device: torch.device, rng: Generator
) -> Iterator[_Step]:
    """The steps of a stage, each with its part of the peak rate, until its epochs or time end."""
    each = max(1, len(odds) // stage.batch)
    began = time.monotonic()
    for epoch in range(stage.epochs):
        rows = torch.from_numpy(draw(odds, each * stage.batch, rng)).to(device)
        for place, batch in enumerate(rows.view(each, stage.batch)):
            number = epoch * each + place
            by_time = (time.monotonic() - began) / stage.limit_s
            progress = max(number / (stage.epochs * each), by_time)
            is_last = place == each - 1 or progress >= 1
            yield _Step(batch, number, epoch + 1, place + 1, rate_at(progress), is_last)
            if progress >= 1:
                return


def rate_at(progress: float) -> float:
    """The part of the peak rate: up along a line in the first tenth, then down along a cosine."""
    if progress < WARM_UP:
        return max(progress, 0.001) / WARM_UP
    fallen = (min(progress, 1.0) - WARM_UP) / (1 - WARM_UP)
    return (1 + math.cos(math.pi * fallen)) / 2


def answers(net: nn.Module, faces: Tensor) -> Tensor:
    """What a network answers to its input: (N, 2, 8), each head's sums to 1."""
    with torch.no_grad():
        return _logits(net, faces).softmax(-1)


def two_headed_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of both heads, (N, 2, 8) each; where a target is all zero nothing counts."""
    each = -(targets * logits.log_softmax(-1)).sum(-1).mean(0)
    return each[0] + FIRST_LABEL_WEIGHT * each[1]


def _logits(net: nn.Module, faces: Tensor) -> Tensor:
    with torch.autocast(faces.device.type, dtype=torch.bfloat16):
        logits = net(faces)
    return logits.float().view(len(faces), HEADS, len(EXPRESSIONS))  # type: ignore[no-any-return]


def _known(shares: NDArray[np.float32], teacher_share: float) -> NDArray[np.float32]:
    """What the labels leave of a target to teachers: nothing where no expression is likelier."""
    is_even = np.ptp(shares, axis=-1, keepdims=True) == 0
    left = np.where(is_even, 1.0, 1.0 - teacher_share)
    return np.asarray(shares * left, dtype=np.float32)


def _mixed(faces: Tensor, targets: Tensor, alpha: float, rng: Generator) -> tuple[Tensor, Tensor]:
    """Each face and target blended with another of its batch, by a part from Beta(alpha, alpha)."""
    if not alpha:
        return faces, targets
    count = len(faces)
    drawn = rng.beta(alpha, alpha, (count, 1, 1, 1)).astype(np.float32)
    part = torch.from_numpy(drawn).to(faces.device)
    other = torch.from_numpy(rng.permutation(count)).to(faces.device)
    return faces[other].lerp(faces, part), targets[other].lerp(targets, part[:, 0])


def _taught(known: Tensor, faces: Tensor, teachers: Sequence[nn.Module]) -> Tensor:
    taught = torch.stack([answers(teacher, faces) for teacher in teachers]).mean(0)
    return known + taught * (1 - known.sum(-1, keepdim=True))


def _figures(
    learners: Mapping[str, Learner],
    losses: Mapping[str, Tensor],
    steps: int,
    check: TwoHeaded,
    device: torch.device,
) -> dict[str, tuple[float, float]]:
    pictures = (torch.from_numpy(check.pictures).to(device).float().unsqueeze(1) - MEAN) / STD
    truth = torch.from_numpy(check.shares[:, 0].argmax(-1)).to(device)
    figures: dict[str, Any] = {}
    for name, learner in learners.items():
        hits = answers(learner.answer, pictures)[:, 0].argmax(-1) == truth
        figures[name] = float(losses[name]) / steps, float(hits.float().mean())
    return figures
