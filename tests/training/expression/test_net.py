"""What stands before the network's first layer."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from roommood.training.expression.net import LEAST_CONTRAST, lifted


def noise(mean: float, deviation: float) -> torch.Tensor:
    values = np.random.default_rng(3).normal(mean, deviation, (1, 1, 48, 48))
    return torch.from_numpy(values.astype(np.float32))


def test_a_face_in_good_light_stays_as_it_is() -> None:
    bright = noise(0.2, LEAST_CONTRAST * 1.1).clamp(-1.5, 1.5)
    assert torch.allclose(lifted(bright), bright, atol=1e-6)


@pytest.mark.parametrize("mean", [-1.8, 1.6])
def test_a_face_of_little_contrast_is_stretched_and_brought_towards_a_middle_grey(
    mean: float,
) -> None:
    stretched = lifted(noise(mean, LEAST_CONTRAST / 5))
    assert float(stretched.std()) == pytest.approx(LEAST_CONTRAST, rel=0.05)
    assert float(stretched.mean()) == pytest.approx(mean / 5, abs=0.05)


def test_a_crop_of_one_grey_is_no_division_by_zero() -> None:
    assert torch.isfinite(lifted(torch.full((1, 1, 48, 48), -2.0))).all()
