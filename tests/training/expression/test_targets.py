"""Which pictures of FER+ are learnt from, and what first labels add to the votes."""

from pathlib import Path

import numpy as np
import pytest

from roommood.inference_worker.evaluation.ferplus import FaceSet
from roommood.shared.errors import ConfigError
from roommood.training.expression.targets import (
    read_first_labels,
    read_names,
    shares_with_first_labels,
    without_copies,
    without_names,
)

#         neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not a face
VOTES = [[4, 0, 0, 4, 0, 1, 1, 0, 0, 0], [8, 2, 0, 0, 0, 0, 0, 0, 0, 0]]


def faces() -> FaceSet:
    pictures = np.arange(2 * 48 * 48, dtype=np.uint32).reshape(2, 48, 48).astype(np.uint8)
    pictures[1] += 1
    return FaceSet(pictures, np.array(VOTES, np.float32), ("a.png", "b.png"))


def test_pictures_named_in_a_file_are_left_out_of_their_split_alone(tmp_path: Path) -> None:
    file = tmp_path / "leave-out.txt"
    file.write_text("ferplus.zip\tTrain/a.png\nferplus.zip\tValid/b.png\n")
    assert without_names(faces(), "Train", read_names(file)).names == ("b.png",)


def test_a_copy_of_a_judged_picture_is_not_learnt_from() -> None:
    judged = faces().take(np.array([1]))
    assert without_copies(faces(), judged).names == ("a.png",)


def test_a_picture_that_differs_in_one_pixel_is_no_copy() -> None:
    judged = faces().take(np.array([1]))
    judged.pictures[0, 0, 0] += 1
    assert len(without_copies(faces(), judged)) == 2


def test_a_first_label_confirms_a_single_vote_and_adds_its_own() -> None:
    shares = shares_with_first_labels(faces(), "Train", {"Train/a.png": "disgust"})
    assert shares[0].tolist() == pytest.approx([4 / 11, 0, 0, 4 / 11, 0, 3 / 11, 0, 0])
    assert shares[1].tolist() == pytest.approx([0.8, 0.2, 0, 0, 0, 0, 0, 0])


def test_a_first_label_that_no_voter_shares_weighs_less() -> None:
    shares = shares_with_first_labels(faces(), "Train", {"Train/b.png": "fear"})
    assert shares[1].tolist() == pytest.approx([8 / 10.3, 2 / 10.3, 0, 0, 0, 0, 0.3 / 10.3, 0])


@pytest.mark.parametrize("label", ["surprise", "anger"])
def test_a_first_label_of_a_common_expression_that_nobody_saw_changes_nothing(label: str) -> None:
    shares = shares_with_first_labels(faces(), "Train", {"Train/a.png": label})
    assert shares[0].tolist() == pytest.approx([0.5, 0, 0, 0.5, 0, 0, 0, 0])


def test_first_labels_are_read_by_picture_and_another_table_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "first.csv"
    file.write_text("picture,first_label\nTrain/a.png,fear\n")
    assert read_first_labels(file) == {"Train/a.png": "fear"}
    file.write_text("image,emotion\na.png,fear\n")
    with pytest.raises(ConfigError, match="picture,first_label"):
        read_first_labels(file)
