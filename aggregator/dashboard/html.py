"""Pieces of HTML from templates; whatever comes from Redis is escaped by them."""

from datetime import datetime, tzinfo
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from roommood.aggregator.dashboard.explanations import (
    CAMERA_COLUMNS,
    WORKER_COLUMNS,
    column,
    term,
)
from roommood.aggregator.dashboard.links import link
from roommood.aggregator.stats.health import SILENT_S
from roommood.aggregator.stats.palette import COLOUR_OF
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.shared.protocol.measures import Measured

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_THIN: Final = "\N{NARROW NO-BREAK SPACE}"


def render(template: str, **values: object) -> str:
    """One of the templates beside this module, with these values."""
    return _templates.get_template(template).render(**values)


def percent(part: float | None, digits: int = 0) -> str:
    """In percent; what is there but would be written as nothing is "< 1 %"."""
    if part is None:
        return "–"
    least = 10.0**-digits
    if 0.0 < part * 100 < least / 2:
        return f"<{_THIN}{least:.{digits}f}{_THIN}%"
    return f"{part * 100:.{digits}f}{_THIN}%"


def count_of(people: float | None) -> str:
    """How many people: whole numbers as such, and a mean with one decimal."""
    return number(people, 0 if people is not None and round(people, 1) == round(people) else 1)


def noun(people: float | None) -> str:
    return "person" if people is not None and round(people, 1) == 1.0 else "people"


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """With its unit; a dash for what is not known."""
    if value is None:
        return "–"
    return f"{value:,.{digits}f}".replace(",", _THIN) + (f"{_THIN}{unit}" if unit else "")


def signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def lasting(seconds: float | None) -> str:
    """A length of time in its largest unit: 40 s, 12 min, 3 h, 5 d."""
    if seconds is None:
        return "–"
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f}{_THIN}{unit}"
    return f"{seconds:.0f}{_THIN}s"


def ago(seconds: float) -> str:
    return "just now" if seconds < 2 else f"{lasting(seconds)} ago"


def clock(moment: datetime, zone: tzinfo) -> str:
    """By the clock of `zone`, with the day where it is not today."""
    local = moment.astimezone(zone)
    today = datetime.now(zone).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%a %d %b, %H:%M}"


def measured(row: object, column: Measured) -> str:
    """A declared number of health as its column shows it."""
    about, value = column.measure, getattr(row, column.name)
    if about.part_of:
        whole = getattr(row, about.part_of)
        return percent(value / whole if whole else None)
    return lasting(value) if about.unit == "s" else number(value, about.shown_digits, about.unit)


_templates: Final = Environment(
    loader=PackageLoader("roommood.aggregator.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(
    percent=percent, number=number, signed=signed, lasting=lasting, ago=ago, clock=clock,
    count_of=count_of, noun=noun,
)  # fmt: skip
_templates.globals.update(
    colour_of=COLOUR_OF,
    expressions=EXPRESSIONS,
    silent_s=SILENT_S,
    columns=CAMERA_COLUMNS,
    worker_columns=WORKER_COLUMNS,
    term=term,
    column=column,
    measured=measured,
    link=link,
)
