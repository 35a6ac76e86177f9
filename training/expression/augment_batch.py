"""Distorting whole batches of faces on one device, as `augment` does picture by picture.

A GPU would wait for a processor that does it.  Blur, smear and scaling down and back up act
along rows and columns alike, so each is a matrix (48, 48): two multiplications serve a batch in
which every face has its own.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from roommood.inference_worker.evaluation.ferplus import SIDE_PX
from roommood.training.expression.augment import GROWERS, SHRINKERS, Policy
from roommood.training.expression.net import MEAN, STD

# How far a face is turned as a flat sheet: the change of scale at the picture's edge.
LEAN: Final = 0.17
BORDERS: Final = 3
WEAK_SIGMAS_PX: Final = np.linspace(0.4, 1.4, 11)
STRONG_SIGMAS_PX: Final = np.linspace(1.4, 5, 11)
WEAK_SMEARS_PX, STRONG_SMEARS_PX = range(2, 6), range(6, 18)
STRONG: Final = 0.33
# Luminance quantisation of ITU-T T.81 (JPEG), Annex K.
_JPEG_STEPS: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_BLOCK: Final = len(_JPEG_STEPS)
# What an operation along columns makes of it is the matrix of that operation.
_EYE: Final = np.eye(SIDE_PX, dtype=np.float32)

Matrix = NDArray[np.float32]


class BatchAugment:
    """Distorts faces by a policy; a seed fixes what is drawn, on one kind of device."""

    def __init__(self, policy: Policy, device: torch.device, seed: int) -> None:
        self.policy = policy
        self.device = device
        self._rng = torch.Generator(device).manual_seed(seed)
        self._line = torch.linspace(-1, 1, SIDE_PX, device=device) * (1 - 1 / SIDE_PX)
        self._weak = self._on_device(map(_gaussian, WEAK_SIGMAS_PX))
        self._strong = self._on_device(map(_gaussian, STRONG_SIGMAS_PX))
        self._weak_smears = self._on_device(map(_smear, WEAK_SMEARS_PX))
        self._strong_smears = self._on_device(map(_smear, STRONG_SMEARS_PX))
        self._shrinks = self._on_device(_shrinks(policy.smallest_px))
        self._cosines = self._on_device([_block_cosines()])
        self._steps = self._on_device([_matrix(np.tile(_JPEG_STEPS, (SIDE_PX // _BLOCK,) * 2))])

    def __call__(self, pictures: Tensor) -> Tensor:
        """Faces (N, 48, 48) uint8 as distorted input of a network, (N, 1, 48, 48)."""
        policy = self.policy
        faces = self._warped(pictures.float().unsqueeze(1)).squeeze(1)
        for chance, distort in (
            (policy.light, self._relit),
            (policy.lower_mask, self._masked),
            (policy.backlight, self._lit_from_behind),
            (policy.blur, self._blurred),
            (policy.dark, self._darkened),
            (policy.noise, self._noisy),
            (policy.jpeg, self._compressed),
            (policy.erase, self._erased),
            (policy.shrink, self._shrunk),
        ):
            faces = torch.where(self._chance(len(faces), chance), distort(faces), faces)
            faces = faces.clamp(0, 255)
        return (faces.round().unsqueeze(1) - MEAN) / STD

    def _warped(self, faces: Tensor) -> Tensor:
        """Flip, rotation, crop jitter, shift, uneven scale and a turn in one resampling."""
        count = len(faces)
        grid = self._sources(count)
        border = torch.randint(BORDERS, (count, 1, 1, 1), generator=self._rng, device=self.device)
        mirrored = 1 - ((grid + 1).remainder(4) - 2).abs()
        grid = torch.where(border == 1, mirrored, grid)
        moved = functional.grid_sample(
            faces, grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        outside = (grid.abs() > 1).any(-1).unsqueeze(1) & (border == 2)
        return torch.where(outside, self._between(count, 0, 255).unsqueeze(1), moved)

    def _sources(self, count: int) -> Tensor:
        """Where each pixel comes from, (N, 48, 48, 2), in parts of half a side."""
        policy = self.policy
        angle = self._spread(count, policy.rotate_deg).deg2rad()
        margin = policy.tighter_px + self._spread(count, policy.crop_px)
        shown = 1 - 2 * margin / SIDE_PX
        uneven = 1 + self._between(count, -policy.squeeze, policy.squeeze)
        across = torch.where(self._chance(count, policy.flip), -1 / uneven, 1 / uneven)
        shift = policy.shift_px * 2 / SIDE_PX
        left, top = (self._between(count, -shift, shift) for _ in range(2))
        turned = self._chance(count, policy.turn).float() * LEAN
        aside, ahead = (turned * self._between(count, -1, 1) for _ in range(2))
        x, y = self._line[None, None, :] * across, self._line[None, :, None]
        depth = 1 + aside * x + ahead * y
        column = (shown * (angle.cos() * x - angle.sin() * y) + left) / depth
        row = (shown * (angle.sin() * x + angle.cos() * y) + top) / depth
        return torch.stack([column, row], dim=-1)

    def _relit(self, faces: Tensor) -> Tensor:
        """Another brightness, contrast and gamma; sometimes light from one side."""
        count = len(faces)
        level = (faces / 255).pow((0.25 * self._normal(count)).exp())
        contrast, brightness = (0.25 * self._normal(count)).exp(), 0.1 * self._normal(count)
        slope = self._between(count, -0.3, 0.3) * self._chance(count, 0.3)
        sideways = self._chance(count, 0.7)
        light = torch.where(sideways, self._line[None, None, :], self._line[None, :, None])
        return ((level - 0.5) * contrast + 0.5 + brightness + slope * light) * 255

    def _masked(self, faces: Tensor) -> Tensor:
        """A plain surgical mask: a light trapezium from the bridge of the nose down."""
        count = len(faces)
        top = self._between(count, -0.04, 0.2)
        x, y = self._line[None, None, :].abs(), self._line[None, :, None]
        is_mask = (y > top - 0.17 * (0.8 - x)) & (y < 0.92) & (x < 0.8 - 0.2 * (y - top))
        return torch.where(is_mask, self._between(count, 60, 255), faces)

    def _lit_from_behind(self, faces: Tensor) -> Tensor:
        """A dark, flat face before a window: all around an oval is bright, and it spills over."""
        count, half = len(faces), SIDE_PX / 2
        wide, high = self._between(count, 14, 24) / half, self._between(count, 19, 30) / half
        left, top = (self._between(count, -0.12, 0.12) for _ in range(2))
        x, y = self._line[None, None, :] - left, self._line[None, :, None] - top
        from_edge = 1 - ((x / wide).square() + (y / high).square()).sqrt()
        inside = (from_edge * 40 / self._between(count, 0.7, 4)).sigmoid()
        face = faces * self._between(count, 0.12, 0.6) + self._between(count, 0, 60)
        return face * inside + self._between(count, 170, 255) * (1 - inside)

    def _blurred(self, faces: Tensor) -> Tensor:
        """Out of focus, or smeared along a line by movement; one in three past reading."""
        count = len(faces)
        strong, smeared = self._chance(count, STRONG), self._chance(count, 0.5)
        focus = torch.where(
            strong, self._one_of(self._strong, count), self._one_of(self._weak, count)
        )
        smear = torch.where(
            strong, self._one_of(self._strong_smears, count), self._one_of(self._weak_smears, count)
        )
        nothing = torch.eye(SIDE_PX, device=self.device).expand_as(focus)
        sideways = self._chance(count, 0.5)
        rows = torch.where(smeared, torch.where(sideways, nothing, smear), focus)
        columns = torch.where(smeared, torch.where(sideways, smear, nothing), focus)
        return rows @ faces @ columns.mT

    def _darkened(self, faces: Tensor) -> Tensor:
        """So little light that a few grey levels are left, between which the grain lies."""
        return self._noisy((faces * self._between(len(faces), 0.06, 0.35)).round())

    def _noisy(self, faces: Tensor) -> Tensor:
        """The grain of a sensor in poor light."""
        grain = torch.randn(faces.shape, generator=self._rng, device=self.device)
        return faces + grain * self._between(len(faces), 2, 14)

    def _compressed(self, faces: Tensor) -> Tensor:
        """Through JPEG's quantisation at a quality of 30 to 90."""
        quality = self._between(len(faces), 30, 90)
        scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
        steps = (self._steps * scale).round().clamp(1, 255)
        waves = self._cosines @ (faces - MEAN) @ self._cosines.mT
        return self._cosines.mT @ ((waves / steps).round() * steps) @ self._cosines + MEAN

    def _erased(self, faces: Tensor) -> Tensor:
        """A grey box over a part: a hand, hair, another head."""
        count = len(faces)
        wide, high = (self._between(count, 6, 18) / SIDE_PX for _ in range(2))
        left, top = (self._between(count, -0.8, 0.8) for _ in range(2))
        x, y = self._line[None, None, :] - left, self._line[None, :, None] - top
        is_box = (x.abs() < wide) & (y.abs() < high)
        return torch.where(is_box, self._between(count, 0, 255), faces)

    def _shrunk(self, faces: Tensor) -> Tensor:
        """Scaled down and back up: what is left of a face that was small in the frame."""
        shrink = self._one_of(self._shrinks, len(faces))
        return shrink @ faces @ shrink.mT

    def _chance(self, count: int, chance: float) -> Tensor:
        return self._between(count, 0, 1) < chance

    def _between(self, count: int, low: float, high: float) -> Tensor:
        drawn = torch.rand((count, 1, 1), generator=self._rng, device=self.device)
        return low + (high - low) * drawn

    def _normal(self, count: int) -> Tensor:
        return torch.randn((count, 1, 1), generator=self._rng, device=self.device)

    def _spread(self, count: int, most: float) -> Tensor:
        return (self._normal(count) * most / 2).clamp(-most, most)

    def _one_of(self, matrices: Tensor, count: int) -> Tensor:
        rows = torch.randint(len(matrices), (count,), generator=self._rng, device=self.device)
        return matrices[rows]

    def _on_device(self, matrices: Iterable[Matrix]) -> Tensor:
        return torch.from_numpy(np.stack(list(matrices))).to(self.device)


def _gaussian(sigma_px: float) -> Matrix:
    size = 2 * round(3 * sigma_px) + 1
    return _matrix(cv2.GaussianBlur(_EYE, (1, size), sigmaX=1, sigmaY=float(sigma_px)))


def _smear(length_px: int) -> Matrix:
    kernel = np.full((length_px, 1), 1 / length_px, dtype=np.float32)
    return _matrix(cv2.filter2D(_EYE, -1, kernel))


def _shrinks(smallest_px: int) -> Iterator[Matrix]:
    """Every way down to a smaller side and back up."""
    for side, down, up in itertools.product(range(smallest_px, SIDE_PX), SHRINKERS, GROWERS):
        small = cv2.resize(_EYE, (SIDE_PX, side), interpolation=down)
        yield _matrix(cv2.resize(small, (SIDE_PX, SIDE_PX), interpolation=up))


def _block_cosines() -> Matrix:
    """The discrete cosine transform of every eight rows."""
    places = np.arange(_BLOCK)
    waves = np.cos(np.pi * (places[None] + 0.5) * places[:, None] / _BLOCK) * np.sqrt(2 / _BLOCK)
    waves[0] /= np.sqrt(2)
    return _matrix(np.kron(np.eye(SIDE_PX // _BLOCK), waves))


def _matrix(values: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> Matrix:
    return np.asarray(values, dtype=np.float32)
