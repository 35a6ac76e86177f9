"""Privacy masks: polygons that are filled flat before a picture is compressed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from roommood.shared.errors import ConfigError

if TYPE_CHECKING:
    from roommood.shared.opencv import Pixels

_GREY: Final = (128, 128, 128)
_MIN_AREA: Final = 1e-6

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Mask:
    """A simple polygon of at least three (x, y), as fractions 0..1 of width and height.

    It refers to the picture as the source gives it, before any rotation.
    """

    points: tuple[Point, ...]

    @classmethod
    def parse(cls, points: object, name: str = "mask") -> Self:
        """From lists of [x, y]. Raises ConfigError, naming the mask and the point."""
        if not isinstance(points, Sequence) or isinstance(points, str):
            raise ConfigError(f"{name} is {points!r}; give a list of [x, y] points")
        if len(points) < 3:
            raise ConfigError(f"{name} has {len(points)} points; an area needs at least 3")
        mask = cls(tuple(_point(point, f"{name}, point {n}") for n, point in enumerate(points, 1)))
        mask._check_shape(name)
        return mask

    def _check_shape(self, name: str) -> None:
        if abs(_doubled_area(self.points)) < 2 * _MIN_AREA:
            raise ConfigError(f"{name} covers no area: its points lie on one line")
        if _crosses_itself(self.points):
            raise ConfigError(f"{name} crosses itself: give its points in order around the area")


def parse_masks(polygons: object) -> tuple[Mask, ...]:
    """Masks from a list of lists of [x, y]. Raises ConfigError."""
    if not isinstance(polygons, Sequence) or isinstance(polygons, str):
        raise ConfigError(f"masks is {polygons!r}; give a list of polygons, each a list of [x, y]")
    return tuple(Mask.parse(points, f"mask {n}") for n, points in enumerate(polygons, 1))


def burn_in(pixels: "Pixels", masks: Iterable[Mask]) -> "Pixels":
    """A copy of pixels, colour or luma, in which each mask, edges included, is mid grey."""
    import numpy as np

    from roommood.shared.opencv import cv2

    covered = pixels.copy()
    height, width = pixels.shape[:2]
    # One polygon a call: where two overlap in one call, OpenCV leaves the overlap open.
    for mask in masks:
        corners = [(round(x * width), round(y * height)) for x, y in mask.points]
        cv2.fillPoly(covered, [np.array(corners, np.int32)], _GREY)
    return covered


def _point(point: object, name: str) -> Point:
    if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
        raise ConfigError(f"{name} is {point!r}; give [x, y]")
    x, y = (_fraction(value, name) for value in point)
    return x, y


def _fraction(value: object, name: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ConfigError(f"{name} has {value!r}; give fractions of the picture from 0 to 1")


def _doubled_area(points: Sequence[Point]) -> float:
    following = [*points[1:], points[0]]
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, following, strict=True))


def _crosses_itself(points: Sequence[Point]) -> bool:
    edges = list(zip(points, [*points[1:], points[0]], strict=True))
    return any(
        _cross(*edges[i], *edges[j])
        for i in range(len(edges))
        for j in range(i + 2, len(edges))
        if (i, j) != (0, len(edges) - 1)
    )


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """True if the segments a-b and c-d cross in a point that is none of their ends."""
    return _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0


def _side(a: Point, b: Point, p: Point) -> float:
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
