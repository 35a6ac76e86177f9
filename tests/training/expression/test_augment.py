"""The distortions that training faces go through."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

pytest.importorskip("cv2")

from roommood.training.expression.augment import (
    Policy,
    add_noise,
    augment,
    blur,
    compress,
    darken,
    erase,
    light_from_behind,
    mask_lower_face,
    relight,
    shrink,
    turn_sideways,
    warp,
)
from roommood.training.expression.ferplus import Pictures

Distort = Callable[[Pictures, Generator], Pictures]


@pytest.fixture
def face() -> Pictures:
    ramp = np.linspace(20, 230, 48)
    return (ramp[:, None] * 0.5 + ramp[None, :] * 0.5).astype(np.uint8)


@pytest.mark.parametrize(
    "distort",
    [
        relight,
        light_from_behind,
        darken,
        turn_sideways,
        blur,
        add_noise,
        compress,
        mask_lower_face,
        erase,
    ],
)
def test_each_distortion_changes_a_copy_and_keeps_shape_and_type(
    distort: Distort, face: Pictures
) -> None:
    before = face.copy()
    changed = distort(face, np.random.default_rng(3))
    assert changed.shape == (48, 48)
    assert changed.dtype == np.uint8
    assert (changed != before).any()
    assert (face == before).all()


def test_a_seed_fixes_what_augment_draws(face: Pictures) -> None:
    first, again = (augment(face, Policy(), np.random.default_rng(5)) for _ in range(2))
    assert (first == again).all()
    assert first.shape == (48, 48)
    assert first.dtype == np.uint8


def test_a_warp_without_freedom_leaves_the_picture_alone(face: Pictures) -> None:
    still = Policy(rotate_deg=0, crop_px=0, tighter_px=0, shift_px=0, squeeze=0, flip=0)
    assert (warp(face, still, np.random.default_rng(0)) == face).all()


def test_of_a_larger_picture_the_middle_is_the_face_and_the_rest_may_move_in() -> None:
    large = np.random.default_rng(1).integers(0, 256, (72, 72), dtype=np.uint8)
    still = Policy(rotate_deg=0, crop_px=0, tighter_px=0, shift_px=0, squeeze=0, flip=0)
    assert (warp(large, still, np.random.default_rng(0)) == large[12:60, 12:60]).all()
    moved = Policy(rotate_deg=0, crop_px=0, shift_px=3, squeeze=0, flip=0)
    ramp = np.tile(np.arange(72, dtype=np.uint8) * 3, (72, 1))
    row = warp(ramp, moved, np.random.default_rng(0))[0].astype(int)
    assert set(np.diff(row)) <= {2, 3, 4}


def test_a_policy_without_strength_only_warps(face: Pictures) -> None:
    weak = Policy(flip=0).scaled(0)
    warped = warp(face, weak, np.random.default_rng(4))
    assert (augment(face, weak, np.random.default_rng(4)) == warped).all()
    assert Policy().scaled(0.5).jpeg == Policy().jpeg / 2


def test_a_sure_flip_mirrors_left_and_right(face: Pictures) -> None:
    mirror = Policy(rotate_deg=0, crop_px=0, tighter_px=0, shift_px=0, squeeze=0, flip=1)
    flipped = warp(face, mirror, np.random.default_rng(0)).astype(int)
    assert np.abs(flipped - face[:, ::-1]).max() <= 1


def test_a_face_shrunk_further_keeps_less_detail() -> None:
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (48, 48), dtype=np.uint8)
    spread = [shrink(noisy, px, np.random.default_rng(1)).std() for px in (40, 24, 14)]
    assert spread == sorted(spread, reverse=True)


def test_a_mask_leaves_the_eyes_alone(face: Pictures) -> None:
    masked = mask_lower_face(face, np.random.default_rng(0))
    assert (masked[:18] == face[:18]).all()
    assert masked[38, 15:33].std() == 0
