"""A small line that shows how a figure went, to stand beside the figure. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from markupsafe import Markup

_WIDTH: Final = 96
_HEIGHT: Final = 24
# So that a line at the top or at the bottom is drawn whole.
_EDGE: Final = 2


def sparkline(values: Sequence[float | None], label: str) -> Markup:
    """An SVG from 0 up to the largest value, with gaps where nothing is known; "" for no value."""
    known = [value for value in values if value is not None]
    if not known:
        return Markup("")
    most = max([*known, 1.0])
    path = " ".join(_pieces(values, most))
    return Markup(
        '<svg class="rm-spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><path d="{}"/></svg>'
    ).format(_WIDTH, _HEIGHT, label, path)


def _pieces(values: Sequence[float | None], most: float) -> Iterator[str]:
    """A path for each stretch of known values; a single one is a short dash."""
    step = _WIDTH / len(values)
    for is_known, stretch in groupby(enumerate(values), lambda pair: pair[1] is not None):
        if is_known:
            points = [(place * step, _y(value or 0.0, most)) for place, value in stretch]
            points.append((points[-1][0] + step, points[-1][1]))
            yield "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _y(value: float, most: float) -> float:
    return _HEIGHT - _EDGE - value / most * (_HEIGHT - 2 * _EDGE)
