"""The files of an evaluation report."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("matplotlib")

from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.evaluate import Evaluation, calibration_bins
from roommood.training.expression.report import write_report

EVEN = dict.fromkeys(EXPRESSIONS, 0.5)
BY_PX = {"16": 0.7, "48": 0.8}


@pytest.fixture
def evaluation() -> Evaluation:
    return Evaluation(
        n=16,
        accuracy=0.5,
        ece=0.1,
        mean_recall_of_seven=0.5,
        recall=EVEN,
        precision=EVEN,
        confusion=(np.eye(8, dtype=int) * 2).tolist(),
        accuracy_by_px=BY_PX,
        ece_by_px=BY_PX,
        sure_by_px={"16": (0.6, 0.7), "48": (0.9, 0.8)},
        accuracy_by_crop_px={"-4": 0.7},
        ms_per_face=1.0,
        params=10,
        calibration=[(0.3, 0.4, 6), (0.8, 0.7, 10)],
    )


def test_a_report_has_figures_and_small_pictures(evaluation: Evaluation, tmp_path: Path) -> None:
    paths = write_report(evaluation, tmp_path / "report")
    assert {path.name for path in paths} == {
        "evaluation.json", "by_expression.csv", "confusion.csv",
        "confusion.png", "calibration.png", "face_size.png",
    }  # fmt: skip
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text())["n"] == 16
    assert sum(path.stat().st_size for path in paths) < 150_000


def test_the_tables_have_a_row_for_each_expression(evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(evaluation, tmp_path)
    with (tmp_path / "confusion.csv").open() as lines:
        rows = list(csv.reader(lines))
    assert [row[0] for row in rows[1:]] == list(EXPRESSIONS)
    assert rows[2][2] == "2"
    with (tmp_path / "by_expression.csv").open() as lines:
        assert next(csv.DictReader(lines))["recall"] == "0.5000"


def test_bins_tell_what_was_said_and_what_was_right() -> None:
    answers = np.full((4, 8), 0.02, np.float32)
    answers[:, 0] = [0.86, 0.86, 0.5, 0.5]
    bins = calibration_bins(np.array([0, 0, 0, 1]), answers)
    assert [(round(told_share, 2), right, count) for told_share, right, count in bins] == [
        (0.5, 0.5, 2), (0.86, 1.0, 2),
    ]  # fmt: skip
