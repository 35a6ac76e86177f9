"""The network's bounds, and a run that stops and resumes."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.making import write_data

pytest.importorskip("torch")
pytest.importorskip("cv2")

from roommood.training.expression.net import (
    STUDENT,
    ExpressionNet,
    NetShape,
    count_multiply_adds,
    count_parameters,
)
from roommood.training.expression.train import Run, TrainSettings, load_net, predict

TINY = NetShape(widths=(8, 8, 8), blocks=(1, 1, 1))


def settings(folder: Path, name: str = "run.pt", **changes: object) -> TrainSettings:
    known = {"data": folder, "checkpoint": folder / name, "shape": TINY, "epochs": 2, "batch": 8}
    return TrainSettings(**(known | {"held_out_percent": 30} | changes))  # type: ignore[arg-type]


def epochs_of(run: Run) -> list[int]:
    seen: list[int] = []
    run.train(lambda epoch, _loss, _hits: seen.append(epoch))
    return seen


def test_the_shipped_shape_keeps_within_its_budget() -> None:
    net = ExpressionNet(STUDENT)
    assert count_parameters(net) <= 1_100_000
    assert count_multiply_adds(net) <= 80_000_000


def test_a_finished_run_resumed_has_nothing_left_to_do(tmp_path: Path) -> None:
    write_data(tmp_path)
    assert epochs_of(Run(settings(tmp_path))) == [1, 2]
    assert epochs_of(Run(settings(tmp_path))) == []


def test_a_run_that_was_stopped_resumes_with_its_weights(tmp_path: Path) -> None:
    write_data(tmp_path)
    first = Run(settings(tmp_path))

    def stop(epoch: int, _loss: float, _hits: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.train(stop)
    second = Run(settings(tmp_path))
    assert epochs_of(second) == [2]


def test_patience_ends_a_run_that_no_longer_gains(tmp_path: Path) -> None:
    write_data(tmp_path)
    run = Run(settings(tmp_path, epochs=50, patience=2, peak_rate=1e-9))
    assert len(epochs_of(run)) < 50


def test_a_student_starts_from_a_checkpoint_and_learns_from_teachers(tmp_path: Path) -> None:
    write_data(tmp_path)
    epochs_of(Run(settings(tmp_path, "teacher.pt")))
    teacher = tmp_path / "teacher.pt"
    student = Run(settings(tmp_path, "student.pt", teachers=(teacher,), start_from=teacher))
    assert epochs_of(student) == [1, 2]


def test_a_loaded_net_answers_with_eight_logits_per_face(tmp_path: Path) -> None:
    write_data(tmp_path)
    epochs_of(Run(settings(tmp_path)))
    logits = predict(load_net(tmp_path / "run.pt"), np.zeros((3, 48, 48), dtype=np.uint8))
    assert logits.shape == (3, 8)
    assert np.isfinite(logits).all()
