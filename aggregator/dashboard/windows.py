"""Which pasts one can look at, and how their times are written. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from roommood.aggregator.stats.figures import RoomPeriod

# How often a history that is being looked at is read again, in parts of its bucket and in seconds.
_AGAIN_EVERY: Final = 0.5
_AGAIN_S: Final = (5.0, 60.0)


@dataclass(frozen=True, slots=True)
class Window:
    """A past, and the buckets in which it can be shown; the first is what it opens with."""

    title: str
    last: timedelta
    buckets: tuple[str, ...]


BUCKETS: Final = {
    "10s": ("10 seconds", timedelta(seconds=10)),
    "1m": ("1 minute", timedelta(minutes=1)),
    "10m": ("10 minutes", timedelta(minutes=10)),
    "1h": ("1 hour", timedelta(hours=1)),
    "1d": ("1 day (UTC)", timedelta(days=1)),
}
WINDOWS: Final = {
    "hour": Window("Hour", timedelta(hours=1), ("1m", "10s")),
    "day": Window("Day", timedelta(days=1), ("10m", "1m", "1h")),
    "week": Window("Week", timedelta(days=7), ("1h", "10m", "1d")),
    "year": Window("Year", timedelta(days=365), ("1d",)),
}
HEAT_DAYS: Final = 14


def length_of(bucket: str) -> timedelta:
    return BUCKETS[bucket][1]


def again_after_s(bucket: str) -> float:
    """Seconds until the history is worth reading again."""
    least_s, most_s = _AGAIN_S
    return min(most_s, max(least_s, length_of(bucket).total_seconds() * _AGAIN_EVERY))


def labels(periods: Sequence[RoomPeriod], window: str, bucket: str) -> list[str]:
    """When each period began, in the time zone of this server; days are those of UTC."""
    return [_label(one.start, window, bucket) for one in periods]


def _label(start: datetime, window: str, bucket: str) -> str:
    local = start.astimezone()
    if bucket == "1d":
        return f"{start:%d %b}" if window == "year" else f"{start:%a %d}"
    if window == "week":
        return f"{local:%a %d %H:%M}"
    return f"{local:%H:%M:%S}" if bucket == "10s" else f"{local:%H:%M}"


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Days, newest last, and the periods that fall into each of their hours."""

    days: tuple[str, ...]
    cells: tuple[tuple[int, int, RoomPeriod], ...]


def by_day_and_hour(hours: Sequence[RoomPeriod]) -> HeatMap:
    """Cells are (hour, place of the day, period), by the clock of this server."""
    days: dict[str, int] = {}
    cells = tuple(_cells(hours, days))
    return HeatMap(tuple(days), cells)


def _cells(
    hours: Sequence[RoomPeriod], days: dict[str, int]
) -> Iterator[tuple[int, int, RoomPeriod]]:
    for one in hours:
        local = one.start.astimezone()
        place = days.setdefault(f"{local:%a %d %b}", len(days))
        if one.frames:
            yield local.hour, place, one
