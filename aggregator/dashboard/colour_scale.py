"""What the colours of the day-by-hour picture stand for: the same in every room. Pure."""

from dataclasses import dataclass
from typing import Final

from roommood.aggregator.stats.palette import DIVERGING, SEQUENTIAL


@dataclass(frozen=True, slots=True)
class Step:
    """A colour, for values from `low` to before the next step's; `label` says so."""

    low: float
    label: str
    colour: str


def _steps(lows: tuple[float, ...], labels: tuple[str, ...], colours: tuple[str, ...]) -> "Scale":
    return tuple(Step(*parts) for parts in zip(lows, labels, colours, strict=True))


Scale = tuple[Step, ...]
_FAR: Final = 1e9
VALENCE: Final = _steps(
    (-_FAR, -0.35, -0.2, -0.05, 0.05, 0.2, 0.35),
    ("below −0.35, unpleasant", "from −0.35", "from −0.20", "around 0", "from +0.05", "from +0.20",
     "from +0.35, pleasant"),
    DIVERGING,
)  # fmt: skip
PEOPLE: Final = _steps(
    (-_FAR, 0.5, 1.5, 3.0, 6.0, 12.0),
    ("hardly anybody", "about 1", "from 1.5", "from 3", "from 6", "12 and more people"),
    SEQUENTIAL,
)
SHARE: Final = _steps(
    (-_FAR, 1.0, 5.0, 10.0, 25.0, 50.0),
    ("below 1 %", "from 1 %", "from 5 %", "from 10 %", "from 25 %", "50 % and more"),
    SEQUENTIAL,
)
