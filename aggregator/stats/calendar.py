"""Time as people live it: days and hours of a time zone, and the spans that a person names. Pure.

A day is from midnight to midnight by the clock of the zone: 23 or 25 hours long when the clock is
changed.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from roommood.shared.errors import ConfigError
from roommood.shared.time_zone import machines_zone, parse_zone, with_name

# Rows of one history: more are not kept of any length.
MOST_ROWS: Final = 20_000
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_ALLOWED: Final = (
    "a day (2026-11-20), a day with a time (2026-11-20T14:30), today, yesterday, "
    "this-week or last-week"
)


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to before `end`, both in UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start


def require_spans(spans: Iterable[object]) -> None:
    """Raises ConfigError for what is none, or is of no time in particular."""
    for span in spans:
        if not isinstance(span, Span):
            raise ConfigError("spans: give roommood.aggregator.stats.calendar.Span(start, end)")
        if span.start.tzinfo is None or span.end.tzinfo is None:
            raise ConfigError(
                f"span {span.start}: give times with their zone, as datetime.now(UTC)"
            )
        if span.end < span.start:
            raise ConfigError(f"span {span.start}: it ends before it begins, at {span.end}")


def zone_of(name: str | None) -> tzinfo:
    """A time zone by its IANA name; None is this machine's own (`TZ`, else its setting).

    Raises ConfigError that names the nearest zone there is.
    """
    return machines_zone() if name is None else parse_zone(name)


def named_zone(name: str | None) -> ZoneInfo:
    """The same, for what others are to read too: only a zone that has a name. Raises ConfigError
    where this machine's own has none."""
    zone = with_name(zone_of(name))
    if zone is None:
        raise ConfigError("this machine does not tell its time zone by name: give --timezone")
    return zone


def parse_span(start: str, end: str | None, now: datetime, zone: tzinfo) -> Span:
    """What `--from` and `--to` name; a day as the end is meant whole. Raises ConfigError."""
    first, last = _moment_in_range(start, now, zone, ends=False), now
    if end is not None:
        last = min(now, _moment_in_range(end, now, zone, ends=True))
    if first >= last:
        raise ConfigError(f"from {start} to {end or 'now'}: that is nothing, or lies ahead")
    return Span(first, last)


def _moment_in_range(text: str, now: datetime, zone: tzinfo, *, ends: bool) -> datetime:
    """Python knows no time before the year 1, nor after 9999, by whatever zone's clock."""
    try:
        return _moment(text, now, zone, ends=ends)
    except OverflowError:
        raise ConfigError(f"{text} lies too near the end of all days: give {_ALLOWED}") from None


def _moment(text: str, now: datetime, zone: tzinfo, *, ends: bool) -> datetime:
    if text == "now":
        return now
    if named := _named_days(now.astimezone(zone).date()).get(text):
        first, length = named
        return _midnight(first + length * ends, zone)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return _midnight(_date(text) + _DAY * ends, zone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time: give {_ALLOWED}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _named_days(today: date) -> dict[str, tuple[date, timedelta]]:
    """The first day of each span that has a name, and how long it is; weeks begin on Monday."""
    monday = today - _DAY * today.weekday()
    return {
        "today": (today, _DAY),
        "yesterday": (today - _DAY, _DAY),
        "this-week": (monday, _WEEK),
        "last-week": (monday - _WEEK, _WEEK),
    }


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no day: {error}") from None


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def days(span: Span, zone: tzinfo) -> Iterator[Span]:
    """The days of a zone that a span touches, the first and the last cut where it is."""
    day = span.start.astimezone(zone).date()
    while True:
        start, end = _midnight(day, zone), _midnight(day + _DAY, zone)
        if start >= span.end:
            return
        yield Span(max(start, span.start), min(end, span.end))
        day += _DAY


def steps(span: Span, by: timedelta, zone: tzinfo) -> list[Span]:
    """A span in pieces: of whole days by the zone's midnights, else of equal length. Raises
    ConfigError where they are more than MOST_ROWS, which nothing is kept for."""
    if span.length / by > MOST_ROWS:
        raise ConfigError(
            f"{span.length // by} rows from {span.start:%Y-%m-%d} on: {MOST_ROWS} at most; "
            "begin later, or take longer rows"
        )
    if by % _DAY == timedelta(0):
        each = list(days(span, zone))
        size = by // _DAY
        return [
            Span(some[0].start, some[-1].end)
            for some in (each[i : i + size] for i in range(0, len(each), size))
        ]
    by = min(by, span.length)
    count = -(-span.length // by)
    starts = (span.start + by * i for i in range(count))
    return [Span(start, min(start + by, span.end)) for start in starts]


def wall_hours(span: Span, zone: tzinfo) -> list[Span]:
    """The hours of a zone's clock that a span touches, whole: one that the clock shows twice is
    two hours long, one that it leaves out is not there."""
    start = span.start.astimezone(zone).replace(minute=0, second=0, microsecond=0, fold=0)
    spans: list[Span] = []
    moment = start.astimezone(UTC)
    while moment < span.end:
        following = _next_hour(moment, zone)
        spans.append(Span(moment, following))
        moment = following
    return spans


def _next_hour(moment: datetime, zone: tzinfo) -> datetime:
    """When the clock of a zone first shows another hour."""
    shown = moment.astimezone(zone).hour
    following = moment + _HOUR
    while following.astimezone(zone).hour == shown:
        following += _HOUR
    full = following - timedelta(minutes=following.astimezone(zone).minute)
    return following if full.astimezone(zone).hour == shown else full


def earlier(span: Span, by: timedelta, zone: tzinfo) -> Span:
    """The same span so many whole days before, by the clock of the zone."""
    return Span(_moved(span.start, by, zone), _moved(span.end, by, zone))


def _moved(moment: datetime, by: timedelta, zone: tzinfo) -> datetime:
    return (moment.astimezone(zone) - by).astimezone(UTC)
