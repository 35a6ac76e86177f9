"""The crop recipe follows from where a detector sees a pasted face."""

import numpy as np
import pytest

pytest.importorskip("cv2")

from roommood.training.expression.crop import Box, haar, measure_recipes
from roommood.training.expression.ferplus import Pictures

FACES = np.random.default_rng(0).integers(0, 256, (6, 48, 48), dtype=np.uint8)


def test_a_detector_that_sees_the_exact_square_needs_no_correction() -> None:
    def exact(picture: Pictures) -> Box:
        side = picture.shape[0] / 2
        return side / 2, side / 2, side, side

    for recipe in measure_recipes(exact, FACES):
        assert (recipe.side, recipe.dx, recipe.dy) == pytest.approx((1, 0, 0))
        assert (recipe.spread, recipe.found) == pytest.approx((0, 1))


def test_a_smaller_box_higher_up_is_enlarged_and_moved_down() -> None:
    def small(picture: Pictures) -> Box:
        side = picture.shape[0] / 2
        return side * 0.75, side * 0.6, side / 2, side / 2

    by_measure = {recipe.of: recipe for recipe in measure_recipes(small, FACES)}
    assert by_measure["sqrt"].side == pytest.approx(2)
    assert by_measure["sqrt"].dx == pytest.approx(0)
    assert by_measure["sqrt"].dy == pytest.approx(0.15)


def test_the_measures_of_a_narrow_box_differ() -> None:
    def narrow(picture: Pictures) -> Box:
        side = picture.shape[0] / 2
        return side * 0.75, side / 2, side / 2, side

    sides = {recipe.of: recipe.side for recipe in measure_recipes(narrow, FACES)}
    assert sides == pytest.approx({"max": 1, "sqrt": 2**0.5, "width": 2})


def test_haar_sees_no_face_in_a_plain_picture() -> None:
    assert haar()(np.full((144, 144), 90, dtype=np.uint8)) is None
