"""What a run draws, and how it is mixed."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.making import write_data

pytest.importorskip("torch")
pytest.importorskip("cv2")

import torch

from roommood.training.expression.data import (
    as_input,
    draw,
    drawing_odds,
    load_faces,
    load_unlabelled,
    mix,
)


def shares(*rows: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    votes = np.zeros((sum(count for _, count in rows), 8), dtype=np.float32)
    votes[np.arange(len(votes)), np.repeat([e for e, _ in rows], [c for _, c in rows])] = 1
    return votes


def test_full_balance_draws_a_rare_expression_as_often_as_a_common_one() -> None:
    odds = drawing_odds(shares((0, 90), (6, 10)), 1.0)
    assert odds[90:].sum() == pytest.approx(0.5, abs=1e-5)


def test_no_balance_draws_every_face_alike() -> None:
    assert drawing_odds(shares((0, 90), (6, 10)), 0.0).tolist() == pytest.approx([0.01] * 100)


def test_faces_without_a_target_are_drawn_half_as_often() -> None:
    known = shares((0, 10))
    odds = drawing_odds(np.concatenate([known, np.zeros((10, 8), dtype=np.float32)]), 0.3)
    assert odds[-1] == pytest.approx(odds[0] / 2)


def test_an_even_draw_takes_each_face_once() -> None:
    rows = draw(np.full(50, 0.02), 50, np.random.default_rng(0))
    assert sorted(rows.tolist()) == list(range(50))


def test_mixed_targets_remain_distributions() -> None:
    pictures, targets = torch.rand(6, 1, 48, 48), torch.eye(8)[:6]
    blended, mixed = mix(pictures, targets, 0.3, np.random.default_rng(0))
    assert blended.shape == pictures.shape
    assert mixed.sum(1).tolist() == pytest.approx([1.0] * 6)


def test_held_out_faces_are_not_among_the_training_faces(tmp_path: Path) -> None:
    learn, check = load_faces(write_data(tmp_path), 50)
    assert len(learn.pictures) + len(check.pictures) == 40
    seen = {picture.tobytes() for picture in learn.pictures}
    assert not any(picture.tobytes() in seen for picture in check.pictures)


def test_unlabelled_pictures_become_grey_faces_without_a_target(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "one.jpg"), np.full((90, 70, 3), 80, dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    faces = load_unlabelled(tmp_path)
    assert faces.pictures.shape == (1, 48, 48)
    assert not faces.shares.any()


def test_input_is_scaled_by_the_contracts_mean_and_deviation() -> None:
    pictures = np.array([[[0, 128, 192]]], dtype=np.uint8)
    assert as_input(pictures).flatten().tolist() == [-2.0, 0.0, 1.0]
