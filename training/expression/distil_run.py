"""The whole of `roommood-train distil`: teachers, then the student that is exported."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import torch

from roommood.shared.errors import ConfigError
from roommood.shared.process.progress import Progress, no_progress
from roommood.training.expression.distil import Learner, Stage, run_stage
from roommood.training.expression.net import STUDENT, ExpressionNet, NetShape
from roommood.training.expression.train import load_net
from roommood.training.expression.two_headed import (
    HEADS,
    load_two_headed,
    non_faces,
    unlabelled,
)

DEEP: Final = NetShape((64, 128, 256, 512), (2, 2, 2, 2), 0.3, stem_stride=1, heads=HEADS)
WIDE: Final = NetShape((96, 192, 384), (3, 4, 3), 0.3, heads=HEADS)
TEACHERS: Final = {"teacher-1": DEEP, "teacher-2": DEEP, "teacher-3": WIDE}
STUDENTS: Final = {"student": replace(STUDENT, dropout=0.1, heads=HEADS)}
# Of the time, what teachers have; of a student's target, what they give.
TEACHERS_TIME: Final = 0.4
TEACHER_SHARE: Final = 0.85

# Hears the stage, the epoch (from 1), and of each network loss and accuracy on what is held out.
Tell = Callable[[str, int, Mapping[str, tuple[float, float]]], None]


@dataclass(frozen=True)
class DistilSettings:
    """`folder` takes the checkpoints; teachers that lie there already are not trained again.

    Both stages end after their epochs, or sooner where `limit_s` seconds would not suffice.
    `only` names the networks to train, or none of them for all: a GPU that waits for the
    processor trains several in processes of their own sooner than side by side in one.
    """

    data: Path
    folder: Path
    first_labels: Path
    leave_out: Path | None = None
    unlabelled: Path | None = None
    non_faces: Path | None = None
    held_out_percent: int = 5
    teacher_epochs: int = 100
    student_epochs: int = 120
    limit_s: float = math.inf
    device: str = "cuda"
    only: tuple[str, ...] = ()
    teachers: Mapping[str, NetShape] = field(default_factory=TEACHERS.copy)
    students: Mapping[str, NetShape] = field(default_factory=STUDENTS.copy)
    teacher_batch: int = 256
    student_batch: int = 512
    seed: int = 1

    def checkpoint(self, name: str) -> Path:
        """The file of a network."""
        return self.folder / f"{name}.pt"


def distil(settings: DistilSettings, tell: Tell, progress: Progress = no_progress) -> list[Path]:
    """Train teachers, then students from them; gives the checkpoints written.

    Raises ConfigError: no such device or network, or data that cannot be read; ModelError where a
    teacher that is not to be trained lacks.
    """
    s = settings
    device = _device(s.device)
    teachers, students = _asked(s)
    learn, check = load_two_headed(
        s.data, s.first_labels, s.leave_out, s.held_out_percent, progress
    )
    if s.non_faces:
        learn = learn.joined(non_faces(s.non_faces))
    written: list[Path] = []
    if teachers:
        hear = partial(tell, "teachers")
        written += _saved(s, run_stage(_teaching(s, teachers), learn, check, device, hear))
    if students:
        if s.unlabelled:
            learn = learn.joined(unlabelled(s.unlabelled))
        known, hear = _trained_teachers(s, device), partial(tell, "students")
        stage = _studying(s, students)
        written += _saved(s, run_stage(stage, learn, check, device, hear, known))
    return written


def _asked(s: DistilSettings) -> tuple[Mapping[str, NetShape], Mapping[str, NetShape]]:
    """The teachers and the students to be trained in this run."""
    unknown = {*s.only} - {*s.teachers, *s.students}
    if unknown:
        names = ", ".join([*s.teachers, *s.students])
        raise ConfigError(f"there is no network {', '.join(sorted(unknown))}: there are {names}")
    chosen = s.only or (*s.teachers, *s.students)
    lacking = [n for n in s.teachers if n in chosen and not s.checkpoint(n).is_file()]
    return {n: s.teachers[n] for n in lacking}, {
        n: s.students[n] for n in s.students if n in chosen
    }


def _teaching(s: DistilSettings, shapes: Mapping[str, NetShape]) -> Stage:
    return Stage(
        shapes,
        s.teacher_epochs,
        s.limit_s * TEACHERS_TIME,
        s.teacher_batch,
        mixup=0.3,
        seed=s.seed + [*s.teachers].index(next(iter(shapes))),
    )


def _studying(s: DistilSettings, shapes: Mapping[str, NetShape]) -> Stage:
    return Stage(
        shapes,
        s.student_epochs,
        s.limit_s * (1 - TEACHERS_TIME),
        s.student_batch,
        peak_rate=3e-3,
        teacher_share=TEACHER_SHARE,
        seed=s.seed + len(s.teachers),
    )


def _trained_teachers(s: DistilSettings, device: torch.device) -> list[ExpressionNet]:
    return [load_net(s.checkpoint(name)).to(device) for name in s.teachers]


def _saved(s: DistilSettings, learnt: Mapping[str, Learner]) -> list[Path]:
    for name, learner in learnt.items():
        learner.save(s.checkpoint(name))
    return [s.checkpoint(name) for name in learnt]


def _device(name: str) -> torch.device:
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"device {name}: PyTorch sees no such GPU here. Install PyTorch for your GPU, "
            "or take --device cpu, which needs days"
        )
    return torch.device(name)
