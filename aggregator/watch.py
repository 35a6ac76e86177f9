"""Showing rooms as they change: a table on a terminal, lines in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import typer
from rich.live import Live
from rich.text import Text

from aggregator.live import RoomNow
from aggregator.read_view import live_line, live_table
from aggregator.stats import RoomStats
from shared.errors import StoreAway

_REFRESH_S: Final = 0.5
_Look = Callable[[], list[RoomNow]]


def show(stats: RoomStats, room: str | None, seconds: float | None) -> None:
    """Show one room, or all, for so many seconds or until Ctrl+C.

    A Redis that is away at the start raises StoreAway, an unknown room ConfigError; one that
    goes away later is waited for.
    """
    look: _Look = stats.live_rooms if room is None else lambda: [stats.live(room)]
    look()
    try:
        if sys.stdout.isatty():
            _table(look, seconds)
        else:
            _lines(look, seconds)
    except KeyboardInterrupt:
        return


def _table(look: _Look, seconds: float | None) -> None:
    with Live(refresh_per_second=4) as live:
        for found in _looks(look, seconds):
            live.update(Text(str(found)) if isinstance(found, StoreAway) else live_table(found))


def _lines(look: _Look, seconds: float | None) -> None:
    """A line for a room when it has changed, or has fallen silent."""
    said: dict[str, object] = {}
    for found in _looks(look, seconds):
        if isinstance(found, StoreAway):
            typer.echo(str(found), err=True)
            continue
        for now in found:
            if said.get(now.room, "") != now.updated:
                typer.echo(live_line(now))
                sys.stdout.flush()
            said[now.room] = now.updated


def _looks(look: _Look, seconds: float | None) -> Iterator[list[RoomNow] | StoreAway]:
    """What there is to see, twice a second."""
    end_s = float("inf") if seconds is None else time.monotonic() + seconds
    while True:
        try:
            yield look()
        except StoreAway as error:
            yield error
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            return
        time.sleep(min(_REFRESH_S, left_s))
