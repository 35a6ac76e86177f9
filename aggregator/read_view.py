"""Rooms as tables, lines, JSON and CSV: what `roommood stats` and `roommood watch` print."""

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.table import Column, Table

from aggregator.figures import RoomPeriod, Share
from aggregator.live import RoomNow
from aggregator.stats import KnownRoom
from shared.emotions import EXPRESSIONS

# Shares below this are left out where space is short.
_WORTH_SHOWING = 0.01


def rooms_table(rooms: Sequence[KnownRoom]) -> Table:
    table = Table("Room", "Last result (UTC)", "Paused")
    for one in rooms:
        table.add_row(one.room, _clock(one.last_seen), "yes" if one.paused else "")
    return table


def live_table(stats: Sequence[RoomNow]) -> Table:
    """One row per room: what its cameras show at this moment. Silent rooms say so."""
    table = Table("Room", _right("People"), "Shown most", "Expressions shown")
    for header in ("Frames/s", "Newest frame"):
        table.add_column(header, justify="right")
    for now in stats:
        table.add_row(*_live_cells(now))
    return table


def live_line(now: RoomNow) -> str:
    """One room as one line of text, for a pipe or a log."""
    if now.silent or now.updated is None:
        return f"{now.room}: silent"
    room, people, dominant, shares, rate, age = _live_cells(now)
    shown = f"most: {dominant} ({shares})" if shares else "no expression shown"
    return f"{_iso(now.updated)} {room}: people {people}, {shown}, {rate} frames/s, {age}"


def headline(period: RoomPeriod) -> str:
    """The figures of a period that belong to the whole room, as lines of text."""
    between = f"{period.room}, {_clock(period.start)} to {_clock(period.end)} UTC"
    if not period.frames:
        return f"{between}\nNothing was observed."
    valence = "" if period.valence is None else f", valence {period.valence:+.2f}"
    return (
        f"{between}\n"
        f"Coverage {_percent(period.coverage)}, {period.frames} frames, "
        f"people {_number(period.people)}{valence}\n"
        f"{period.face_s:.0f} s of face time, {_percent(period.sure_share) or 'nothing'} sure, "
        f"{_percent(period.suppressed_share) or 'nothing'} suppressed (too few faces)"
    )


def summary_table(period: RoomPeriod) -> Table:
    """Shares per expression with their intervals: as the model saw them, and corrected."""
    table = Table("Expression shown", _right("Corrected"), _right("95 % interval"))
    for header in ("As the model saw it", "95 % interval (chance alone)"):
        table.add_column(header, justify="right")
    for name, share in sorted(period.shares.items(), key=_largest_first):
        corrected = _between(share.corrected_low, share.corrected_high) or "no matrix"
        raw = _between(share.low, share.high)
        table.add_row(name, _percent(share.corrected), corrected, _percent(share.raw), raw)
    return table


def history_table(periods: Sequence[RoomPeriod]) -> Table:
    table = Table("From (UTC)", _right("Coverage"), _right("People"), "Shown most")
    for header in ("Valence", "Sure", "Frames"):
        table.add_column(header, justify="right")
    for one in periods:
        table.add_row(
            _clock(one.start),
            _percent(one.coverage),
            _number(one.people),
            _most(one),
            _number(one.valence),
            _percent(one.sure_share),
            str(one.frames),
        )
    return table


def as_json(summary: RoomPeriod, periods: Sequence[RoomPeriod]) -> str:
    """`{"summary": PERIOD, "periods": [PERIOD, ...]}`; a PERIOD has the fields of RoomPeriod.

    Times are ISO 8601 in UTC; what is not known is null.
    """
    document = {
        "summary": dataclasses.asdict(summary),
        "periods": [dataclasses.asdict(one) for one in periods],
    }
    return json.dumps(document, indent=2, default=_plain)


def as_csv(periods: Sequence[RoomPeriod]) -> str:
    """One line per period; unknown is empty.

    `share_<expression>` with `_low` and `_high` is as the model saw it, and
    `corrected_<expression>` with the same two allows for what the model confuses.
    """
    out = io.StringIO()
    rows = [_csv_row(one) for one in periods]
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _live_cells(now: RoomNow) -> tuple[str, str, str, str, str, str]:
    if now.age_s is None:
        return now.room, "", "", "no frame in the last 10 s", "", "silent"
    shown = sorted(now.shares.items(), key=lambda item: -item[1])
    shares = ", ".join(f"{n} {_percent(s)}" for n, s in shown if s >= _WORTH_SHOWING)
    rate, age = f"{now.frames_per_s:.1f}", f"{now.age_s:.1f} s ago"
    return now.room, _number(now.people), now.dominant, shares, rate, age


def _csv_row(period: RoomPeriod) -> dict[str, Any]:
    row: dict[str, Any] = {
        name: getattr(period, name)
        for name in ("room", "coverage", "people", "dominant", "valence", "sure_share")
    }
    row |= {"suppressed_share": period.suppressed_share, "frames": period.frames}
    row |= {"face_s": period.face_s, "start": _iso(period.start), "end": _iso(period.end)}
    for name in EXPRESSIONS:
        share = period.shares.get(name)
        row[f"share_{name}"] = None if share is None else share.raw
        row[f"share_{name}_low"] = None if share is None else share.low
        row[f"share_{name}_high"] = None if share is None else share.high
        row[f"corrected_{name}"] = None if share is None else share.corrected
        row[f"corrected_{name}_low"] = None if share is None else share.corrected_low
        row[f"corrected_{name}_high"] = None if share is None else share.corrected_high
    return row


def _largest_first(named: tuple[str, Share]) -> float:
    _, share = named
    return -(share.raw if share.corrected is None else share.corrected)


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{_percent(low)} to {_percent(high)}"


def _most(period: RoomPeriod) -> str:
    if not period.dominant:
        return ""
    return f"{period.dominant} {_percent(period.shares[period.dominant].raw)}"


def _right(header: str) -> Column:
    return Column(header, justify="right")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return _iso(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _clock(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _percent(part: float | None) -> str:
    return "" if part is None else f"{part * 100:.0f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
