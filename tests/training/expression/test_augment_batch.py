"""Batches of faces are distorted as single ones are, each in its own way."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("cv2")

import cv2
import torch

from roommood.training.expression.augment import GROWERS, SHRINKERS, Policy, compress
from roommood.training.expression.augment_batch import BatchAugment
from roommood.training.expression.net import BLACK, MEAN, STD, WHITE

STILL = Policy(0, 0, 0, 0, 0, 0).scaled(0)
CPU = torch.device("cpu")


def smooth_faces(count: int) -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 256, (count, 48, 48)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(face, (0, 0), 2) for face in noise]).astype(np.uint8)


def augmented(policy: Policy, faces: np.ndarray, seed: int = 1) -> np.ndarray:
    shown = BatchAugment(policy, CPU, seed)(torch.from_numpy(faces))
    return np.asarray((shown * STD + MEAN)[:, 0])


def test_a_policy_that_never_distorts_leaves_faces_as_they_are() -> None:
    faces = smooth_faces(4)
    assert augmented(STILL, faces) == pytest.approx(faces, abs=1)


def test_a_seed_fixes_what_is_drawn_and_another_draws_otherwise() -> None:
    faces = smooth_faces(8)
    assert (augmented(Policy(), faces) == augmented(Policy(), faces)).all()
    assert (augmented(Policy(), faces) != augmented(Policy(), faces, seed=2)).any()


def test_every_face_of_a_batch_is_distorted_in_its_own_way() -> None:
    same = np.repeat(smooth_faces(1), 6, axis=0)
    shown = augmented(Policy(), same)
    assert len({face.tobytes() for face in shown}) == 6


def test_whatever_is_drawn_lies_between_black_and_white() -> None:
    often = Policy().scaled(3)
    shown = BatchAugment(often, CPU, 1)(torch.from_numpy(smooth_faces(64)))
    assert shown.shape == (64, 1, 48, 48)
    assert BLACK <= float(shown.min()) <= float(shown.max()) <= WHITE


def test_flipped_faces_are_mirrored() -> None:
    faces = smooth_faces(4)
    flipped = augmented(replace(STILL, flip=1.0), faces)
    assert flipped == pytest.approx(faces[:, :, ::-1], abs=1)


def test_a_face_scaled_down_and_up_is_what_opencv_makes_of_it() -> None:
    face = np.random.default_rng(5).integers(0, 256, (1, 48, 48), dtype=np.uint8)
    shown = augmented(replace(STILL, shrink=1.0, smallest_px=47), face)
    small = [cv2.resize(face[0].astype(np.float32), (47, 47), interpolation=i) for i in SHRINKERS]
    ways = [cv2.resize(s, (48, 48), interpolation=i).clip(0, 255) for s in small for i in GROWERS]
    assert min(np.abs(shown[0] - way).max() for way in ways) < 1


def test_compressing_costs_a_face_about_what_jpeg_costs_it() -> None:
    faces = smooth_faces(16)
    lost = np.abs(augmented(replace(STILL, jpeg=1.0), faces) - faces).mean()
    rng = np.random.default_rng(1)
    lost_by_jpeg = np.mean([np.abs(compress(f, rng).astype(float) - f).mean() for f in faces])
    assert lost_by_jpeg / 2 < lost < lost_by_jpeg * 2
