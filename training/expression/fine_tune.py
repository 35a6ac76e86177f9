"""Fine-tuning on a user's own labelled crops, and saying plainly what it brought.

With FER+ at hand, own and public faces are drawn half and half. Without, the starting network's
own answers are part of each target, so that it forgets less of what the pictures do not show
(Li & Hoiem 2016, "Learning without Forgetting", arXiv 1606.09282).
"""

import json
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from typing import Final

import numpy as np
from torch import nn

from roommood.inference_worker.evaluation.ferplus import majority_labels, read_split
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.augment import Policy
from roommood.training.expression.data import Faces, Lesson, drawing_odds, load_faces
from roommood.training.expression.evaluate import clear_faces
from roommood.training.expression.export import (
    TRAINING_DATA,
    ExportSettings,
    export,
    export_alone,
)
from roommood.training.expression.ferplus import Floats, Labels, Pictures
from roommood.training.expression.net import STUDENT, ExpressionNet
from roommood.training.expression.odds import fit_temperature
from roommood.training.expression.own_pictures import Part, centre, read_own, wide
from roommood.training.expression.train import Report, Run, TrainSettings, load_net, predict

# With fewer, a temperature fitted to them would be a guess.
LEAST_FOR_TEMPERATURE: Final = 100
_BATCH: Final = 64
_CHANCE: Final = 0.05
_HELD_OUT_PERCENT: Final = 5


@dataclass(frozen=True)
class FineTuneSettings:
    """One fine-tuning. `start_from` is a checkpoint or an exported .onnx file, None starts from
    scratch; `base` a FER+ folder to learn from too; `least` pictures of each expression are due.
    """

    pictures: Path
    checkpoint: Path
    start_from: Path | None
    base: Path | None = None
    epochs: int = 20
    patience: int = 5
    peak_rate: float = 5e-4
    least: int = 20
    seed: int = 1
    threads: int = 1


@dataclass(frozen=True)
class Change:
    """Accuracy before and after on the same `n` faces; `before` is None where there was none.

    `fixed` faces are right only after, `broken` ones only before.
    """

    n: int
    before: float | None
    after: float
    fixed: int
    broken: int

    @property
    def verdict(self) -> str:
        """Better or worse only where chance alone would seldom bring it (exact sign test, 5 %)."""
        if self.before is None or chance(self.fixed, self.broken) >= _CHANCE:
            return "no clear difference" if self.before is not None else "nothing to compare with"
        return "better" if self.fixed > self.broken else "worse"


@dataclass(frozen=True)
class Outcome:
    """What changed on own pictures kept aside, for each expression, and on FER+ Valid if given."""

    own: Change
    by_expression: dict[str, Change]
    base: Change | None
    by_session: bool
    best_epoch: int
    temperature: float | None

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


class FineTune:
    """Reads the pictures, trains, judges, and writes a model: in that order."""

    def __init__(self, settings: FineTuneSettings, progress: Progress = no_progress) -> None:
        """Raises ConfigError for too few or unusable pictures, ModelError for the start."""
        self.settings = settings
        self.own = read_own(settings.pictures, settings.least, progress)
        self.start = load_net(settings.start_from) if settings.start_from else None
        self.base = (
            load_faces(settings.base, _HELD_OUT_PERCENT, progress) if settings.base else None
        )
        self.run = Run(self._train_settings(), self._lesson())

    def train(self, report: Report, progress: Progress = no_progress) -> ExpressionNet:
        """Run until nothing is gained any more; the best network, which may be the start's."""
        self.run.train(report, progress)
        return load_net(self.settings.checkpoint)

    def judge(self, net: ExpressionNet) -> Outcome:
        """Compare with the start on pictures that neither taught nor stopped the run."""
        own = self.own.judge
        pictures = centre(own.pictures)
        before, after = self._right(net, pictures, own.labels)
        labels = [label for label in range(len(EXPRESSIONS)) if (own.labels == label).any()]
        return Outcome(
            own=change(before, after),
            by_expression={
                EXPRESSIONS[label]: change(
                    None if before is None else before[own.labels == label],
                    after[own.labels == label],
                )
                for label in labels
            },
            base=self._judge_base(net),
            by_session=self.own.by_session,
            best_epoch=self.run.best_epoch,
            temperature=self._temperature(net),
        )

    def write(
        self,
        outcome: Outcome,
        model: Path,
        model_id: str,
        start_temperature: float,
        progress: Progress = no_progress,
    ) -> None:
        """Export the best network; with FER+ at hand its contract is measured in full there."""
        training_data = f"{self._start_data()}; fine-tuned on {len(self.own.learn)} own pictures"
        if self.settings.base:
            settings = ExportSettings(
                self.settings.checkpoint,
                self.settings.base,
                model,
                model_id,
                training_data=training_data,
                # As it was judged.
                prior_power=0.0,
                raised={},
            )
            export(settings, progress)
        else:
            net = load_net(self.settings.checkpoint)
            export_alone(
                net, model, model_id, training_data, outcome.temperature or start_temperature
            )

    def _train_settings(self) -> TrainSettings:
        s = self.settings
        alone = self.base is None and s.start_from is not None
        return TrainSettings(
            data=s.pictures,
            checkpoint=s.checkpoint,
            shape=self.start.shape if self.start else STUDENT,
            epochs=s.epochs,
            batch=_BATCH,
            peak_rate=s.peak_rate,
            average_decay=0.95,
            mixup=0.2,
            patience=s.patience,
            seed=s.seed,
            threads=s.threads,
            policy=Policy().scaled(0.6),
            teachers=(s.start_from,) if alone and s.start_from else (),
            teacher_share=0.3,
            start_from=s.start_from,
            # A few people's faces are no basis for the statistics of all.
            frozen_norms=self.start is not None,
        )

    def _lesson(self) -> Lesson:
        """Own faces balanced by expression, twice an epoch; as many of the base if there is one."""
        own = Faces(self.own.learn.pictures, _shares(self.own.learn.labels))
        odds = drawing_odds(own.shares, 1.0)
        checks = [_as_faces(self.own.check)]
        if self.base is None:
            return Lesson(own, odds, tuple(checks), 2 * len(own.shares))
        learn, check = self.base
        joined = own.joined(Faces(np.stack([wide(p) for p in learn.pictures]), learn.shares))
        both = np.concatenate([odds, drawing_odds(learn.shares, 0.3)]) / 2
        return Lesson(joined, both, (*checks, check), 4 * len(own.shares))

    def _judge_base(self, net: ExpressionNet) -> Change | None:
        if self.settings.base is None:
            return None
        valid = clear_faces(read_split(self.settings.base / "FER2013Valid"))
        return change(*self._right(net, valid.pictures, majority_labels(valid.votes)))

    def _right(
        self, net: nn.Module, pictures: Pictures, labels: Labels
    ) -> tuple[Labels | None, Labels]:
        before = _hits(self.start, pictures, labels) if self.start else None
        return before, _hits(net, pictures, labels)

    def _temperature(self, net: ExpressionNet) -> float | None:
        parts = (self.own.check, self.own.judge)
        labels = np.concatenate([part.labels for part in parts])
        if len(labels) < LEAST_FOR_TEMPERATURE:
            return None
        pictures = centre(np.concatenate([part.pictures for part in parts]))
        return fit_temperature(predict(net, pictures), labels)

    def _start_data(self) -> str:
        if self.settings.base or self.start:
            return TRAINING_DATA
        return "Own pictures only"


def change(before: Labels | None, after: Labels) -> Change:
    """From which faces were right (N,), 0 or 1, before (None: there was nothing) and after."""
    if before is None:
        return Change(len(after), None, float(after.mean()), 0, 0)
    fixed, broken = int((after > before).sum()), int((after < before).sum())
    return Change(len(after), float(before.mean()), float(after.mean()), fixed, broken)


def chance(fixed: int, broken: int) -> float:
    """How often as lopsided a result would come from coin tosses: the exact sign test."""
    tosses, fewer = fixed + broken, min(fixed, broken)
    tail = sum(comb(tosses, heads) for heads in range(fewer + 1)) / 2.0**tosses
    return min(1.0, 2 * tail)


def _hits(net: nn.Module, pictures: Pictures, labels: Labels) -> Labels:
    answers = predict(net, pictures).argmax(axis=1)
    return np.asarray(answers == labels, dtype=np.int64)


def _as_faces(part: Part) -> Faces:
    return Faces(centre(part.pictures), _shares(part.labels))


def _shares(labels: Labels) -> Floats:
    return np.eye(len(EXPRESSIONS), dtype=np.float32)[labels]
