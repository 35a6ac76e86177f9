"""Spans of local time in which a camera is off: "22:00-06:30", "sat,sun 00:00-24:00".

A camera has its own, by its machine's clock; a room's are kept in Redis, with their time zone.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Self
from zoneinfo import ZoneInfo

from roommood.shared.errors import ConfigError
from roommood.shared.time_zone import parse_zone

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN: Final = re.compile(
    r"(?:(?P<days>[a-z,-]+)\s+)?(?P<start>\d{1,2}:\d\d)\s*-\s*(?P<end>\d{1,2}:\d\d)", re.ASCII
)
_MINUTES_A_DAY: Final = 24 * 60
# Of one room.
MAX_SPANS: Final = 20
_FORM: Final = 'write for example "22:00-06:30", "mon-fri 08:00-17:00" or "sat,sun 00:00-24:00"'


@dataclass(frozen=True, slots=True)
class _Span:
    """Minutes of the day, end excluded; past midnight it belongs to the day it began on."""

    days: frozenset[int]
    start: int
    end: int

    def holds(self, weekday: int, minute: int) -> bool:
        if self.start < self.end:
            return weekday in self.days and self.start <= minute < self.end
        began_today = weekday in self.days and minute >= self.start
        began_yesterday = (weekday - 1) % 7 in self.days and minute < self.end
        return began_today or began_yesterday


@dataclass(frozen=True, slots=True)
class QuietHours:
    """When a camera is off, by the clock on the wall of its room."""

    spans: tuple[_Span, ...] = ()

    @classmethod
    def parse(cls, spans: str | Iterable[str]) -> Self:
        """One span or several. Raises ConfigError, saying how a span is written."""
        texts = [spans] if isinstance(spans, str) else list(spans)
        return cls(tuple(_parse_span(text) for text in texts))

    def is_quiet(self, now: datetime) -> bool:
        """True if `now`, in local time, lies in a span."""
        minute = now.hour * 60 + now.minute
        return any(span.holds(now.weekday(), minute) for span in self.spans)

    def is_quiet_here(self) -> bool:
        """The same of this moment, in the time zone to which this machine is set by now: it may be
        set while we run."""
        time.tzset()
        return self.is_quiet(datetime.now())


@dataclass(frozen=True, slots=True)
class RoomQuietHours:
    """When all cameras of a room are closed, by the clock of a time zone. As text:
    "Europe/Berlin; 22:00-06:30; sat,sun 00:00-24:00"."""

    zone: ZoneInfo
    spans: tuple[str, ...]
    hours: QuietHours

    @classmethod
    def of(cls, zone: ZoneInfo, spans: Iterable[str]) -> Self:
        """Raises ConfigError, also for no span at all."""
        texts = tuple(" ".join(text.lower().split()) for text in spans)
        if not 0 < len(texts) <= MAX_SPANS:
            raise ConfigError(f"{len(texts)} spans of quiet hours: give 1 to {MAX_SPANS}; {_FORM}")
        return cls(zone, texts, QuietHours.parse(texts))

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `str` has made. Raises ConfigError."""
        zone, *spans = (part.strip() for part in text.split(";"))
        return cls.of(parse_zone(zone), spans)

    def __str__(self) -> str:
        return "; ".join([self.zone.key, *self.spans])

    def is_quiet(self, now: datetime) -> bool:
        """True if `now`, which has a time zone, lies in a span."""
        return self.hours.is_quiet(now.astimezone(self.zone))


def why_unreadable(hours: str) -> str:
    """What is wrong with a room's hours as text; "" of what can be read."""
    read = _read(hours)
    return read if isinstance(read, str) else ""


def is_quiet(hours: str, now: datetime) -> bool:
    """Of a room's hours as text. What cannot be read counts as quiet: somebody meant the room to
    be closed at some time."""
    read = _read(hours)
    return isinstance(read, str) or read.is_quiet(now)


@lru_cache(4096)
def _read(hours: str) -> RoomQuietHours | str:
    """Asked of every room each second, and to say why a zone is unknown means to read them all."""
    try:
        return RoomQuietHours.parse(hours)
    except ConfigError as error:
        return str(error)


def _parse_span(text: str) -> _Span:
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        raise ConfigError(f"quiet hours {text!r} are not a span of time: {_FORM}")
    start, end = _minute(text, match["start"]), _minute(text, match["end"])
    if start in (end, _MINUTES_A_DAY):
        raise ConfigError(f"quiet hours {text!r} are empty; a whole day is 00:00-24:00")
    return _Span(_parse_days(text, match["days"]), start, end)


def _minute(text: str, clock: str) -> int:
    hours, minutes = (int(part) for part in clock.split(":"))
    if minutes > 59 or hours * 60 + minutes > _MINUTES_A_DAY:
        raise ConfigError(f"quiet hours {text!r}: {clock} is no time of day; use 00:00 to 24:00")
    return hours * 60 + minutes


def _parse_days(text: str, days: str | None) -> frozenset[int]:
    if days is None:
        return frozenset(range(7))
    chosen: set[int] = set()
    for part in days.split(","):
        first, _, last = part.partition("-")
        start, end = _day(text, first), _day(text, last or first)
        chosen.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(chosen)


def _day(text: str, name: str) -> int:
    if name not in _DAYS:
        raise ConfigError(f"quiet hours {text!r}: {name!r} is no day; use {' '.join(_DAYS)}")
    return _DAYS.index(name)
