"""Measuring a classifier, on models whose every answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roommood.inference_worker.evaluation.expression import (
    calibration_error,
    confusion,
    evaluate_expression,
    recalls,
)
from roommood.inference_worker.evaluation.ferplus import UNCLEAR, majority_labels, read_split
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from roommood.shared.errors import ConfigError, ModelError, PictureError
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.inference_worker.evaluation.evaluation_data import HAPPY, NEUTRAL, ferplus_folder
from tests.inference_worker.tiny_models import expression_metadata, expression_model

# Says happiness of bright faces, neutral of dark ones, and is never quite sure.
BRIGHTNESS = (-4, 4, 0, 0, 0, 0, 0, 0)
BIAS = (2, -2, -9, -9, -9, -9, -9, -9)


def classifier(folder: Path, **changes: Any) -> Path:
    return expression_model(
        folder / "e.onnx", expression_metadata(**changes), brightness=BRIGHTNESS, bias=BIAS
    )


def test_the_figures_are_those_of_the_answers(tmp_path: Path) -> None:
    """Three bright faces, one of them neutral, and one dark."""
    ferplus_folder(tmp_path, [(255, HAPPY), (255, HAPPY), (255, NEUTRAL), (0, NEUTRAL)])
    figures = evaluate_expression(classifier(tmp_path), tmp_path)
    assert (figures.n, figures.accuracy, figures.split) == (4, 0.75, "valid")
    assert figures.recall["happiness"] == 1.0
    assert figures.recall["neutral"] == 0.5
    assert figures.recall["fear"] is None
    assert figures.precision["happiness"] == pytest.approx(2 / 3, abs=1e-5)
    assert figures.mean_recall_7 == 0.75
    assert figures.confusion[0][:2] == [1, 1]
    assert figures.confusion[1][:2] == [0, 2]
    assert set(figures.accuracy_by_px) == {"16", "24", "32", "40", "48"}
    assert set(figures.accuracy_by_px.values()) == {0.75}
    assert figures.accuracy_by_crop_px == {"-4": 0.75, "+4": 0.75}
    assert figures.ms_per_face > 0


def test_parameters_are_counted_without_the_onnx_package(tmp_path: Path) -> None:
    """The weights of 64 pixels for 8 labels, and 8 biases."""
    ferplus_folder(tmp_path, [(0, NEUTRAL)])
    assert evaluate_expression(classifier(tmp_path), tmp_path).params == 64 * 8 + 8


@pytest.mark.parametrize("crop", [
    {"of": "max", "tight": {"side": 1.0}},
    {"of": "sqrt", "tight": {"side": 1.3, "dx": 0.1, "dy": -0.2}},
    {"of": "width", "haar": {"side": 0.7, "dy": 0.3}},
])  # fmt: skip
def test_every_face_is_cropped_from_its_own_pixels_whatever_the_contract(
    tmp_path: Path, crop: object
) -> None:
    """A crop that reached into a neighbour would mix bright and dark faces."""
    ferplus_folder(tmp_path, [(255, HAPPY), (0, NEUTRAL)] * 40)
    figures = evaluate_expression(classifier(tmp_path, crop=crop), tmp_path)
    assert figures.accuracy == 1.0
    assert set(figures.accuracy_by_px.values()) == {1.0}
    best = 1 / (1 + np.exp(-4) + 6 * np.exp(-11))
    assert figures.ece == pytest.approx(1 - best, abs=2e-3)


def test_a_model_without_contempt_misses_it(tmp_path: Path) -> None:
    contempt = (0, 0, 0, 0, 0, 0, 0, 10, 0, 0)
    ferplus_folder(tmp_path, [(255, HAPPY), (0, contempt)])
    file = expression_model(
        tmp_path / "e.onnx",
        expression_metadata(labels=["neutral", "happiness"]),
        brightness=(-4, 4),
        bias=(2, -2),
    )
    figures = evaluate_expression(file, tmp_path)
    assert figures.accuracy == 0.5
    assert figures.recall["contempt"] == 0.0
    assert figures.mean_recall_7 == 1.0


def test_the_test_split_comes_first_and_another_can_be_chosen(tmp_path: Path) -> None:
    ferplus_folder(tmp_path, [(0, NEUTRAL)], "FER2013Test")
    ferplus_folder(tmp_path, [(0, NEUTRAL)] * 2)
    file = classifier(tmp_path)
    assert evaluate_expression(file, tmp_path).split == "test"
    assert evaluate_expression(file, tmp_path, "valid").n == 2
    with pytest.raises(ConfigError, match=r"no FER2013Train/ there; it has FER2013Valid, FER"):
        evaluate_expression(file, tmp_path, "train")


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ((10, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0),
        ((5, 1, 1, 1, 1, 1, 0, 0, 0, 0), 0),  # the votes of one person do not count
        ((5, 5, 0, 0, 0, 0, 0, 0, 0, 0), UNCLEAR),  # half is not more than half
        ((4, 3, 3, 0, 0, 0, 0, 0, 0, 0), UNCLEAR),
        ((1, 1, 0, 0, 0, 0, 0, 0, 8, 0), UNCLEAR),  # unknown
        ((1, 1, 0, 0, 0, 0, 0, 0, 0, 8), UNCLEAR),  # not a face
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), UNCLEAR),
        ((0, 0, 0, 0, 0, 0, 0, 7, 3, 0), 7),
    ],
)
def test_the_majority_protocol(votes: tuple[int, ...], label: int) -> None:
    assert majority_labels(np.array([votes])).tolist() == [label]


def test_calibration_compares_confidence_and_accuracy_in_each_bin() -> None:
    """Two faces at 0.9, one right (gap 0.4 each); two at 0.5, both right (gap 0.5 each)."""
    answers = np.full((4, 8), 0.0)
    answers[:, 0], answers[:, 1] = (0.9, 0.9, 0.5, 0.5), (0.1, 0.1, 0.3, 0.3)
    assert calibration_error(np.array([0, 1, 0, 0]), answers) == pytest.approx(0.45)


def test_precision_is_the_recall_of_the_transposed_table() -> None:
    answers = np.eye(8)[[0, 0, 1]]
    table = confusion(np.array([0, 1, 1]), answers)
    assert recalls(table)["happiness"] == 0.5
    assert recalls(table.T)["neutral"] == 0.5
    assert recalls(table.T)["happiness"] == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a.png,"(0, 0, 48, 48)",1,2,3', r"label.csv, line 1: 3 votes .* 10 are due: neutral, "),
        ('a.png,"(0, 0, 48, 48)",x,0,0,0,0,0,0,0,0,0', r"line 1: votes are whole numbers"),
        ('a.png,"(0, 0, 48, 48)",-2,0,0,0,0,0,0,0,0,0', r"line 1: votes are whole numbers"),
        ("", "label.csv: it is empty"),
        ('a.png,"(0, 0, 48, 48)",5,5,0,0,0,0,0,0,0,0', "no picture has a clear majority"),
    ],
)
def test_a_wrong_label_file_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    folder = tmp_path / "FER2013Valid"
    folder.mkdir()
    (folder / "label.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        evaluate_expression(classifier(tmp_path), tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = ferplus_folder(tmp_path, [(0, NEUTRAL)])
    file = classifier(tmp_path)
    (folder / "fer0000000.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"fer0000000.png: not a readable picture"):
        evaluate_expression(file, tmp_path)
    (folder / "label.csv").unlink()
    with pytest.raises(ConfigError, match=r"label.csv: no such file"):
        evaluate_expression(file, tmp_path)
    with pytest.raises(ModelError, match="no such model file"):
        evaluate_expression(tmp_path / "none.onnx", tmp_path)


def test_a_limit_takes_the_first_clear_faces(tmp_path: Path) -> None:
    ferplus_folder(tmp_path, [(0, [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]), (0, NEUTRAL), (0, NEUTRAL)])
    assert evaluate_expression(classifier(tmp_path), tmp_path, limit=1).n == 1
    with pytest.raises(ConfigError, match="--limit is 0"):
        evaluate_expression(classifier(tmp_path), tmp_path, limit=0)


def test_a_whole_split_is_read_in_order(tmp_path: Path) -> None:
    folder = ferplus_folder(tmp_path, [(7, NEUTRAL), (9, HAPPY)])
    faces = read_split(folder)
    assert faces.pictures[:, 0, 0].tolist() == [7, 9]
    assert faces.votes.tolist() == [list(NEUTRAL), list(HAPPY)]
    assert faces.names == ("fer0000000.png", "fer0000001.png")


def test_the_shipped_classifier_can_be_measured(tmp_path: Path) -> None:
    ferplus_folder(tmp_path, [(90, NEUTRAL), (160, NEUTRAL)])
    figures = evaluate_expression(SHIPPED_EXPRESSION, tmp_path)
    assert figures.params < 1_110_000
    assert figures.bytes < 1_200_000
    assert list(figures.recall) == list(EXPRESSIONS)
