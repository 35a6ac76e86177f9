"""What the terminal's commands share: the room's name, Redis, and how a table is printed."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from roommood.shared.process.settings import RedisSettings

if TYPE_CHECKING:
    from roommood.aggregator.stats.room_stats import RoomStats

OUTPUT_PANEL: Final = "Output"
RoomArgument = Annotated[str, typer.Argument(metavar="ROOM", help="Name of the room.")]


def opened(settings: RedisSettings) -> "RoomStats":
    """The reader of the Redis that the settings name."""
    from roommood.aggregator.stats.room_stats import RoomStats

    return RoomStats(settings.url, settings.password_file)


def note_missing(stats: "RoomStats") -> None:
    """Says on stderr which nodes of a Redis Cluster give no answer."""
    from roommood.aggregator.redis.shards import missing

    for node in sorted(stats.away):
        typer.echo(f"note: {missing(node)}", err=True)


def print_table(what: object) -> None:
    """Fitted to the terminal; wide in a pipe."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(what)
