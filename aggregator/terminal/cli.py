"""Commands that look at rooms (reading rights suffice), and three that change how they are kept.

They speak of the "expression shown": what a face shows is not what its owner feels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from roommood.aggregator.terminal import history_cli
from roommood.aggregator.terminal.common import (
    OUTPUT_PANEL,
    RoomArgument,
    note_missing,
    opened,
    print_table,
)
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import RedisSettings
from roommood.shared.process.settings.options import with_settings
from roommood.shared.protocol.names import parse_room

if TYPE_CHECKING:
    from roommood.aggregator.counting.store import Store


@with_settings(RedisSettings)
def rooms(settings: RedisSettings) -> None:
    """List the rooms of which something was counted.

    Example: roommood rooms
    """
    from roommood.aggregator.terminal.tables import rooms_table

    with opened(settings) as stats:
        known = stats.rooms()
        states = stats.camera_states(room.room for room in known)
        note_missing(stats)
    print_table(rooms_table(known, states) if known else "No room yet: nothing has been counted.")


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
            min=0.0, metavar="S", show_default="until Ctrl+C", rich_help_panel=OUTPUT_PANEL,
            help="End by itself after so many seconds.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Show the rooms at this moment, twice a second; piped, a line for each change.

    Example: roommood watch kitchen --seconds 60
    """
    from roommood.aggregator.terminal.watch import show

    with opened(settings) as reader:
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


def mount(app: typer.Typer) -> None:
    """Add these commands to a typer app."""
    looks = (rooms, history_cli.stats, watch, history_cli.export, history_cli.report)
    for look in looks:
        app.command(rich_help_panel="Look at rooms")(look)
    for change in (pause, resume, views, forget):
        app.command(rich_help_panel="Change what is kept")(change)


def _require(name: str, settings: RedisSettings, unless: str = "") -> None:
    """Raises ConfigError for a room of which nothing was counted: most often a slip of the pen."""
    with opened(settings) as reader:
        known = [room.room for room in reader.rooms()]
    if name not in known:
        hint = f"; {unless}" if unless else ""
        raise ConfigError(f"no room {name!r}; known rooms: {_names(known)}{hint}")


@contextmanager
def _store(settings: RedisSettings) -> "Iterator[Store]":
    from roommood.aggregator.counting.store import Store

    store = Store(settings.url, settings.password_file)
    try:
        store.check_schema()
        yield store
    finally:
        store.close()


def _names(rooms: list[str]) -> str:
    return ", ".join(rooms) or "none"
