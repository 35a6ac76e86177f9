"""Commands that look at rooms (reading rights suffice), and three that change how they are kept.

They speak of the "expression shown": what a face shows is not what its owner feels.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import RedisSettings
from roommood.shared.process.settings.options import with_settings
from roommood.shared.protocol.names import parse_room

if TYPE_CHECKING:
    from roommood.aggregator.counting.store import Store
    from roommood.aggregator.stats.room_stats import RoomStats

RoomArgument = Annotated[str, typer.Argument(metavar="ROOM", help="Name of the room.")]

_OUTPUT_PANEL: Final = "Output"
_PERIOD_PANEL: Final = "Period"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@with_settings(RedisSettings)
def rooms(settings: RedisSettings) -> None:
    """List the rooms of which something was counted.

    Example: roommood rooms
    """
    from roommood.aggregator.terminal.tables import rooms_table

    with _stats(settings) as stats:
        known = stats.rooms()
        states = stats.camera_states(one.room for one in known)
    _print(rooms_table(known, states) if known else "No room yet: nothing has been counted.")


@with_settings(RedisSettings)
def stats(
    settings: RedisSettings,
    room: RoomArgument,
    last: Annotated[
        str,
        typer.Option(
            metavar="TIME", rich_help_panel=_PERIOD_PANEL,
            help="How far back: 30s, 10m, 1h, 7d.",
        ),
    ] = "1h",
    by: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", show_default="one summary", rich_help_panel=_PERIOD_PANEL,
            help="Length of each row: a multiple of 10s (kept 6 h), 1m (7 d) or 1h (400 d).",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON.", rich_help_panel=_OUTPUT_PANEL)
    ] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV.", rich_help_panel=_OUTPUT_PANEL)
    ] = False,
) -> None:  # fmt: skip
    """Say what a room's faces showed: people, share of each expression, coverage.

    Example: roommood stats kitchen --last 1d --by 1h --csv
    """
    from roommood.aggregator.stats.export import as_json, csv_lines
    from roommood.aggregator.terminal import tables as read_view

    if json and csv:
        raise ConfigError("--json and --csv: choose one")
    with _stats(settings) as reader:
        summary = reader.summary(room, parse_duration(last))
        cameras = reader.camera_states([summary.room])[summary.room]
        history = reader.history(room, parse_duration(last), parse_duration(by)) if by else []
    if json:
        typer.echo(as_json(summary, history))
    elif csv:
        typer.echo("".join(csv_lines(history or [summary])), nl=False)
    else:
        typer.echo(read_view.headline(summary))
        for line in read_view.camera_lines(cameras):
            typer.echo(f"camera {line}")
        if summary.shares:
            _print(read_view.summary_table(summary))
        if history:
            _print(read_view.history_table(history))


@with_settings(RedisSettings)
def export(
    settings: RedisSettings,
    room: RoomArgument,
    last: Annotated[
        str,
        typer.Option(
            metavar="TIME", rich_help_panel=_PERIOD_PANEL, help="How far back: 6h, 7d, 400d.",
        ),
    ] = "7d",
    bucket: Annotated[
        str | None,
        typer.Option(
            "--bucket", "--by", metavar="TIME", show_default="the shortest that is kept",
            rich_help_panel=_PERIOD_PANEL,
            help="Length of each row: a multiple of 10s (kept 6 h), 1m (7 d) or 1h (400 d).",
        ),
    ] = None,
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="A header and a line for each row: what you get unless you say --json.",
            rich_help_panel=_OUTPUT_PANEL,
        ),
    ] = False,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="A JSON object on a line for each row.", rich_help_panel=_OUTPUT_PANEL
        ),
    ] = False,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default="standard output",
            rich_help_panel=_OUTPUT_PANEL,
            help="File that is replaced once all is there; - is the standard output.",
        ),
    ] = Path("-"),
) -> None:  # fmt: skip
    """Write a room's history for other programs. Times are UTC, shares parts of 1.

    Example: roommood export kitchen --last 7d --csv --output kitchen.csv
    """
    from roommood.aggregator.stats.export import csv_lines, export_room, json_lines

    if json and csv:
        raise ConfigError("--json and --csv: choose one")
    length = parse_duration(bucket) if bucket else None
    with _stats(settings) as reader:
        periods = reader.periods(room, parse_duration(last), length)
        observed = export_room(periods, json_lines if json else csv_lines, output)
    if not observed:
        typer.echo(
            f"note: nothing of {room} was observed in the last {last}: "
            f"all {periods.count} rows are empty",
            err=True,
        )


@with_settings(RedisSettings)
def watch(
    settings: RedisSettings,
    room: Annotated[
        str | None,
        typer.Argument(metavar="[ROOM]", show_default="all rooms", help="Name of one room."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.0, metavar="S", show_default="until Ctrl+C", rich_help_panel=_OUTPUT_PANEL,
            help="End by itself after so many seconds.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Show the rooms at this moment, twice a second; piped, a line for each change.

    Example: roommood watch kitchen --seconds 60
    """
    from roommood.aggregator.terminal.watch import show

    with _stats(settings) as reader:
        show(reader, room, seconds)


@with_settings(RedisSettings)
def pause(
    settings: RedisSettings,
    room: RoomArgument,
    new: Annotated[
        bool, typer.Option("--new", help="Also a room of which nothing was counted yet.")
    ] = False,
) -> None:
    """Make the cameras of a room send nothing, until `resume`.

    Example: roommood pause kitchen
    """
    name = parse_room(room)
    if not new:
        _require(name, settings, "--new pauses one that is still to come")
    with _store(settings) as store:
        store.pause(name)
    typer.echo(f"{name} is paused")


@with_settings(RedisSettings)
def resume(settings: RedisSettings, room: RoomArgument) -> None:
    """Let the cameras of a paused room send again.

    Example: roommood resume kitchen
    """
    name = parse_room(room)
    with _store(settings) as store:
        was_paused = name in store.paused_rooms()
        store.resume(name)
    typer.echo(f"{name} is no longer paused" if was_paused else f"{name} was not paused")


@with_settings(RedisSettings)
def views(
    settings: RedisSettings,
    room: RoomArgument,
    how: Annotated[
        str,
        typer.Argument(
            metavar="same|apart",
            help="same: the cameras see the same people, the largest count holds. "
            "apart: each sees its own, and the counts add up.",
        ),
    ],
) -> None:
    """Say whether a room's cameras see the same people or each its own part of the room.

    Example: roommood views kitchen apart
    """
    name = parse_room(room)
    if how not in ("same", "apart"):
        raise ConfigError(f"{how!r} is not a way to look: use same or apart")
    _require(name, settings)
    with _store(settings) as store:
        store.set_views(name, how == "apart")
    typer.echo(f"the cameras of {name} see {'different' if how == 'apart' else 'the same'} people")


@with_settings(RedisSettings)
def forget(
    settings: RedisSettings,
    room: RoomArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete all that was counted of a room; results still on their way are refused.

    Its cameras go on: pause the room, or stop them, if nothing new is to be counted.

    Example: roommood forget kitchen --yes
    """
    name = parse_room(room)
    if not yes:
        _require(name, settings, "--yes deletes what may be left of one that is not")
        typer.confirm(f"Delete all statistics of {name}, for good?", abort=True)
    with _store(settings) as store:
        deleted = store.forget(name)
    typer.echo(f"{name} is forgotten: {deleted} keys deleted")


def parse_duration(text: str) -> timedelta:
    """30s, 10m, 1h, 7d to a time; raises ConfigError that says what is allowed."""
    match = re.fullmatch(r"([0-9]{1,8})([smhdw])", text)
    if match is None or int(match[1]) == 0:
        raise ConfigError(
            f"{text!r} is not a time: a whole number above 0 with s, m, h, d or w, "
            "such as 30s, 10m, 1h or 7d"
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def mount(app: typer.Typer) -> None:
    """Add these commands to a typer app."""
    for look in (rooms, stats, export, watch):
        app.command(rich_help_panel="Look at rooms")(look)
    for change in (pause, resume, views, forget):
        app.command(rich_help_panel="Change what is kept")(change)


def _require(name: str, settings: RedisSettings, unless: str = "") -> None:
    """Raises ConfigError for a room of which nothing was counted: most often a slip of the pen."""
    with _stats(settings) as reader:
        known = [one.room for one in reader.rooms()]
    if name not in known:
        hint = f"; {unless}" if unless else ""
        raise ConfigError(f"no room {name!r}; known rooms: {_names(known)}{hint}")


def _stats(settings: RedisSettings) -> "RoomStats":
    from roommood.aggregator.stats.room_stats import RoomStats

    return RoomStats(settings.url, settings.password_file)


@contextmanager
def _store(settings: RedisSettings) -> "Iterator[Store]":
    from roommood.aggregator.counting.store import Store

    store = Store(settings.url, settings.password_file)
    try:
        store.check_schema()
        yield store
    finally:
        store.close()


def _print(what: object) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(what)


def _names(rooms: list[str]) -> str:
    return ", ".join(rooms) or "none"
