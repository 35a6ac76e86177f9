"""Reads what a report tells, and writes it as one file."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from roommood.aggregator.report.page import RoomReport, page
from roommood.aggregator.stats.calendar import Span, steps
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.terminal.period import Asked
from roommood.shared.errors import ConfigError
from roommood.shared.process.atomic_file import atomic_file

_HOUR = timedelta(hours=1)


def write_report(stats: RoomStats, rooms: Iterable[str], period: Asked, output: Path) -> list[str]:
    """Writes the page, "-" is stdout; returns the rooms that are in it.

    A new file is its owner's alone; one that was there keeps its mode.

    Raises ConfigError for a room that is not known, a time that is not kept, or a file that
    cannot be written; StoreAway and StoreError where Redis fails.
    """
    names = list(rooms) or [known.room for known in stats.rooms()]
    if not names:
        raise ConfigError("no room yet: nothing has been counted, so there is nothing to report")
    span = _whole_hours(period)
    hours = steps(span, _HOUR, period.zone)
    each = [
        RoomReport(stats.periods_of(name, [span])[0], tuple(stats.periods_of(name, hours)))
        for name in names
    ]
    text = page(each, span, period.zone, datetime.now(UTC))
    if str(output) == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return names
    with atomic_file(output, mode_if_new=0o600) as file:
        file.write(text)
    return names


def _whole_hours(period: Asked) -> Span:
    """Beginning with a whole hour, since hours are what is kept longest."""
    if period.span is not None:
        return period.span
    assert period.last is not None
    now = datetime.now(UTC)
    start = (now - period.last).replace(minute=0, second=0, microsecond=0)
    return Span(start, now)
