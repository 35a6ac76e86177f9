"""Training the expression classifier on vote distributions, alone or with teachers.

The targets are shares of votes, not single labels (Barsoum et al. 2016).  Rare
expressions are drawn more often; pairs of faces are mixed (Zhang et al. 2018,
arXiv 1710.09412); the weights that count are an exponential moving average.
Teachers see the very pictures that the student sees (Beyer et al. 2022,
arXiv 2106.05237).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from roommood.shared.errors import ModelError
from roommood.shared.process.progress import Progress, no_progress
from roommood.training.expression.augment import Policy
from roommood.training.expression.data import (
    Faces,
    Lesson,
    as_input,
    batches,
    draw,
    drawing_odds,
    load_faces,
    load_non_faces,
    load_unlabelled,
    mix,
    with_non_faces,
)
from roommood.training.expression.ferplus import Floats, Pictures
from roommood.training.expression.net import STUDENT, ExpressionNet, NetShape
from roommood.training.expression.weights import freeze_norms, net_from_onnx
from roommood.training.opened import read_state

# Hears the epoch (from 1), the mean loss and the accuracy on what is held out.
Report = Callable[[int, float, float], None]

ONNX: Final = ".onnx"


@dataclass(frozen=True)
class TrainSettings:
    """One run.  `teacher_share` is the part of the target that teachers give, the votes the rest.

    `held_out_percent` of the pictures are never trained on; they serve to fit the temperature
    and, with a `patience` above zero, to stop after so many epochs without a better accuracy.
    `start_from` is a checkpoint, or an exported .onnx file, whose weights a new run begins with;
    `unlabelled` a folder of face pictures for which only the teachers give the target;
    `non_faces` one of pictures that show no face, of which nothing is to be told; `leave_out`
    and `first_labels` are files, see `targets`.
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
    patience: int = 0
    seed: int = 1
    threads: int = 1
    policy: Policy = field(default_factory=Policy)
    teachers: tuple[Path, ...] = ()
    teacher_share: float = 0.7
    start_from: Path | None = None
    unlabelled: Path | None = None
    non_faces: Path | None = None
    leave_out: Path | None = None
    first_labels: Path | None = None
    frozen_norms: bool = False

    @property
    def is_frozen(self) -> bool:
        """Whether batch norms keep the start's statistics; an exported file has none to renew."""
        exported = self.start_from is not None and self.start_from.suffix == ONNX
        return self.frozen_norms or exported


class Run:
    """One training run that can stop after any epoch and resume from its checkpoint."""

    def __init__(self, settings: TrainSettings, lesson: Lesson | None = None) -> None:
        """Learns from `lesson`, or from what `settings` name. Raises ConfigError, ModelError."""
        torch.set_num_threads(settings.threads)
        cv2.setNumThreads(settings.threads)
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.lesson = lesson or load_lesson(settings)
        draws = self.lesson.draws or len(self.lesson.learn.shares)
        self.steps = max(1, draws // settings.batch)
        self.net = _first_net(settings)
        self.average = _averaged(self.net, settings.average_decay)
        self.optimizer = _optimizer(self.net, settings)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            settings.peak_rate,
            total_steps=settings.epochs * self.steps,
            pct_start=0.15,
        )
        self.teachers = [load_net(path) for path in settings.teachers]
        self.epoch = self.best_epoch = 0
        self.best = 0.0
        self.answer: dict[str, Tensor] = {}

    def train(self, report: Report, progress: Progress = no_progress) -> None:
        """Run to the end, or until patience is lost; after each epoch write the checkpoint.

        `report` hears of each epoch, `progress` of each step among those of the whole run.
        Raises ModelError where the checkpoint is of another run.
        """
        if self.settings.checkpoint.is_file():
            self._resume()
        elif self.settings.start_from and self.settings.patience:
            self._keep(self._accuracy())
        while self.epoch < self.settings.epochs and not self._impatient():
            loss = self._one_epoch(progress)
            self.epoch += 1
            hits = self._accuracy()
            self._keep(hits)
            self._save()
            report(self.epoch, loss, hits)

    def _accuracy(self) -> float:
        hits = [accuracy(self.average.module, faces) for faces in self.lesson.checks]
        return float(np.mean(hits))

    def _impatient(self) -> bool:
        return 0 < self.settings.patience <= self.epoch - self.best_epoch

    def _keep(self, hits: float) -> None:
        if self.answer and self.settings.patience and hits <= self.best:
            return
        self.best, self.best_epoch = hits, self.epoch
        weights = self.average.module.state_dict()
        self.answer = {name: value.clone() for name, value in weights.items()}

    def _one_epoch(self, progress: Progress) -> float:
        self.net.train()
        if self.settings.is_frozen:
            freeze_norms(self.net)
        # Both depend on the epoch alone, so that a resumed run draws what an unbroken one would.
        rng = np.random.default_rng((self.settings.seed, self.epoch))
        torch.manual_seed(self.settings.seed + 1000 * self.epoch)
        rows = draw(self.lesson.odds, self.steps * self.settings.batch, rng)
        total = 0.0
        drawn = batches(self.lesson.learn, rows.reshape(self.steps, -1), self.settings.policy, rng)
        for step, batch in enumerate(drawn, self.epoch * self.steps + 1):
            pictures, votes = mix(*batch, self.settings.mixup, rng)
            total += self._step(pictures, self._target(pictures, votes))
            progress(step, self.settings.epochs * self.steps)
        return total / self.steps

    def _target(self, pictures: Tensor, votes: Tensor) -> Tensor:
        if not self.teachers:
            return votes
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            # Every other step through a mirror: over the epochs the teachers err less.
            view = pictures.flip(-1) if self.schedule.last_epoch % 2 else pictures
            answers = [teacher(view).float().softmax(1) for teacher in self.teachers]
        voted = votes * (1 - self.settings.teacher_share)
        return voted + torch.stack(answers).mean(0) * (1 - voted.sum(1, keepdim=True))

    def _step(self, pictures: Tensor, target: Tensor) -> float:
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

    def _save(self) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"shape": self.settings.shape, "answer": self.answer}
        state |= {"epoch": self.epoch, "best_epoch": self.best_epoch, "best": self.best}
        state |= {"evened": is_evened(self.settings.start_from)}
        self.settings.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self.settings.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.settings.checkpoint)

    def _resume(self) -> None:
        state = read_checkpoint(self.settings.checkpoint)
        self._check_same(state)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.answer = state["answer"]
        self.epoch, self.best_epoch, self.best = state["epoch"], state["best_epoch"], state["best"]

    def _check_same(self, state: dict[str, Any]) -> None:
        """Another length of the schedule or shape of the net cannot go on where this one stood."""
        steps = state["schedule"]["total_steps"]
        if state["shape"] != self.settings.shape:
            raise self._other(f"a net of {state['shape']}, not {self.settings.shape}")
        if steps != self.settings.epochs * self.steps:
            raise self._other(
                f"a run of {steps} steps, not of {self.settings.epochs} epochs of {self.steps}"
            )

    def _other(self, text: str) -> ModelError:
        return ModelError(
            f"{self.settings.checkpoint} is of another run: {text}. Resume with the same data, "
            "epochs and batch, or name another checkpoint"
        )

    def _parts(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "average": self.average,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }


def predict(net: nn.Module, pictures: Pictures) -> Floats:
    """Logits (N, 8) of pictures (N, 48, 48)."""
    net.eval()
    with torch.inference_mode():
        parts = [net(as_input(part)) for part in np.array_split(pictures, len(pictures) // 256 + 1)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def accuracy(net: nn.Module, faces: Faces) -> float:
    """The part of the faces whose top target is the network's top answer."""
    hits = predict(net, faces.pictures).argmax(1) == faces.shares.argmax(1)
    return float(hits.mean())


def load_lesson(settings: TrainSettings, progress: Progress = no_progress) -> Lesson:
    """The faces that the settings name, in FER+ layout. Raises ConfigError."""
    s = settings
    learn, check = load_faces(s.data, s.held_out_percent, progress, s.leave_out, s.first_labels)
    if s.unlabelled and s.teachers:
        learn = learn.joined(load_unlabelled(s.unlabelled))
    odds = drawing_odds(learn.shares, s.balance)
    if s.non_faces:
        share = s.teacher_share if s.teachers else 0.0
        learn, odds = with_non_faces(learn, odds, load_non_faces(s.non_faces, share))
    return Lesson(learn, odds, (check,))


def load_net(path: Path) -> ExpressionNet:
    """The averaged network of a checkpoint, or that of an exported .onnx file, ready to answer.

    Raises ModelError: missing, or neither.
    """
    if path.suffix == ONNX:
        net = net_from_onnx(path)
    else:
        state = read_checkpoint(path)
        net = ExpressionNet(state["shape"])
        net.load_state_dict(state["answer"])
    return net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _first_net(settings: TrainSettings) -> ExpressionNet:
    net = load_net(settings.start_from) if settings.start_from else ExpressionNet(settings.shape)
    if net.shape != settings.shape:
        raise ModelError(f"{settings.start_from} has the shape {net.shape}, not {settings.shape}")
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `Run` wrote; code in a file is never run. Raises ModelError for another file."""
    state = read_state(path, "train", torch.serialization.safe_globals([NetShape]))
    if not ({"shape", "answer", "epoch"} <= state.keys()):
        raise ModelError(f"{path} is not a checkpoint of `train`: it lacks the network")
    return state


def is_evened(path: Path | None) -> bool:
    """Whether odds were added to these weights by `export`: to an exported file's, and to those of
    a run that began with one."""
    if path is None or path.suffix == ONNX:
        return path is not None
    return bool(read_checkpoint(path).get("evened"))


def _averaged(net: nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel:
    """Takes the moving mean of the weights; of the first steps a mean of few, or a short run would
    end with the random ones that it began with."""

    def blend(mean: Sequence[Tensor], latest: Sequence[Tensor], steps: Tensor | int) -> None:
        kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
        for averaged, new in zip(mean, latest, strict=True):
            averaged.copy_(averaged * kept + new * (1 - kept))

    return torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=blend, use_buffers=True)


def _optimizer(net: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, settings.peak_rate, weight_decay=settings.weight_decay)
