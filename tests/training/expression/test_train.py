"""The network's bounds, and a run that stops and resumes."""

from pathlib import Path
from shutil import copytree, rmtree

import numpy as np
import pytest

from tests.training.making import votes, write_data, write_split

pytest.importorskip("torch")
pytest.importorskip("cv2")

from roommood.shared.errors import ConfigError
from roommood.training.expression.net import (
    STUDENT,
    ExpressionNet,
    NetShape,
    count_multiply_adds,
    count_parameters,
)
from roommood.training.expression.train import Run, TrainSettings, accuracy, load_net, predict

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


def test_a_short_run_ends_with_what_it_learnt_not_with_its_random_beginning(tmp_path: Path) -> None:
    import cv2

    rows = [votes(happiness=10), votes(sadness=10)] * 20
    folder = write_split(tmp_path / "FER2013Train", rows)
    for number, path in enumerate(sorted(folder.glob("*.png"))):
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        picture[:: 8 if number % 2 else 2] = 255
        assert cv2.imwrite(str(path), picture)
    run = Run(settings(tmp_path, epochs=30))
    run.train(lambda *_: None)
    latest, averaged = (
        accuracy(net, run.lesson.checks[0]) for net in (run.net, run.average.module)
    )
    assert latest > 0.9
    assert averaged > 0.9


def test_what_lies_in_valid_as_well_leaves_nothing_to_learn_from_and_says_so(
    tmp_path: Path,
) -> None:
    write_data(tmp_path)
    rmtree(tmp_path / "FER2013Valid")
    copytree(tmp_path / "FER2013Train", tmp_path / "FER2013Valid")
    with pytest.raises(ConfigError, match="nothing to learn from"):
        Run(settings(tmp_path))


def test_too_few_to_hold_any_out_are_told(tmp_path: Path) -> None:
    write_data(tmp_path, faces=4)
    with pytest.raises(ConfigError, match="raise --held-out"):
        Run(settings(tmp_path, held_out_percent=1))


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
