"""What is learnt from votes, and which faces are kept out."""

import numpy as np
import pytest

from tests.training.making import votes

pytest.importorskip("cv2")

from roommood.inference_worker.evaluation.ferplus import FaceSet
from roommood.training.expression.ferplus import expression_shares, held_out, trainable


def test_only_single_votes_leave_nothing_to_learn() -> None:
    singles = np.array([[1] * 10])
    assert not trainable(singles).any()
    assert expression_shares(singles).tolist() == [[0.0] * 8]


def test_shares_leave_out_single_and_unknown_votes() -> None:
    rows = np.array([votes(neutral=6, sadness=2, fear=1, unknown=1)])
    assert expression_shares(rows)[0].tolist() == pytest.approx([0.75, 0, 0, 0.25, 0, 0, 0, 0])


def test_held_out_faces_do_not_depend_on_the_order_of_the_names() -> None:
    names = tuple(f"fer{n:07d}.png" for n in range(2000))
    chosen = held_out(names, 5)
    assert held_out(names[::-1], 5)[::-1].tolist() == chosen.tolist()
    assert 60 <= chosen.sum() <= 140


def test_faces_are_taken_by_a_mask_or_by_their_rows() -> None:
    pictures = np.zeros((2, 48, 48), np.uint8)
    faces = FaceSet(pictures, np.array([votes(anger=10), votes(fear=10)]), ("a.png", "b.png"))
    assert faces.take(np.array([False, True])).names == ("b.png",)
    assert faces.take(np.array([1, 0])).votes.tolist() == [votes(fear=10), votes(anger=10)]
