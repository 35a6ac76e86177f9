"""The wire order of the labels, the size classes at their bounds, and valence."""

import pytest

from roommood.shared.protocol.emotions import (
    EXPRESSIONS,
    SIZE_CLASSES,
    SIZE_LOWER_PX,
    VALENCE,
    size_class,
    valence,
)


def test_the_order_of_the_expressions_is_that_of_fer_plus() -> None:
    assert EXPRESSIONS == (
        "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    )  # fmt: skip
    assert len(VALENCE) == len(EXPRESSIONS)
    assert len(SIZE_LOWER_PX) == len(SIZE_CLASSES)


@pytest.mark.parametrize(
    ("side", "name"),
    [
        (0, "tiny"), (19.99, "tiny"), (20, "small"), (31.99, "small"), (32, "medium"),
        (47.99, "medium"), (48, "large"), (4000, "large"),
    ],
)  # fmt: skip
def test_a_face_belongs_to_the_class_whose_lower_bound_it_reaches(side: float, name: str) -> None:
    assert SIZE_CLASSES[size_class(side, side)] == name


def test_the_side_of_a_face_is_the_geometric_mean() -> None:
    assert size_class(16, 25) == 1
    assert size_class(16, 24.9) == 0


@pytest.mark.parametrize(("width", "height"), [(0, 100), (100, 0), (-50, -50), (-1, 100)])
def test_a_box_without_area_is_tiny(width: float, height: float) -> None:
    assert size_class(width, height) == 0


def test_valence_is_the_weighted_mean_at_any_scale() -> None:
    for scale in (1.0, 1e9):
        assert valence([scale, scale, 0, 0, 0, 0, 0, 0]) == pytest.approx(0.4)
        assert valence([0, 0, 0, scale, 0, 0, 0, 0]) == pytest.approx(-0.6)


def test_valence_of_nothing_is_zero() -> None:
    assert valence([0.0] * 8) == 0.0


def test_valence_of_too_few_shares_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        valence([1.0])
