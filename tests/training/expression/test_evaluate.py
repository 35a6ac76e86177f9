"""The figures that an evaluation gives."""

import numpy as np
import pytest

pytest.importorskip("cv2")

from roommood.training.expression.evaluate import (
    accuracy,
    at_size,
    calibration_error,
    confusion,
    recall,
    recropped,
    softmax,
)


def answers(*labels: int, sure: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    given = np.full((len(labels), 8), (1 - sure) / 7, dtype=np.float32)
    given[np.arange(len(labels)), labels] = sure
    return given


def test_accuracy_is_the_part_of_right_answers() -> None:
    assert accuracy(np.array([0, 1, 2, 3]), answers(0, 1, 2, 7, sure=0.9)) == 0.75


def test_a_model_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    given = answers(0, 0, 0, 0, sure=0.75)
    assert calibration_error(np.array([0, 0, 0, 1]), given) == pytest.approx(0, abs=1e-6)
    assert calibration_error(np.array([1, 1, 1, 1]), given) == pytest.approx(0.75)


def test_confusion_has_the_truth_in_rows() -> None:
    table = confusion(np.array([3, 3, 0]), answers(3, 0, 0, sure=0.9))
    assert (table[3, 3], table[3, 0], table[0, 0]) == (1, 1, 1)
    assert recall(table)["sadness"] == 0.5
    assert recall(table.T)["neutral"] == 0.5


def test_softmax_bears_large_logits() -> None:
    assert softmax(np.array([[1000.0, 0.0]], dtype=np.float32)).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("px", [16, 24, 40])
def test_a_smaller_face_comes_back_to_48_px_with_less_detail(px: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    small = at_size(noise, px)
    assert small.shape == noise.shape
    assert small.std() < noise.std()


def test_a_tighter_crop_loses_the_border_and_a_looser_one_repeats_it() -> None:
    framed = np.full((1, 48, 48), 200, dtype=np.uint8)
    framed[:, 4:-4, 4:-4] = 50
    assert recropped(framed, -4).max() == 50
    looser = recropped(framed, 8)
    assert looser.shape == framed.shape
    assert (looser[0, :6] == 200).all()
