"""Reading the FER+ layout and its majority protocol."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.making import votes, write_split

pytest.importorskip("cv2")

from roommood.training.expression.ferplus import (
    DROPPED,
    FerPlusError,
    expression_shares,
    held_out,
    majority_labels,
    read_split,
    trainable,
)


def label(**counts: int) -> int:
    return int(majority_labels(np.array([votes(**counts)], dtype=np.float32))[0])


def test_more_than_half_of_the_votes_make_the_label() -> None:
    assert label(happiness=6, neutral=4) == 1


def test_exactly_half_of_the_votes_is_no_majority() -> None:
    assert label(happiness=5, neutral=5) == DROPPED


def test_a_class_that_one_person_chose_loses_its_vote() -> None:
    assert label(anger=4, fear=1, sadness=1, disgust=1, neutral=3) == 4


def test_a_majority_for_unknown_or_no_face_is_dropped() -> None:
    assert label(unknown=8, neutral=2) == DROPPED
    assert label(none=10) == DROPPED


def test_unknown_votes_count_when_half_is_reckoned() -> None:
    assert label(surprise=5, unknown=5) == DROPPED
    assert label(surprise=6, unknown=4) == 2


def test_only_single_votes_leave_nothing_to_learn() -> None:
    singles = np.array([[1] * 10], dtype=np.float32)
    assert majority_labels(singles).tolist() == [DROPPED]
    assert not trainable(singles).any()
    assert expression_shares(singles).tolist() == [[0.0] * 8]


def test_shares_leave_out_single_and_unknown_votes() -> None:
    rows = np.array([votes(neutral=6, sadness=2, fear=1, unknown=1)], dtype=np.float32)
    assert expression_shares(rows)[0].tolist() == pytest.approx([0.75, 0, 0, 0.25, 0, 0, 0, 0])


def test_held_out_faces_do_not_depend_on_the_order_of_the_names() -> None:
    names = tuple(f"fer{n:07d}.png" for n in range(2000))
    chosen = held_out(names, 5)
    assert held_out(names[::-1], 5)[::-1].tolist() == chosen.tolist()
    assert 60 <= chosen.sum() <= 140


def test_a_split_is_read_with_its_pictures_votes_and_names(tmp_path: Path) -> None:
    faces = read_split(write_split(tmp_path / "split", [votes(anger=10), votes(fear=9, none=1)]))
    assert faces.pictures.shape == (2, 48, 48)
    assert faces.pictures.dtype == np.uint8
    assert faces.names == ("fer0000000.png", "fer0000001.png")
    assert faces.votes[1].tolist() == votes(fear=9, none=1)
    assert len(faces.take(np.array([False, True]))) == 1


def test_a_missing_label_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FerPlusError, match=r"label\.csv is missing"):
        read_split(tmp_path)


def test_a_row_with_too_few_votes_is_an_error_with_its_line(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "split", [votes(anger=10)])
    with (folder / "label.csv").open("a") as lines:
        lines.write('fer0000001.png,"(0, 0, 48, 48)",1,2,3\n')
    with pytest.raises(FerPlusError, match="line 2: 3 votes, expected 10"):
        read_split(folder)


def test_a_missing_picture_is_an_error(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "split", [votes(anger=10)])
    (folder / "fer0000000.png").unlink()
    with pytest.raises(FerPlusError, match="missing or not a picture"):
        read_split(folder)
