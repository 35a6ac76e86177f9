"""Which pasts one can look at, and how their times are written. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from roommood.aggregator.redis.keys import RESOLUTIONS
from roommood.aggregator.stats.calendar import Span, earlier, parse_span, wall_hours
from roommood.aggregator.stats.figures import RoomPeriod

# How often a history that is being looked at is read again, in parts of its bucket and in seconds.
_AGAIN_EVERY: Final = 0.5
_AGAIN_S: Final = (5.0, 60.0)
# Buckets of a minute are kept for so long, less a day that has begun.
_MINUTES_KEPT: Final = timedelta(days=6)
_HOURS_KEPT: Final = timedelta(seconds=RESOLUTIONS[-1].keep_s)
HEAT_DAYS: Final = 14
A_DAY: Final = "date"


@dataclass(frozen=True, slots=True)
class Window:
    """A past, and the buckets in which it can be shown; the first is what it opens with.

    `last` goes back from now; None: the window is one of the calendar, named as `parse_span` has
    it. `before` is how far back the span lies with which it is compared.
    """

    title: str
    buckets: tuple[str, ...]
    before: timedelta
    last: timedelta | None = None


BUCKETS: Final = {
    "10s": ("10 seconds", timedelta(seconds=10)),
    "1m": ("1 minute", timedelta(minutes=1)),
    "10m": ("10 minutes", timedelta(minutes=10)),
    "1h": ("1 hour", timedelta(hours=1)),
    "1d": ("1 day", timedelta(days=1)),
}
_DAY, _WEEK, _YEAR = timedelta(days=1), timedelta(days=7), timedelta(days=365)
WINDOWS: Final = {
    "hour": Window("Hour", ("1m", "10s"), timedelta(hours=1), timedelta(hours=1)),
    "day": Window("Day", ("10m", "1m", "1h"), _DAY, _DAY),
    "week": Window("Week", ("1h", "10m", "1d"), _WEEK, _WEEK),
    "year": Window("Year", ("1d",), _YEAR, _YEAR),
    "yesterday": Window("Yesterday", ("10m", "1h"), _DAY),
    "this-week": Window("This week", ("1h", "1d"), _WEEK),
    A_DAY: Window("A day", ("10m", "1h"), _DAY),
}


def length_of(bucket: str) -> timedelta:
    return BUCKETS[bucket][1]


def buckets_of(window: str, day: str, now: datetime) -> tuple[str, ...]:
    """Those that are kept for so long."""
    buckets = WINDOWS[window].buckets
    if window != A_DAY or date.fromisoformat(day) > (now - _MINUTES_KEPT).date():
        return buckets
    return tuple(bucket for bucket in buckets if length_of(bucket) >= timedelta(hours=1))


def buckets_of_hour(span: Span, now: datetime) -> tuple[str, ...]:
    """Those in which an hour can be shown, while its minutes are kept."""
    return ("1m", "10m") if now - span.start < _MINUTES_KEPT else ("1h",)


def span_of(window: str, day: str, bucket: str, now: datetime, zone: tzinfo) -> Span:
    """What `--from` and `--to` would name so; `day` is that of the window of a day. What goes
    back from now begins with a whole bucket. Raises ConfigError."""
    last = WINDOWS[window].last
    if last is None:
        named = day if window == A_DAY else window
        return parse_span(named, named, now, zone)
    length_s = min(3_600, round(length_of(bucket).total_seconds()))
    start_s = -(-(now - last).timestamp() // length_s) * length_s
    return Span(datetime.fromtimestamp(start_s, UTC), now)


def span_before(span: Span, window: str, zone: tzinfo) -> Span:
    """That with which a window is compared: as long, and to the same hour."""
    before = WINDOWS[window].before if window in WINDOWS else _DAY
    return earlier(span, before, zone)


def bucket_before(bucket: str, before: Span, now: datetime) -> str:
    """That in which the span before can be shown; "" where nothing of its beginning is kept."""
    back = now - before.start
    if back > _HOURS_KEPT:
        return ""
    is_fine = length_of(bucket) < timedelta(hours=1)
    return "1h" if is_fine and back > _MINUTES_KEPT else bucket


def again_after_s(bucket: str) -> float:
    """Seconds until the history is worth reading again."""
    least_s, most_s = _AGAIN_S
    return min(most_s, max(least_s, length_of(bucket).total_seconds() * _AGAIN_EVERY))


def labels(periods: Sequence[RoomPeriod], bucket: str, zone: tzinfo) -> list[str]:
    """When each period began, by the clock of `zone`."""
    return [_label(period.start.astimezone(zone), len(periods), bucket) for period in periods]


def _label(local: datetime, count: int, bucket: str) -> str:
    if bucket == "1d":
        return f"{local:%d %b}" if count > _WEEK.days + 1 else f"{local:%a %d}"
    if count * length_of(bucket) > 2 * _DAY:
        return f"{local:%a %d %H:%M}"
    return f"{local:%H:%M:%S}" if bucket == "10s" else f"{local:%H:%M}"


def between(span: Span, zone: tzinfo) -> str:
    """From when to when, in words."""
    start, end = span.start.astimezone(zone), span.end.astimezone(zone)
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%a %d %b %H:%M}"
    return f"{start:%a %d %b %Y %H:%M} to {until}"


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Days, newest last, and the periods that fall into each of their hours."""

    days: tuple[str, ...]
    cells: tuple[tuple[int, int, RoomPeriod], ...]


def heat_hours(now: datetime, zone: tzinfo) -> list[Span]:
    """The hours of the clock of `zone`, from a midnight on."""
    start = (now - HEAT_DAYS * _DAY).astimezone(zone)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) + _DAY
    return wall_hours(Span(midnight.astimezone(UTC), now), zone)


def by_day_and_hour(spans: Sequence[Span], hours: Sequence[RoomPeriod], zone: tzinfo) -> HeatMap:
    """Cells are (hour, place of the day, period), by the clock of `zone`; `hours` are the figures
    of `spans`, whose borders may have gone to the nearest hour that is kept."""
    days: dict[str, int] = {}
    cells = tuple(_cells(spans, hours, days, zone))
    return HeatMap(tuple(days), cells)


def moved_hours(spans: Sequence[Span], hours: Sequence[RoomPeriod], zone: tzinfo) -> str:
    """A sentence where hours are not those of the clock of `zone`; "" where all are."""
    pairs = zip(spans, hours, strict=True)
    moved = [hour.start for span, hour in pairs if hour.frames and hour.start != span.start]
    if not moved:
        return ""
    return (
        f"Of so many days only hours that begin at :{moved[-1].astimezone(zone):%M} are kept; each "
        "is shown at the full hour next to it. "
    )


def _cells(
    spans: Sequence[Span], hours: Sequence[RoomPeriod], days: dict[str, int], zone: tzinfo
) -> Iterator[tuple[int, int, RoomPeriod]]:
    for span, hour in zip(spans, hours, strict=True):
        local = span.start.astimezone(zone)
        place = days.setdefault(f"{local:%a %d %b}", len(days))
        if hour.frames:
            yield local.hour, place, hour
