"""Reading decoded maps and arrays by type and range, one field at a time."""

import math
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from roommood.shared.protocol.limits import MAX_ADDRESS_CHARS, MAX_ADDRESSES
from roommood.shared.protocol.names import is_name

_LARGE: Final = 1 << 53
_FAR: Final = 1e15
_MAX_NUMBERS: Final = 128

T = TypeVar("T")


class BadField(Exception):
    """A field that is missing or out of range; becomes a DecodeError with the bytes."""


class Fields:
    """A decoded map whose fields are read by type and range."""

    __slots__ = ("_values",)

    def __init__(self, values: object) -> None:
        if not isinstance(values, dict):
            raise BadField(f"a map was due, not {type(values).__name__}")
        self._values = values

    # A message has a dozen fields, a site thousands of messages a second: what is as it should be
    # is told at a glance, and all else is left to the functions below, which say what is wrong.

    def integer(self, name: str, low: int = 0, high: int = _LARGE) -> int:
        value = self._values.get(name)
        if type(value) is int and low <= value <= high:
            return value
        return integer_in(name, self._get(name), low, high)

    def number(self, name: str, low: float = 0.0, high: float = _FAR) -> float:
        value = self._values.get(name)
        if type(value) is float and low <= value <= high:
            return value
        return number_in(name, self._get(name), low, high)

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._values.get(name, default)
        if value is True or value is False:
            return value
        return typed(name, self._get(name), bool)

    def name(self, name: str) -> str:
        value = self._get(name)
        if not is_name(value):
            raise BadField(f"{name} is not a name: {short(value)}")
        return str(value)

    def text(self, name: str, most: int = 64) -> str:
        return text_of(name, self._get(name), most)

    def sequence(self, name: str, most: int, default: Sequence[Any] | None = None) -> list[Any]:
        """`default` is for a field that older versions do not send."""
        if default is not None and name not in self._values:
            return list(default)
        value = typed(name, self._get(name), list)
        if len(value) > most:
            raise BadField(f"{name} has {len(value)} elements; at most {most}")
        return value

    def addresses(self, name: str) -> tuple[str, ...]:
        values = self.sequence(name, MAX_ADDRESSES)
        return tuple(text_of(name, value, MAX_ADDRESS_CHARS) for value in values)

    def numbers(self, name: str) -> dict[str, float]:
        value = typed(name, self._get(name), dict)
        if len(value) > _MAX_NUMBERS:
            raise BadField(f"{name} has {len(value)} fields; at most {_MAX_NUMBERS}")
        return {text_of(name, k, 64): number_in(name, v, -_FAR, _FAR) for k, v in value.items()}

    def fields(self, name: str) -> "Fields":
        return Fields(self._get(name))

    def has(self, name: str) -> bool:
        return name in self._values

    def raw(self, name: str) -> Any:
        return self._get(name)

    def _get(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise BadField(f"{name} is missing") from None


def integer_in(name: str, value: object, low: int = 0, high: int = _LARGE) -> int:
    """A whole number within its bounds (True is none). Raises BadField, as all of these do."""
    if type(value) is not int or not low <= value <= high:
        raise BadField(f"{name} is not a whole number in {low}..{high}: {short(value)}")
    return value


def number_in(name: str, value: Any, low: float = 0.0, high: float = _FAR) -> float:
    """A finite number within its bounds, as a float."""
    is_number = type(value) is float or type(value) is int
    if is_number and math.isfinite(value) and low <= value <= high:
        return float(value)
    raise BadField(f"{name} is not a number in {low:g}..{high:g}: {short(value)}")


def typed(name: str, value: object, kind: type[T]) -> T:
    """A value of this type."""
    if not isinstance(value, kind):
        raise BadField(f"{name} is not {kind.__name__}: {short(value)}")
    return value


def text_of(name: str, value: object, most: int) -> str:
    """Printable text of at most so many characters."""
    if not isinstance(value, str) or len(value) > most or not (value.isprintable()):
        raise BadField(f"{name} is not printable text of at most {most} characters: {short(value)}")
    return value


def short(value: object) -> str:
    """A value as it may stand in an error: at most 63 characters, however large it is."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}..."
