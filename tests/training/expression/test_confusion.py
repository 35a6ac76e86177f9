"""Confusion matrices say what their faces can tell, by two standards of labels."""

import numpy as np
import pytest

from roommood.inference_worker.evaluation.ferplus import UNCLEAR, VOTE_COLUMNS, FaceSet
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.confusion import SEARCHED_WEIGHT, labelled, rows_of
from roommood.training.expression.evaluate import COUNT

NEUTRAL, HAPPINESS, SADNESS, CONTEMPT = (
    EXPRESSIONS.index(name) for name in ("neutral", "happiness", "sadness", "contempt")
)
MANY, FEW = 100_000, 2


def _won(label: int, count: int) -> np.ndarray:
    return np.eye(COUNT, dtype=np.float32)[[label] * count]


def _unclear(count: int) -> np.ndarray:
    return np.full(count, UNCLEAR)


def test_a_row_of_many_faces_says_what_they_show_and_one_of_few_is_drawn_to_the_usual() -> None:
    answers = np.concatenate([_won(NEUTRAL, MANY), _won(HAPPINESS, MANY), _won(NEUTRAL, FEW)])
    truth = np.repeat([NEUTRAL, HAPPINESS, CONTEMPT], [MANY, MANY, FEW])
    rows = rows_of(answers, truth, _unclear(len(truth)))
    assert rows[NEUTRAL, NEUTRAL] == pytest.approx(1, abs=1e-3)
    # Half of the usual is the right answer; of seven faces five are the usual's.
    assert rows[CONTEMPT, CONTEMPT] == pytest.approx(5 / 14, abs=1e-3)
    assert rows[CONTEMPT, NEUTRAL] == pytest.approx(2 / 7 + 5 / 28, abs=1e-3)
    assert rows[CONTEMPT].sum() == pytest.approx(1)


def test_views_of_the_same_faces_are_no_more_faces() -> None:
    answers = np.concatenate([_won(NEUTRAL, MANY), _won(NEUTRAL, FEW)])
    truth = np.repeat([NEUTRAL, CONTEMPT], [MANY, FEW])
    once = rows_of(answers, truth, _unclear(len(truth)))
    three = np.tile(truth, 3)
    thrice = rows_of(np.tile(answers, (3, 1)), three, _unclear(len(three)), views=3)
    assert thrice == pytest.approx(once)


def test_faces_that_are_not_sure_take_from_their_row() -> None:
    half = _won(HAPPINESS, MANY) * (np.arange(MANY) % 2)[:, None]
    rows = rows_of(half, np.full(MANY, HAPPINESS), _unclear(MANY))
    assert rows[HAPPINESS].sum() == pytest.approx(0.5)


def test_the_word_that_a_face_was_searched_by_has_its_part_of_a_row() -> None:
    answers = np.concatenate([_won(SADNESS, MANY), _won(NEUTRAL, MANY)])
    voted = np.repeat([SADNESS, NEUTRAL], MANY)
    searched = np.full(2 * MANY, SADNESS)
    rows = rows_of(answers, voted, searched)
    assert rows[SADNESS, NEUTRAL] == pytest.approx(SEARCHED_WEIGHT / 2, abs=1e-3)
    assert rows[NEUTRAL, NEUTRAL] == pytest.approx(1, abs=1e-3)


def test_an_expression_that_nobody_voted_for_has_an_empty_row_though_it_was_searched() -> None:
    rows = rows_of(_won(NEUTRAL, MANY), np.full(MANY, NEUTRAL), np.full(MANY, SADNESS))
    assert not rows[SADNESS].any()
    assert not rows[CONTEMPT].any()


def test_a_searched_word_counts_where_two_voters_name_it_too() -> None:
    votes = np.zeros((4, len(VOTE_COLUMNS)), np.int64)
    votes[:, NEUTRAL] = 7
    votes[0, SADNESS], votes[1:, SADNESS] = 1, 2
    names = ("one.png", "two.png", "not-searched.png", "of-train.png")
    faces = FaceSet(np.zeros((4, 48, 48), np.uint8), votes, names)
    first = {"V/one.png": "sadness", "V/two.png": "sadness", "T/of-train.png": "sadness"}
    known = labelled(faces, "V", first)
    assert known.voted.tolist() == [NEUTRAL] * 4
    assert known.searched.tolist() == [UNCLEAR, SADNESS, UNCLEAR, UNCLEAR]
