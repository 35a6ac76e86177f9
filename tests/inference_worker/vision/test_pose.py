"""A head bent down or thrown back is told by where its nose lies."""

import cmath
from math import radians

import pytest

from roommood.inference_worker.vision.pose import Point, bent


def face(nose: float, turned_deg: float = 0.0, side: float = 40.0) -> list[Point]:
    """Eyes at the top, mouth at the bottom, the nose that far down between them."""
    points = (-0.5, 0.5, nose * 1j, 1j - 0.3, 1j + 0.3)
    turn = cmath.rect(side, radians(turned_deg))
    return [((p := point * turn).real + 100, p.imag + 100) for point in points]


@pytest.mark.parametrize("turned_deg", [0, 30, -90, 180])
@pytest.mark.parametrize(
    ("nose", "is_bent"), [(0.31, True), (0.33, False), (0.55, False), (0.71, False), (0.73, True)]
)
def test_a_bent_head_is_told_however_the_picture_is_turned(
    nose: float, turned_deg: float, is_bent: bool
) -> None:
    assert bent(face(nose, turned_deg)) is is_bent


def test_a_head_turned_aside_is_not_bent() -> None:
    left, right, (x, y), *mouth = face(0.55)
    assert not bent([left, right, (x + 18, y), *mouth])


def test_without_landmarks_nothing_can_be_told() -> None:
    assert not bent(None)


def test_a_face_without_height_is_not_to_be_read() -> None:
    assert bent(face(0.5, side=0.5))
