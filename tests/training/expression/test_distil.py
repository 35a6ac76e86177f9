"""Teachers learn, students learn from them, and what a student knows reaches the exported file."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.making import write_data

pytest.importorskip("torch")
pytest.importorskip("cv2")

import torch

from roommood.shared.errors import ConfigError, ModelError
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.augment import Policy
from roommood.training.expression.distil import (
    Learner,
    Stage,
    answers,
    rate_at,
    run_stage,
    two_headed_loss,
)
from roommood.training.expression.distil_run import DistilSettings, distil
from roommood.training.expression.net import NetShape, one_headed
from roommood.training.expression.train import load_net
from roommood.training.expression.two_headed import TwoHeaded, load_two_headed

CPU = torch.device("cpu")
TINY = NetShape((8, 8, 8), (1, 1, 1), heads=2)
HAPPINESS, FEAR = EXPRESSIONS.index("happiness"), EXPRESSIONS.index("fear")


def first_labels(folder: Path, faces: int = 40) -> Path:
    """Every third face was searched as fear, whatever was voted."""
    path = folder / "first.csv"
    with path.open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["picture", "first_label"])
        for number in range(0, faces, 3):
            rows.writerow([f"FER2013Train/fer{number:07d}.png", "fear"])
    return path


def striped(count: int = 64) -> TwoHeaded:
    """Stripes across are voted happy, stripes down neutral; all were searched as fear."""
    down = np.where(np.arange(48) // 6 % 2, 200, 50) + np.zeros((count, 48, 48))
    down[::2] = down[::2].swapaxes(1, 2)
    pictures = down + np.random.default_rng(0).normal(0, 20, down.shape)
    shares = np.zeros((count, 2, 8), dtype=np.float32)
    shares[::2, 0, HAPPINESS] = shares[1::2, 0, 0] = shares[:, 1, FEAR] = 1
    return TwoHeaded(pictures.clip(0, 255).astype(np.uint8), shares)


def quick(**changes: object) -> Stage:
    known = {"epochs": 12, "batch": 16, "average_decay": 0.5, "mixup": 0.0}
    known |= {"peak_rate": 1e-2, "policy": Policy().scaled(0)}
    return Stage({"net": TINY}, **(known | changes))  # type: ignore[arg-type]


def as_shown(faces: TwoHeaded) -> "torch.Tensor":
    return (torch.from_numpy(faces.pictures).float().unsqueeze(1) - 128) / 64


def right(net: "torch.nn.Module", faces: TwoHeaded) -> float:
    chosen = answers(net, as_shown(faces)).numpy().argmax(-1)
    return float((chosen == faces.shares.argmax(-1)).mean())


def test_both_heads_learn_what_each_is_taught() -> None:
    faces = striped()
    learnt = run_stage(quick(), faces, faces, CPU, lambda *_: None)["net"]
    assert right(learnt.answer, faces) > 0.9


def test_a_student_without_labels_learns_what_its_teacher_answers() -> None:
    faces = striped()
    teacher = run_stage(quick(), faces, faces, CPU, lambda *_: None)["net"].answer
    bare = TwoHeaded(faces.pictures, faces.shares * 0)
    known = TwoHeaded(faces.pictures[:2], faces.shares[:2])
    stage = quick(teacher_share=1.0, seed=2)
    taught = run_stage(stage, known.joined(bare), faces, CPU, lambda *_: None, [teacher])["net"]
    untaught = Learner(TINY, stage, CPU)
    assert right(taught.answer, faces) > 0.9 > right(untaught.answer, faces)


def test_what_is_no_face_is_left_even_whatever_teachers_say() -> None:
    shares = np.full((4, 2, 8), 1 / 8, dtype=np.float32)
    even = TwoHeaded(np.zeros((4, 48, 48), np.uint8), shares)
    faces = striped()
    teacher = run_stage(quick(), faces, faces, CPU, lambda *_: None)["net"].answer
    stage = quick(teacher_share=0.9, epochs=30, batch=4)
    net = run_stage(stage, even, faces, CPU, lambda *_: None, [teacher])["net"]
    assert answers(net.answer, as_shown(even)).numpy() == pytest.approx(shares, abs=0.05)


def test_a_target_of_zeros_teaches_nothing() -> None:
    logits = torch.randn(3, 2, 8, requires_grad=True)
    two_headed_loss(logits, torch.zeros(3, 2, 8)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_rate_rises_for_a_tenth_and_falls_to_nothing() -> None:
    assert rate_at(0.0) < 0.1 < rate_at(0.05) < rate_at(0.1) == 1
    assert rate_at(0.5) > rate_at(0.9) > rate_at(1.0) == pytest.approx(0)


def test_the_clock_ends_a_stage_before_its_epochs_do() -> None:
    faces = striped()
    epochs: list[int] = []
    stage = quick(epochs=10**6, limit_s=0.5)
    run_stage(stage, faces, faces, CPU, lambda epoch, _report: epochs.append(epoch))
    assert 0 < len(epochs) < 10**6


def test_teachers_that_lie_there_are_not_trained_again(tmp_path: Path) -> None:
    settings = run_of(tmp_path)
    stages: list[str] = []
    distil(settings, lambda stage, *_: stages.append(stage))
    assert stages == ["teachers", "students"]
    teacher = (tmp_path / "nets" / "teacher-1.pt").read_bytes()
    distil(settings, lambda stage, *_: stages.append(stage))
    assert stages == ["teachers", "students", "students"]
    assert (tmp_path / "nets" / "teacher-1.pt").read_bytes() == teacher


def test_networks_are_trained_one_by_one_where_asked_for(tmp_path: Path) -> None:
    whole = run_of(tmp_path)
    with pytest.raises(ModelError, match="teacher-1"):
        distil(replace(whole, only=("student",)), lambda *_: None)
    (teacher,) = distil(replace(whole, only=("teacher-1",)), lambda *_: None)
    (student,) = distil(replace(whole, only=("student",)), lambda *_: None)
    assert (teacher.name, student.name) == ("teacher-1.pt", "student.pt")
    with pytest.raises(ConfigError, match="no network pupil: there are teacher-1, student"):
        distil(replace(whole, only=("pupil",)), lambda *_: None)


def test_a_students_heads_become_one_that_adds_their_logits(tmp_path: Path) -> None:
    _, path = distil(run_of(tmp_path), lambda *_: None)
    student = load_net(path)
    faces = torch.randn(3, 1, 48, 48)
    with torch.no_grad():
        first, second = student(faces).view(3, 2, 8).unbind(1)
        merged = one_headed(student, 0.5)(faces)
    expected = first + 0.5 * second
    expected[:, EXPRESSIONS.index("contempt")] = first[:, EXPRESSIONS.index("contempt")]
    assert merged.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_first_labels_reach_their_head_and_left_out_faces_reach_none(tmp_path: Path) -> None:
    write_data(tmp_path)
    left_out = tmp_path / "leave-out.txt"
    left_out.write_text("FER2013Train/fer0000003.png\n")
    every, _ = load_two_headed(tmp_path, first_labels(tmp_path), held_out_percent=1)
    fewer, _ = load_two_headed(tmp_path, first_labels(tmp_path), left_out, held_out_percent=1)
    assert every.shares[0, 1, FEAR] == 1
    assert not every.shares[1, 1].any()
    assert len(fewer.pictures) == len(every.pictures) - 1


def test_a_gpu_that_is_not_there_is_told_of_before_anything_is_read(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    settings = DistilSettings(tmp_path / "none", tmp_path, tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="no such GPU"):
        distil(settings, lambda *_: None)


def run_of(folder: Path) -> DistilSettings:
    write_data(folder)
    return DistilSettings(
        folder,
        folder / "nets",
        first_labels(folder),
        held_out_percent=30,
        teacher_epochs=1,
        student_epochs=1,
        device="cpu",
        teachers={"teacher-1": TINY},
        students={"student": TINY},
        teacher_batch=8,
        student_batch=8,
    )
