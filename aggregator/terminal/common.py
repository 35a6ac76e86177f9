"""What the terminal's commands share: the room's name, Redis, and how a table is printed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Final

import typer

from roommood.shared.errors import ConfigError, StoreRefuses
from roommood.shared.process.settings import RedisSettings

if TYPE_CHECKING:
    from rich.table import Table

    from roommood.aggregator.counting.operator_settings import OperatorSettings
    from roommood.aggregator.counting.store import Store
    from roommood.aggregator.stats.room_stats import RoomStats

# Below so many letters a line the rules between the columns of a table are left out.
_NARROW: Final = 70
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


def print_table(what: "Table") -> None:
    """Fitted to the terminal, where nothing is left out of it; wide in a pipe."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    if console.measure(what).minimum > console.width or console.width < _NARROW:
        what.box, what.padding = None, (0, 1, 0, 0)
    for column in what.columns:
        column.overflow = "fold"
    console.print(what)


@contextmanager
def opened_store(settings: RedisSettings) -> "Iterator[Store]":
    """What writes to the Redis that the settings name."""
    from roommood.aggregator.counting.store import Store

    store = Store(settings.url, settings.password_file)
    try:
        store.check_schema()
        yield store
    finally:
        store.close()


@contextmanager
def opened_for_operator(settings: RedisSettings) -> "Iterator[OperatorSettings]":
    """The same, also with the operator's login, which may not see what lies there."""
    from roommood.aggregator.counting.store import Store

    store = Store(settings.url, settings.password_file)
    try:
        with suppress(StoreRefuses):
            store.check_schema()
        yield store
    finally:
        store.close()


def require_room(name: str, settings: RedisSettings, unless: str = "") -> None:
    """Raises ConfigError for a room of which nothing was counted: most often a slip of the pen."""
    with opened(settings) as reader:
        known = [room.room for room in reader.rooms()]
    if name not in known:
        hint = f"; {unless}" if unless else ""
        there = f"known rooms: {', '.join(known)}" if known else "nothing has been counted yet"
        raise ConfigError(f"no room {name!r}; {there}{hint}")


def is_room_seen(name: str, settings: RedisSettings, unless: str) -> bool:
    """The same; False where this login may not see which rooms there are."""
    try:
        require_room(name, settings, unless)
    except StoreRefuses:
        return False
    return True


def require_camera(name: str, room: str, settings: RedisSettings, unless: str) -> None:
    """The same for a camera that gave nothing in this hour or the last."""
    with opened(settings) as reader:
        known = sorted(reader.camera_states([room]).get(room, {}))
    if name not in known:
        there = ", ".join(known) or "none"
        raise ConfigError(f"no camera {name!r} in {room} lately; known: {there}; {unless}")
