"""A room's history for other programs: CSV, or JSON with one object a line, written as it is read.

Columns of the CSV; what is not known is empty, and shares are parts of 1:

    room
    start_utc, end_utc   ISO 8601
    coverage             observed time of the best camera / elapsed time, 0..1
    people               faces at once, by the camera that sees most
    dominant             expression with the largest share, as the model saw it
    valence              mean pleasure of the expressions shown, -1..1
    sure_share           part of the face time, outside suppressed frames, of sure faces
    suppressed_share     part of the face time in frames with fewer faces than min_people
    frames               frames analysed
    face_s               face time of all cameras, seconds
    share_<expression>   its part as the model saw it; with _low and _high a 95 % interval
    corrected_<expression>   the same, allowing for what the model confuses

A JSON object has the fields of `aggregator.stats.figures.RoomPeriod`; what is not known is null.
"""

import csv
import dataclasses
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from roommood.aggregator.stats.figures import RoomPeriod, Share
from roommood.aggregator.stats.room_stats import Periods
from roommood.shared.errors import ConfigError
from roommood.shared.process.atomic_file import atomic_file
from roommood.shared.process.progress import bar, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS

_SHARE_COLUMNS: Final = {
    "share_{}": "raw",
    "share_{}_low": "low",
    "share_{}_high": "high",
    "corrected_{}": "corrected",
    "corrected_{}_low": "corrected_low",
    "corrected_{}_high": "corrected_high",
}
_ROOM_COLUMNS: Final = (
    "coverage", "people", "dominant", "valence", "sure_share", "suppressed_share", "frames",
    "face_s", "looks", "uncorrected_share",
)  # fmt: skip
COLUMNS: Final = (
    "room", "start_utc", "end_utc", *_ROOM_COLUMNS,
    *(column.format(expression) for expression in EXPRESSIONS for column in _SHARE_COLUMNS),
)  # fmt: skip

Lines = Callable[[Iterable[RoomPeriod]], Iterator[str]]


def export_room(periods: Periods, lines: Lines, output: Path) -> int:
    """Write them all; returns in how many of them something was observed. "-" is stdout.

    A new file is its owner's alone; one that was there keeps its mode."""
    observed = 0
    to_stdout = str(output) == "-"
    # A bar among the lines of a terminal would garble both.
    shown = nullcontext(no_progress) if to_stdout and sys.stdout.isatty() else bar("exporting")

    def counted() -> Iterator[RoomPeriod]:
        nonlocal observed
        with shown as progress:
            for done, period in enumerate(periods, start=1):
                observed += period.frames > 0
                yield period
                progress(done, periods.count)

    if to_stdout:
        sys.stdout.writelines(lines(counted()))
        sys.stdout.flush()
    else:
        if output.exists() and not output.is_file():
            raise ConfigError(f"{output} is no file: give another, or - for the standard output")
        with atomic_file(output, mode_if_new=0o600) as file:
            file.writelines(lines(counted()))
    return observed


def csv_lines(periods: Iterable[RoomPeriod]) -> Iterator[str]:
    """A header, then a line for each period; each ends with a newline."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    yield _emptied(out)
    for period in periods:
        writer.writerow(_cells(period))
        yield _emptied(out)


def json_lines(periods: Iterable[RoomPeriod]) -> Iterator[str]:
    """One JSON object for each period, and a newline."""
    for period in periods:
        yield json.dumps(_as_dict(period), default=_plain) + "\n"


def as_json(summary: RoomPeriod, periods: Sequence[RoomPeriod]) -> str:
    """`{"summary": PERIOD, "periods": [PERIOD, ...]}`."""
    document = {
        "summary": _as_dict(summary),
        "periods": [_as_dict(period) for period in periods],
    }
    return json.dumps(document, indent=2, default=_plain)


def iso(time: datetime) -> str:
    """A UTC time as ISO 8601 with milliseconds and a Z."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_dict(period: RoomPeriod) -> dict[str, Any]:
    """Its fields; what is not known is None, as in the JSON API."""
    return {**dataclasses.asdict(period), "dominant": period.dominant or None}


def _cells(period: RoomPeriod) -> Iterator[Any]:
    yield from (period.room, iso(period.start), iso(period.end))
    yield from (getattr(period, name) for name in _ROOM_COLUMNS)
    for expression in EXPRESSIONS:
        share: Share | None = period.shares.get(expression)
        yield from (getattr(share, field, None) for field in _SHARE_COLUMNS.values())


def _emptied(out: io.StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
