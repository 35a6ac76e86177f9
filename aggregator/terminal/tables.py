"""Rooms as tables and lines: what `roommood stats` and `roommood watch` print."""

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from rich.table import Column, Table

from roommood.aggregator.stats.export import iso
from roommood.aggregator.stats.figures import RoomPeriod, Share
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import KnownRoom
from roommood.aggregator.stats.sampling import FEWEST_LOOKS, LOOK_S
from roommood.shared.counted import counted

# Shares below this are left out where space is short.
_WORTH_SHOWING = 0.01


def rooms_table(
    rooms: Sequence[KnownRoom],
    states: Mapping[str, Mapping[str, str]],
    paused_cameras: Container[str] = (),
    zone: tzinfo = UTC,
) -> Table:
    """`states`: of each room's cameras, as `RoomStats.camera_states` has it; a room that is missing
    there is not known at the moment."""
    table = Table("Room", "Group", f"Last result ({zone})", "Paused", "Cameras")
    for room in rooms:
        of_room = states.get(room.room)
        cameras = _cameras_cell(of_room)
        closed = _closed_cell(room, [name for name in of_room or () if name in paused_cameras])
        table.add_row(room.room, room.group, _clock(room.last_seen, zone), closed, cameras)
    return table


def _closed_cell(room: KnownRoom, paused_cameras: Sequence[str]) -> str:
    if room.paused:
        return "yes"
    if room.is_quiet:
        return "quiet hours"
    return ", ".join(paused_cameras)


def _cameras_cell(states: Mapping[str, str] | None) -> str:
    if states is None:
        return "unknown: its Redis node gives no answer, or what that keeps is damaged"
    lines = [*camera_lines(states)]
    ok = sum(state == "ok" for state in states.values())
    return "\n".join([f"{ok} ok", *lines] if ok else lines)


def camera_lines(states: Mapping[str, str]) -> Iterator[str]:
    """A line for each camera that is not well."""
    return (f"{camera}: {state}" for camera, state in sorted(states.items()) if state != "ok")


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
    if now.away:
        return f"{now.room}: unknown: {now.away}"
    if now.silent or now.updated is None:
        return f"{now.room}: silent"
    room, people, dominant, shares, rate, age = _live_cells(now)
    shown = f"most: {dominant} ({shares})" if shares else "no expression shown"
    return f"{iso(now.updated)} {room}: people {people}, {shown}, {rate} frames/s, {age}"


def rising_in(now: RoomNow) -> str:
    """The expression that has overtaken the dominant one, and does not lead by enough to take its
    place; "" where none has."""
    held = now.shares.get(now.dominant, 0.0)
    first = max(now.shares, key=lambda name: now.shares[name], default="")
    return first if now.dominant and now.shares[first] > held else ""


def headline(period: RoomPeriod, zone: tzinfo = UTC) -> str:
    """The figures of a period that belong to the whole room, as lines of text."""
    between = f"{period.room}, {_clock(period.start, zone)} to {_clock(period.end, zone)} {zone}"
    if not period.frames:
        return f"{between}\nNothing was observed."
    valence = "" if period.valence is None else f", valence {period.valence:+.2f}"
    return (
        f"{between}\n"
        f"Coverage {_percent(period.coverage)}, {counted(period.frames, 'frame')}, "
        f"people {_number(period.people)}{valence}\n"
        f"{period.face_s:.0f} s of face time, {_percent(period.sure_share) or 'nothing'} sure, "
        f"{_percent(period.suppressed_share) or 'nothing'} suppressed (too few faces)\n"
        f"{_looks(period)}{_uncorrected(period)}{_too_little(period)}{_still(period)}"
    )


def _looks(period: RoomPeriod) -> str:
    looks = counted(round(period.looks), "look")
    return f"{looks} at sure faces, {LOOK_S:.0f} s of a face's time each"


def _too_little(period: RoomPeriod) -> str:
    if not period.is_too_little:
        return ""
    return f"\nToo little seen yet for intervals: they need {FEWEST_LOOKS:.0f} looks"


def _still(period: RoomPeriod) -> str:
    """Cameras that see what the detector takes for faces, and that never moves."""
    seen = [
        f"{camera.camera} {camera.still:.1f}" for camera in period.cameras if camera.still >= 0.05
    ]
    if not seen:
        return ""
    return f"\nLeft out: boxes that never move, pictures or things ({', '.join(seen)} at once)"


def _uncorrected(period: RoomPeriod) -> str:
    if not period.uncorrected_models:
        return ""
    models = ", ".join(period.uncorrected_models)
    return f"; {_percent(period.uncorrected_share)} of them by {models}, which has no matrix"


def summary_table(period: RoomPeriod) -> Table:
    """Shares per expression, as the model saw them and corrected, each with its interval; without
    those where too little was seen."""
    columns = ["Corrected", "95 % interval", "As the model saw it", "95 % interval (chance alone)"]
    shown = slice(None, None, 2 if period.is_too_little else 1)
    table = Table("Expression shown", *map(_right, columns[shown]))
    for name, share in sorted(period.shares.items(), key=_largest_first):
        table.add_row(name, *_share_cells(share)[shown])
    return table


def _share_cells(share: Share) -> list[str]:
    return [
        "no matrix" if share.corrected is None else _percent(share.corrected),
        _between(share.corrected_low, share.corrected_high),
        _percent(share.raw),
        _between(share.low, share.high),
    ]


def history_table(periods: Sequence[RoomPeriod], zone: tzinfo = UTC) -> Table:
    shown_most = Column("Shown most", no_wrap=True)
    table = Table("From", _right("Coverage"), _right("People"), shown_most)
    for header in ("Valence", "Sure", "Frames"):
        table.add_column(header, justify="right")
    for start, period in zip(_starts(periods, zone), periods, strict=True):
        table.add_row(
            start,
            _percent(period.coverage),
            _number(period.people),
            _most(period),
            _number(period.valence),
            _percent(period.sure_share),
            str(period.frames),
        )
    return table


def _starts(periods: Sequence[RoomPeriod], zone: tzinfo) -> list[str]:
    """When each begins, without what all have alike: a row is to fit 80 columns. The headline has
    day and zone."""
    starts = [period.start.astimezone(zone) for period in periods]
    day = "" if len({start.date() for start in starts}) == 1 else "%Y-%m-%d "
    seconds = ":%S" if any(start.second for start in starts) else ""
    return [start.strftime(f"{day}%H:%M{seconds}") for start in starts]


def _why_unknown(away: str) -> str:
    damaged = "in Redis is damaged" in away
    return f"not known: {'its live hash is damaged' if damaged else 'Redis gives no answer'}"


def _live_cells(now: RoomNow) -> tuple[str, str, str, str, str, str]:
    if now.away:
        return now.room, "", "", _why_unknown(now.away), "", "unknown"
    if now.age_s is None:
        return now.room, "", "", "no frame in the last 10 s", "", "silent"
    shown = sorted(now.shares.items(), key=lambda item: -item[1])
    shares = ", ".join(f"{n} {_percent(s)}" for n, s in shown if s >= _WORTH_SHOWING)
    rate, age = f"{now.frames_per_s:.1f}", f"{now.age_s:.1f} s ago"
    dominant = (
        f"{now.dominant}, turning to {rising}" if (rising := rising_in(now)) else now.dominant
    )
    return now.room, _number(now.people), dominant, shares, rate, age


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


def _clock(time: datetime, zone: tzinfo) -> str:
    return f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _percent(part: float | None) -> str:
    return "" if part is None else f"{part * 100:.0f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
