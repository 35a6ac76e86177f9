"""The whole of `roommood-train distil`: teachers, then the student that is exported."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
from torch import nn

from roommood.shared.errors import ConfigError
from roommood.shared.process.progress import Progress, no_progress
from roommood.training.expression.distil import Stage, run_stage
from roommood.training.expression.net import STUDENT, NetShape
from roommood.training.expression.train import load_net
from roommood.training.expression.two_headed import (
    HEADS,
    TwoHeaded,
    load_two_headed,
    non_faces,
    unlabelled,
)

DEEP: Final = NetShape((64, 128, 256, 512), (2, 2, 2, 2), 0.3, stem_stride=1, heads=HEADS)
WIDE: Final = NetShape((96, 192, 384), (3, 4, 3), 0.3, heads=HEADS)
TEACHERS: Final = {"teacher-1": DEEP, "teacher-2": DEEP, "teacher-3": WIDE}
STUDENTS: Final = {
    "student": NetShape(STUDENT.widths, STUDENT.blocks, STUDENT.dropout, heads=HEADS)
}
# Of the time, what teachers have; of a student's target, what they give.
TEACHERS_TIME: Final = 0.42
TEACHER_SHARE: Final = 0.85

# Hears the stage, the epoch (from 1), and of each network loss and accuracy on what is held out.
Tell = Callable[[str, int, Mapping[str, tuple[float, float]]], None]


@dataclass(frozen=True)
class DistilSettings:
    """`folder` takes the checkpoints; teachers that lie there already are not trained again.

    Both stages end after their epochs, or sooner where `limit_s` seconds would not suffice.
    """

    data: Path
    folder: Path
    first_labels: Path
    leave_out: Path | None = None
    unlabelled: Path | None = None
    non_faces: Path | None = None
    held_out_percent: int = 5
    teacher_epochs: int = 60
    student_epochs: int = 200
    limit_s: float = math.inf
    device: str = "cuda"
    teachers: Mapping[str, NetShape] = field(default_factory=TEACHERS.copy)
    students: Mapping[str, NetShape] = field(default_factory=STUDENTS.copy)
    teacher_batch: int = 256
    student_batch: int = 512
    seed: int = 1


def distil(settings: DistilSettings, tell: Tell, progress: Progress = no_progress) -> list[Path]:
    """Train teachers, then students from them; gives the students' checkpoints.

    Raises ConfigError: no such device, or data that cannot be read.
    """
    s = settings
    device = _device(s.device)
    learn, check = load_two_headed(
        s.data, s.first_labels, s.leave_out, s.held_out_percent, progress
    )
    if s.non_faces:
        learn = learn.joined(non_faces(s.non_faces))
    teachers = _teachers(s, learn, check, device, tell)
    if s.unlabelled:
        learn = learn.joined(unlabelled(s.unlabelled))
    stage = Stage(
        s.students,
        s.student_epochs,
        s.limit_s * (1 - TEACHERS_TIME),
        s.student_batch,
        peak_rate=3e-3,
        teacher_share=TEACHER_SHARE,
        seed=s.seed + 1,
    )
    students = run_stage(
        stage, learn, check, device, lambda *told: tell("students", *told), teachers
    )
    for name, student in students.items():
        student.save(s.folder / f"{name}.pt", s.student_epochs)
    return [s.folder / f"{name}.pt" for name in students]


def _teachers(
    s: DistilSettings, learn: TwoHeaded, check: TwoHeaded, device: torch.device, tell: Tell
) -> list[nn.Module]:
    """The teachers of the folder, those that lack trained first."""
    lacking = {n: shape for n, shape in s.teachers.items() if not (s.folder / f"{n}.pt").is_file()}
    stage = Stage(
        lacking,
        s.teacher_epochs,
        s.limit_s * TEACHERS_TIME,
        s.teacher_batch,
        mixup=0.3,
        seed=s.seed,
    )
    if lacking:
        learnt = run_stage(stage, learn, check, device, lambda *told: tell("teachers", *told))
        for name, teacher in learnt.items():
            teacher.save(s.folder / f"{name}.pt", s.teacher_epochs)
    return [load_net(s.folder / f"{name}.pt").to(device) for name in s.teachers]


def _device(name: str) -> torch.device:
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"device {name}: PyTorch sees no such GPU here. Install PyTorch for your GPU, "
            "or take --device cpu, which needs days"
        )
    return torch.device(name)
