"""Crops, the batch, and calibrated probabilities in wire order."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roommood.inference_worker.models.contract import CropContract, Placement
from roommood.inference_worker.vision.crops import Square, cut, square_of
from roommood.inference_worker.vision.emotions import ExpressionClassifier, open_classifier
from roommood.inference_worker.vision.faces import Detection
from roommood.shared.errors import ModelError
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.inference_worker.pictures import ASTRONAUT_FACE, astronaut, plain
from tests.inference_worker.tiny_models import expression_metadata, expression_model

FACE = Detection(10, 20, 30, 40, 0.9)
TENSOR = json.loads(expression_metadata()["roommood.input"])
# Softmax of one logit of 1 among eight: the model sees white; and of eight equal ones: black.
WHITE = float(np.e / (np.e + 7))
BLACK = 1 / 8


def classifier(
    path: Path, metadata: dict[str, str] | None = None, **model: Any
) -> ExpressionClassifier:
    file = expression_model(path / "e.onnx", metadata, **model)
    return open_classifier(str(file), box_style="tight")


@pytest.mark.parametrize(("of", "side"), [("max", 40.0), ("sqrt", 1200**0.5), ("width", 30.0)])
def test_the_crop_is_a_square_of_the_boxs_measure(of: Any, side: float) -> None:
    square = square_of(FACE, CropContract(of), Placement(1.5, 0.1, -0.2))
    assert square.side == pytest.approx(1.5 * side)
    centre = (square.left + square.side / 2, square.top + square.side / 2)
    assert centre == pytest.approx((25 + 0.15 * side, 40 - 0.3 * side))


def test_a_crop_of_its_own_size_is_the_pixels_themselves() -> None:
    crop = cut(astronaut(), Square(100, 50, 48), 48, 48, as_gray=False)
    assert np.array_equal(crop, astronaut()[50:98, 100:148])


def test_a_crop_lies_between_pixels_where_its_box_does() -> None:
    ramp = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (100, 1))
    crop = cut(ramp, Square(10.5, 10, 8), 8, 8, as_gray=True)
    assert crop[0].tolist() == [21, 23, 25, 27, 29, 31, 33, 35]


@pytest.mark.parametrize("side", [10, 100, 300])
def test_beyond_the_pictures_edge_the_last_pixel_repeats(side: int) -> None:
    picture = plain(64, 64, 200)
    for left, top in ((-side / 2, -side / 2), (64 - side / 2, 64 - side / 2), (300, -400)):
        crop = cut(picture, Square(left, top, side), 16, 16, as_gray=False)
        assert crop.shape == (16, 16, 3)
        assert (crop == 200).all()


def test_a_large_face_is_averaged_so_that_no_pixel_is_skipped() -> None:
    stripes = np.zeros((480, 480), np.uint8)
    stripes[:, ::3] = 255
    crop = cut(stripes, Square(16, 16, 400), 40, 40, as_gray=True)
    assert abs(crop.astype(int) - 85).max() <= 30


def test_a_shrunk_crop_keeps_its_place() -> None:
    ramp = np.tile(np.linspace(0, 255, 400, dtype=np.float32).astype(np.uint8), (400, 1))
    crop = cut(ramp, Square(37, 5, 300), 30, 30, as_gray=True)
    centres = 37 + (np.arange(30) + 0.5) * 10 - 0.5
    assert np.abs(crop[15] - centres * 255 / 399).max() < 1.5


def test_each_face_gets_its_own_probabilities_in_their_order(tmp_path: Path) -> None:
    picture = plain(100, 50)
    picture[:, 50:] = 255
    left, right = Detection(5, 5, 30, 30, 1), Detection(60, 5, 30, 30, 1)
    tiny = classifier(tmp_path, brightness=(1, 0, 0, 0, 0, 0, 0, 0))
    classified = [face.probabilities[0] for face in tiny.classify(picture, [right, left, right])]
    assert classified == pytest.approx([WHITE, BLACK, WHITE], abs=1e-5)


def test_no_faces_cost_nothing(tmp_path: Path) -> None:
    assert classifier(tmp_path).classify(plain(32, 32), []) == []


def test_labels_in_any_order_come_back_in_wire_order_with_zeros_for_the_missing(
    tmp_path: Path,
) -> None:
    metadata = expression_metadata(labels=["anger", "neutral"])
    tiny = classifier(tmp_path, metadata, brightness=(0, 0), bias=(np.log(3), 0))
    (face,) = tiny.classify(plain(64, 64), [FACE])
    expected = dict.fromkeys(EXPRESSIONS, 0.0) | {"anger": 0.75, "neutral": 0.25}
    assert face.probabilities == pytest.approx(tuple(expected.values()))


def test_logits_are_divided_by_the_temperature(tmp_path: Path) -> None:
    bias = (2 * np.log(7), 0, 0, 0, 0, 0, 0, 0)
    tiny = classifier(tmp_path, expression_metadata(temperature="2"), bias=bias)
    (face,) = tiny.classify(plain(64, 64), [FACE])
    assert face.probabilities[0] == pytest.approx(0.5)


def test_enormous_logits_stay_probabilities(tmp_path: Path) -> None:
    (face,) = classifier(tmp_path, bias=(9000, 0, 0, 0, 0, 0, 0, -9000)).classify(
        plain(64, 64), [FACE]
    )
    assert face.probabilities == (1, 0, 0, 0, 0, 0, 0, 0)


def test_probabilities_are_taken_as_they_are(tmp_path: Path) -> None:
    bias = (0.5, 0.3, 0.2, 0, 0, 0, 0, 0)
    tiny = classifier(tmp_path, expression_metadata(output="probabilities"), bias=bias)
    (face,) = tiny.classify(plain(64, 64), [FACE])
    assert face.probabilities == pytest.approx(bias, abs=1e-5)


def test_logits_that_claim_to_be_probabilities_are_found_out(tmp_path: Path) -> None:
    metadata = expression_metadata(output="probabilities")
    tiny = classifier(tmp_path, metadata, bias=(3, -3, 0, 0, 0, 0, 0, 0))
    with pytest.raises(ModelError, match="set output to 'logits'"):
        tiny.warm_up()


@pytest.mark.parametrize(
    ("tensor", "shape", "weights"),
    [
        ({"layout": "NHWC"}, ("n", 8, 8, 1), 1.0),
        ({"mean": [55.0], "std": [200.0]}, ("n", 1, 8, 8), 1.0),
        ({"channels": 3, "colour": "bgr"}, ("n", 3, 8, 8), 1.0),
        ({"channels": 3, "colour": "rgb", "layout": "NHWC"}, ("n", 8, 8, 3), 1.0),
        ({"channels": 3, "colour": "rgb", "mean": [0] * 3, "std": [255] * 3}, ("n", 3, 8, 8), 1.0),
        ({}, (1, 1, 8, 8), 1.0),
    ],
    ids=["NHWC", "mean and std", "bgr", "rgb NHWC", "std per channel", "batch fixed at one"],
)
def test_the_tensor_is_made_as_the_contract_says(
    tmp_path: Path, tensor: dict[str, Any], shape: tuple[int | str, ...], weights: float
) -> None:
    metadata = expression_metadata(input=TENSOR | tensor)
    tiny = classifier(tmp_path, metadata, shape=shape, brightness=(weights, 0, 0, 0, 0, 0, 0, 0))
    faces = tiny.classify(plain(64, 64, 255), [FACE, FACE])
    assert [face.probabilities[0] for face in faces] == pytest.approx([WHITE] * 2, abs=1e-5)


@pytest.mark.parametrize(("colour", "channel"), [("bgr", 0), ("rgb", 2)])
def test_the_first_channel_is_the_contracts_first_colour(
    tmp_path: Path, colour: str, channel: int
) -> None:
    tensor = {"channels": 3, "colour": colour, "mean": [0] * 3, "std": [255, 1e9, 1e9]}
    tiny = classifier(
        tmp_path,
        expression_metadata(input=TENSOR | tensor),
        shape=("n", 3, 8, 8),
        brightness=(3, 0, 0, 0, 0, 0, 0, 0),
    )
    picture = plain(64, 64)
    picture[..., channel] = 255
    (face,) = tiny.classify(picture, [FACE])
    assert face.probabilities[0] == pytest.approx(WHITE, abs=1e-5)


def test_a_face_is_sure_when_it_is_large_enough_and_one_expression_stands_out(
    tmp_path: Path,
) -> None:
    metadata = expression_metadata(sure_threshold=str(BLACK + 0.03))
    tiny = classifier(tmp_path, metadata, brightness=(1, 0, 0, 0, 0, 0, 0, 0))
    picture = np.random.default_rng(0).integers(160, 256, (100, 100, 3), dtype=np.uint8)
    picture[50:] -= 160
    bright, small = Detection(40, 10, 16, 16, 1), Detection(40, 10, 15, 16, 1)
    dark = Detection(40, 60, 30, 30, 1)
    doubtful = Detection(40, 10, 16, 16, 1, certain=False)
    points = ((44, 12), (52, 12), (48, 21), (45, 22), (51, 22))
    bent = Detection(40, 10, 16, 16, 1, points)
    expressions = tiny.classify(picture, [bright, small, dark, doubtful, bent])
    assert [face.sure for face in expressions] == [True, False, False, False, False]


def test_a_model_that_computes_nonsense_is_an_error(tmp_path: Path) -> None:
    tiny = classifier(tmp_path, bias=(np.nan, 0, 0, 0, 0, 0, 0, 0))
    with pytest.raises(ModelError, match="not a number"):
        tiny.classify(plain(64, 64), [FACE])


def test_a_contract_without_a_crop_for_the_detectors_boxes_is_refused(tmp_path: Path) -> None:
    metadata = expression_metadata(crop={"of": "max", "tight": {"side": 1}})
    file = expression_model(tmp_path / "e.onnx", metadata)
    with pytest.raises(ModelError, match="no crop for 'haar' boxes"):
        open_classifier(str(file), box_style="haar")


def test_the_self_test_passes_on_the_recorded_outputs_and_fails_on_others(tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    logits = np.zeros((2, 8))
    logits[:, 0] = noise.mean((1, 2)) / 255 * 5
    due = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for shift, passes in ((0.0, True), (0.03, False)):
        rows = (due + np.array([shift, -shift, 0, 0, 0, 0, 0, 0])).tolist()
        metadata = expression_metadata(selftest={"seed": 7, "probabilities": rows})
        tiny = classifier(tmp_path, metadata, brightness=(5, 0, 0, 0, 0, 0, 0, 0))
        if passes:
            tiny.self_test()
        else:
            with pytest.raises(ModelError, match=r"self-test is off by 0\.0300"):
                tiny.self_test()


def test_a_model_without_recorded_outputs_passes_the_self_test(tmp_path: Path) -> None:
    tiny = classifier(tmp_path)
    assert tiny.contract.selftest is None
    tiny.self_test()


@pytest.mark.parametrize(("contrast", "brightness"), [(0.06, 5), (0.2, 200)])
def test_a_face_in_the_dark_or_in_fog_is_told_as_in_good_light(
    contrast: float, brightness: float
) -> None:
    shipped = open_classifier(box_style="tight")
    picture = astronaut()
    whole = [Detection(*ASTRONAUT_FACE, score=1.0)]
    pale = np.asarray(picture * contrast + brightness, np.uint8)
    (good,), (poor,) = shipped.classify(picture, whole), shipped.classify(pale, whole)
    assert poor.probabilities == pytest.approx(good.probabilities, abs=0.15)
