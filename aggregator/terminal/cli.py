"""Commands that look at rooms (reading rights suffice), and those that change how they are kept.

They speak of the "expression shown": what a face shows is not what its owner feels.
"""

from typing import Annotated

import typer

from roommood.aggregator.terminal import history_cli, operator_cli
from roommood.aggregator.terminal.common import (
    OUTPUT_PANEL,
    RoomArgument,
    note_missing,
    opened,
    opened_store,
    print_table,
    require_room,
)
from roommood.shared.counted import counted
from roommood.shared.process.settings import RedisSettings
from roommood.shared.process.settings.options import with_settings
from roommood.shared.protocol.names import parse_room


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
        paused = stats.paused_cameras()
    if not known:
        typer.echo("No room yet: nothing has been counted.")
        return
    print_table(rooms_table(known, states, paused))


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
        require_room(name, settings, "--yes deletes what may be left of one that is not")
        typer.confirm(f"Delete all statistics of {name}, for good?", abort=True)
    with opened_store(settings) as store:
        deleted = store.forget(name)
    typer.echo(f"{name} is forgotten: {counted(deleted, 'key')} deleted")


def mount(app: typer.Typer) -> None:
    """Add these commands to a typer app."""
    looks = (rooms, history_cli.stats, watch, history_cli.export, history_cli.report)
    for look in looks:
        app.command(rich_help_panel="Look at rooms")(look)
    for change in (*operator_cli.COMMANDS, forget):
        app.command(rich_help_panel="Change what is kept")(change)
