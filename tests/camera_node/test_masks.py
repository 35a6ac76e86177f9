"""Masks: validated once, then burnt in for good."""

import numpy as np
import pytest

from roommood.camera_node.masks import Mask, burn_in, parse_masks
from roommood.shared.errors import ConfigError

LEFT_HALF = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]


def noise(height: int = 100, width: int = 200) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 100, (height, width, 3), dtype=np.uint8)


def test_a_mask_covers_its_area_and_nothing_else() -> None:
    picture = noise()
    masked = burn_in(picture, parse_masks([LEFT_HALF]))
    assert (masked[:, :101] == 128).all()
    assert (masked[:, 101:] == picture[:, 101:]).all()
    assert picture.max() < 128, "the picture that was given stays as it was"


def test_a_mask_reaches_to_the_last_row_and_column() -> None:
    whole = [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert (burn_in(noise(), parse_masks([whole])) == 128).all()


def test_every_mask_covers_its_area_and_so_does_where_they_overlap() -> None:
    lower = [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]
    picture = noise()
    masked = burn_in(picture, parse_masks([LEFT_HALF, lower]))
    assert (masked[:, :101] == 128).all()
    assert (masked[50:, :] == 128).all()
    assert (masked[:50, 101:] == picture[:50, 101:]).all()


def test_a_mask_of_any_size_of_picture_covers_the_same_fraction() -> None:
    for height, width in ((100, 200), (480, 640), (33, 77)):
        masked = burn_in(noise(height, width), parse_masks([LEFT_HALF]))
        assert abs((masked == 128).all(axis=2).mean() - 0.5) < 1.5 / width + 0.01


@pytest.mark.parametrize(
    ("masks", "reason"),
    [
        ("left", "give a list of polygons"),
        ([5], "mask 1 is 5; give a list"),
        ([LEFT_HALF, [[0, 0], [1, 1]]], "mask 2 has 2 points"),
        ([[[0, 0], [1, 0], [1, 1.5]]], r"mask 1, point 3 has 1.5; give fractions"),
        ([[[0, 0], [1, 0], [float("nan"), 1]]], "point 3 has nan"),
        ([[[0, 0], [1, 0], [float("inf"), 1]]], "point 3 has inf"),
        ([[[0, 0], [1, 0], [-0.1, 1]]], "point 3 has -0.1"),
        ([[[0, 0], [1, 0], [True, 1]]], "point 3 has True"),
        ([[[0, 0], [1, 0], ["1", 1]]], "point 3 has '1'"),
        ([[[0, 0], [1, 0], [1]]], "give \\[x, y\\]"),
        ([[[0, 0], [0.5, 0.5], [1, 1]]], "covers no area"),
        ([[[0, 0], [1, 1], [1, 0], [0, 0.9]]], "crosses itself"),
    ],
)
def test_what_is_no_polygon_is_refused_with_the_reason(masks: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_masks(masks)


def test_polygons_that_bend_inwards_are_polygons() -> None:
    picture = noise()
    bent = Mask.parse([(0, 0), (1, 0), (1, 1), (0.5, 0.2), (0, 1)])
    masked = burn_in(picture, (bent,))
    assert (masked[60, 5] == 128).all()
    assert (masked[60, 195] == 128).all()
    assert (masked[60, 90:110] == picture[60, 90:110]).all(), "the bend is not covered"
