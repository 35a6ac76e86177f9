"""Which buckets are kept for how long, and which of them a question needs. Pure.

Raises ConfigError for a time that is not kept.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from roommood.aggregator.redis.keys import RESOLUTIONS, Resolution
from roommood.aggregator.stats.calendar import MOST_ROWS, Span
from roommood.shared.errors import ConfigError

# Buckets read for one summary, at most.
_MOST_OF_SUMMARY: Final = 2_000


def longest_that_fits(there: Sequence[Resolution], spans: Sequence[Span]) -> Resolution:
    """The fewest buckets to read whose borders are those of the spans; else the finest kept."""
    borders = {
        round(border.timestamp()) for period in spans for border in (period.start, period.end)
    }
    # The last border is most often now, which lies within a bucket.
    borders.discard(max(borders))
    fitting = [
        bucket for bucket in there if all(border % bucket.length_s == 0 for border in borders)
    ]
    if not fitting and len(spans) > 1 and there[0].length_s > _row_s(spans):
        raise ConfigError(f"rows of {_in_words(_row_s(spans))} are not kept for so long: {kept()}")
    return fitting[-1] if fitting else there[0]


def _row_s(spans: Sequence[Span]) -> int:
    """The length of a row, in seconds; the last one is under way, and the clock may change."""
    return round(max(period.length.total_seconds() for period in spans))


def resolution_for_spans(spans: Sequence[Span], now_s: float) -> Resolution:
    """The buckets of which spans are made up."""
    oldest = min(period.start for period in spans)
    there = [
        resolution
        for resolution in RESOLUTIONS
        if now_s - oldest.timestamp() <= resolution.keep_s + resolution.length_s
    ]
    if not there:
        raise ConfigError(f"{oldest:%Y-%m-%d} is not kept: {kept()}")
    return longest_that_fits(there, spans)


def buckets_of(period: Span, resolution: Resolution, now_s: float) -> range:
    """Starts of the buckets that lie nearest to a span, one at least; with that under way where
    the span ends in it."""
    start, end = (
        nearest(period.start, resolution.length_s),
        nearest(period.end, resolution.length_s),
    )
    if end <= now_s < end + resolution.length_s and period.end.timestamp() > end:
        end += resolution.length_s
    return range(start, max(end, start + resolution.length_s), resolution.length_s)


def nearest(border: datetime, length_s: int) -> int:
    """The bucket border that lies nearest, the later of two, in seconds since 1970."""
    return math.floor(border.timestamp() / length_s + 0.5) * length_s


def starts(last: timedelta, step_s: int, now_s: float) -> list[int]:
    """Starts of the steps that end with the one under way and make up `last`, rounded up."""
    count = -(-round(last.total_seconds()) // step_s)
    newest = int(now_s // step_s) * step_s
    return [newest - i * step_s for i in reversed(range(count))]


def resolution_for_history(last: timedelta, by: timedelta) -> Resolution:
    """The longest bucket that divides `by`, provided it is kept for `last`."""
    last_s, by_s = seconds("last", last), seconds("by", by)
    dividing = [resolution for resolution in RESOLUTIONS if by_s % resolution.length_s == 0]
    if not dividing:
        raise ConfigError(
            f"by {_in_words(by_s)}: it must be a multiple of {RESOLUTIONS[0].length_s}s"
        )
    if max(last_s, by_s) > dividing[-1].keep_s:
        raise ConfigError(f"last {_in_words(last_s)} by {_in_words(by_s)} is not kept: {kept()}")
    if last_s > by_s * MOST_ROWS:
        raise ConfigError(
            f"last {_in_words(last_s)} by {_in_words(by_s)} is more than {MOST_ROWS} rows"
        )
    return dividing[-1]


def shortest_kept(last: timedelta) -> timedelta:
    """The shortest bucket that is kept for so long."""
    last_s = seconds("last", last)
    lengths = [resolution.length_s for resolution in RESOLUTIONS if last_s <= resolution.keep_s]
    return timedelta(seconds=lengths[0] if lengths else RESOLUTIONS[-1].length_s)


def resolution_for_summary(last: timedelta) -> Resolution:
    """The shortest bucket that is kept for `last` and is not read too many times."""
    last_s = seconds("last", last)
    for resolution in RESOLUTIONS:
        most_s = resolution.length_s * _MOST_OF_SUMMARY
        if last_s <= (
            resolution.keep_s if resolution is RESOLUTIONS[-1] else min(resolution.keep_s, most_s)
        ):
            return resolution
    raise ConfigError(f"last {_in_words(last_s)} is not kept: {kept()}")


def kept() -> str:
    """How long buckets are kept, in words."""
    each = (
        f"multiples of {resolution.name} go back {_in_words(resolution.keep_s)}"
        for resolution in RESOLUTIONS
    )
    return ", ".join(each)


def _in_words(seconds: int) -> str:
    units = (("d", 86400), ("h", 3600), ("m", 60))
    return next((f"{seconds // n}{u}" for u, n in units if seconds % n == 0), f"{seconds}s")


def seconds(name: str, duration: timedelta) -> int:
    """A whole number of them, 1 or more. Raises ConfigError."""
    if not isinstance(duration, timedelta):
        raise ConfigError(f"{name} {duration}: give a timedelta, such as timedelta(hours=1)")
    number = duration.total_seconds()
    if number < 1 or number != int(number):
        raise ConfigError(f"{name} {duration}: it must be a whole number of seconds, 1 or more")
    return int(number)
