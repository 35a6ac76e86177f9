"""Which buckets are kept for how long, and which of them a question needs. Pure.

Raises ConfigError for a time that is not kept.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from roommood.aggregator.redis.keys import SPANS, BucketSpan
from roommood.aggregator.stats.calendar import Span
from roommood.shared.errors import ConfigError

# Buckets read for one summary, and rows of one history, at most.
_MOST_OF_SUMMARY: Final = 2_000
_MOST_ROWS: Final = 20_000


def longest_that_fits(there: Sequence[BucketSpan], spans: Sequence[Span]) -> BucketSpan:
    """The fewest buckets to read whose borders are those of the spans; else the finest kept."""
    borders = {round(border.timestamp()) for one in spans for border in (one.start, one.end)}
    # The last border is most often now, which lies within a bucket.
    borders.discard(max(borders))
    fitting = [one for one in there if all(border % one.length_s == 0 for border in borders)]
    return fitting[-1] if fitting else there[0]


def span_for_spans(spans: Sequence[Span], now_s: float) -> BucketSpan:
    """The buckets of which spans are made up."""
    oldest = min(one.start for one in spans)
    there = [span for span in SPANS if now_s - oldest.timestamp() <= span.keep_s]
    if not there:
        raise ConfigError(f"{oldest:%Y-%m-%d} is not kept: {kept()}")
    return longest_that_fits(there, spans)


def buckets_of(one: Span, span: BucketSpan, now_s: float) -> range:
    """Starts of the buckets that lie nearest to a span, one at least; with that under way where
    the span ends in it."""
    start, end = nearest(one.start, span.length_s), nearest(one.end, span.length_s)
    if end <= now_s < end + span.length_s and one.end.timestamp() > end:
        end += span.length_s
    return range(start, max(end, start + span.length_s), span.length_s)


def nearest(border: datetime, length_s: int) -> int:
    """The bucket border that lies nearest, the later of two, in seconds since 1970."""
    return math.floor(border.timestamp() / length_s + 0.5) * length_s


def starts(last: timedelta, step_s: int, now_s: float) -> list[int]:
    """Starts of the steps that end with the one under way and make up `last`, rounded up."""
    count = -(-round(last.total_seconds()) // step_s)
    newest = int(now_s // step_s) * step_s
    return [newest - i * step_s for i in reversed(range(count))]


def span_for_history(last: timedelta, by: timedelta) -> BucketSpan:
    """The longest bucket that divides `by`, provided it is kept for `last`."""
    last_s, by_s = seconds("last", last), seconds("by", by)
    dividing = [span for span in SPANS if by_s % span.length_s == 0]
    if not dividing:
        raise ConfigError(f"by {_in_words(by_s)}: it must be a multiple of {SPANS[0].length_s}s")
    if max(last_s, by_s) > dividing[-1].keep_s:
        raise ConfigError(f"last {_in_words(last_s)} by {_in_words(by_s)} is not kept: {kept()}")
    if last_s > by_s * _MOST_ROWS:
        raise ConfigError(
            f"last {_in_words(last_s)} by {_in_words(by_s)} is more than {_MOST_ROWS} rows"
        )
    return dividing[-1]


def shortest_kept(last: timedelta) -> timedelta:
    """The shortest bucket that is kept for so long."""
    last_s = seconds("last", last)
    lengths = [span.length_s for span in SPANS if last_s <= span.keep_s]
    return timedelta(seconds=lengths[0] if lengths else SPANS[-1].length_s)


def span_for_summary(last: timedelta) -> BucketSpan:
    """The shortest bucket that is kept for `last` and is not read too many times."""
    last_s = seconds("last", last)
    for span in SPANS:
        most_s = span.length_s * _MOST_OF_SUMMARY
        if last_s <= (span.keep_s if span is SPANS[-1] else min(span.keep_s, most_s)):
            return span
    raise ConfigError(f"last {_in_words(last_s)} is not kept: {kept()}")


def kept() -> str:
    """How long buckets are kept, in words."""
    each = (f"multiples of {span.name} go back {_in_words(span.keep_s)}" for span in SPANS)
    return ", ".join(each)


def _in_words(seconds: int) -> str:
    units = (("d", 86400), ("h", 3600), ("m", 60))
    return next((f"{seconds // n}{u}" for u, n in units if seconds % n == 0), f"{seconds}s")


def seconds(name: str, duration: timedelta) -> int:
    """A whole number of them, 1 or more. Raises ConfigError."""
    number = duration.total_seconds()
    if number < 1 or number != int(number):
        raise ConfigError(f"{name} {duration}: it must be a whole number of seconds, 1 or more")
    return int(number)
