"""A number of health is declared once, as a dataclass field made by `measure`.

From it come its place in a message, its field in Redis, what readers get, the JSON API's schema and
description, its column on the page and its sample for Prometheus.
"""

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Final, Literal, get_type_hints

from roommood.shared.protocol.fields import Fields

Plain = str | float
_MEASURE: Final = "measure"
_LARGE: Final = 1 << 53
_FAR: Final = 1e15


@dataclass(frozen=True, slots=True)
class Measure:
    """What is said of one number, or text, beside its name and type.

    Attributes:
        low, high: bounds in a message; of text, `high` is the most characters.
        digits: decimals that Redis keeps.
        key: its field in Redis, where that is not its name.
        of_workers: it stands there once for each worker (`key@worker`): how they become one.
        zero_is_unknown: 0 in a message and in Redis stands for None.
        is_new: older versions do not send it; its default holds then.
        label, unit, shown_digits: its column on the page; "" shows none. Seconds are shown as a
            length of time, what is `part_of` another measure as its share.
        sample: its name for Prometheus; `scale` is one of its units in those of that name.
    """

    description: str
    low: float = 0.0
    high: float | None = None
    digits: int = 3
    key: str = ""
    of_workers: Literal["", "sum", "max"] = ""
    zero_is_unknown: bool = False
    is_new: bool = False
    label: str = ""
    unit: str = ""
    shown_digits: int = 1
    part_of: str = ""
    sample: str = ""
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure as a class has it: `kind` is int, float or str."""

    name: str
    kind: type
    default: Any
    measure: Measure

    @property
    def key(self) -> str:
        """Its field in Redis."""
        return self.measure.key or self.name

    def read(self, message: Fields) -> Any:
        """Its value in a decoded message. Raises BadField."""
        about = self.measure
        if about.is_new and not message.has(self.name):
            return self.default
        if self.kind is str:
            return message.text(self.name, int(about.high or 64))
        if self.kind is int:
            return message.integer(self.name, int(about.low), int(about.high or _LARGE))
        number = message.number(self.name, about.low, about.high or _FAR)
        return None if about.zero_is_unknown and number == 0 else number

    def plain(self, value: Any) -> Plain:
        """A value as messages carry it."""
        return 0.0 if value is None else value


def measure(default: Any, description: str, **about: Any) -> Any:
    """A dataclass field; `about` are the other attributes of `Measure`."""
    of_field = {"description": description, _MEASURE: Measure(description, **about)}
    return field(default=default, metadata=of_field)


def measured(kind: type) -> tuple[Measured, ...]:
    """The measures of a dataclass, in its order."""
    return _measured(kind)


@cache
def _measured(kind: Any) -> tuple[Measured, ...]:
    hints = get_type_hints(kind)
    return tuple(
        Measured(
            field.name, _plain_kind(hints[field.name]), field.default, field.metadata[_MEASURE]
        )
        for field in fields(kind)
        if _MEASURE in field.metadata
    )


def as_message(value: object) -> dict[str, Plain]:
    """The measures of a value, as messages carry them."""
    return {
        number.name: number.plain(getattr(value, number.name)) for number in measured(type(value))
    }


def as_hash(value: object) -> dict[str, Plain]:
    """The measures of a value, as fields of a hash in Redis."""
    plain = {
        number.key: (number.plain(getattr(value, number.name)), number)
        for number in measured(type(value))
    }
    return {
        key: plain_value
        if number.kind is not float
        else round(float(plain_value), number.measure.digits)
        for key, (plain_value, number) in plain.items()
    }


def _plain_kind(hint: Any) -> type:
    return next(
        kind for kind in (str, float, int) if kind in (hint, *getattr(hint, "__args__", ()))
    )
