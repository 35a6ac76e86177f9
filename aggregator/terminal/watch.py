"""Showing rooms as they change: a table on a terminal, lines in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final

import typer
from rich.console import Console
from rich.live import Live

from roommood.aggregator.redis.shards import missing
from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.terminal.tables import live_line
from roommood.aggregator.terminal.watch_view import Screen, View, watch_screen
from roommood.shared.errors import StoreError

_REFRESH_S: Final = 0.5
_MINUTES: Final = timedelta(minutes=10)
_STEP: Final = timedelta(seconds=30)
# The last minutes change slowly; reading them takes so much of our time at most.
_MINUTES_EVERY_S: Final = 10.0
_BUSY: Final = 0.1
_Look = Callable[[], list[RoomNow]]


def show(stats: RoomStats, room: str | None, seconds: float | None) -> None:
    """Show one room, or all, for so many seconds or until Ctrl+C.

    A Redis that is away at the start raises StoreAway, an unknown room ConfigError; one that
    goes away later is waited for.
    """
    look: _Look = stats.live_rooms if room is None else lambda: [stats.live(room)]
    at_first = look()
    console = Console()
    try:
        if console.is_terminal and not console.is_dumb_terminal:
            _table(console, look, _Minutes(stats), seconds)
        else:
            if not at_first:
                typer.echo("No room yet: nothing has been counted.", err=True)
            _lines(look, seconds)
    except KeyboardInterrupt:
        return


class _Minutes:
    """The last minutes of rooms, read now and then."""

    def __init__(self, stats: RoomStats) -> None:
        self._stats = stats
        self._by_room: dict[str, Sequence[RoomPeriod]] = {}
        self._due_s = 0.0

    @property
    def warnings(self) -> list[str]:
        return [missing(node) for node in sorted(self._stats.away)]

    def of(self, rooms: Sequence[str]) -> dict[str, Sequence[RoomPeriod]]:
        """By room. Raises StoreError."""
        began_s = time.monotonic()
        if began_s >= self._due_s or not self._by_room.keys() >= set(rooms):
            histories = self._stats.raw_histories(rooms, _MINUTES, _STEP)
            by_room = zip(rooms, histories, strict=True)
            self._by_room = {room: [] if history is None else history for room, history in by_room}
            now_s = time.monotonic()
            self._due_s = now_s + max(_MINUTES_EVERY_S, (now_s - began_s) / _BUSY)
        return self._by_room


def _table(console: Console, look: _Look, minutes: _Minutes, seconds: float | None) -> None:
    view = View()
    with Live(console=console, auto_refresh=False) as live:
        for looked in _looks(look, seconds):
            view = _view(looked, minutes, view)
            live.update(watch_screen(view, Screen.of(console)), refresh=True)


def _view(rooms: list[RoomNow] | StoreError, minutes: _Minutes, before: View) -> View:
    """While Redis is away the rooms stay, without figures."""
    try:
        if isinstance(rooms, StoreError):
            raise rooms
        return View(rooms, minutes.of([now.room for now in rooms]), warnings=minutes.warnings)
    except StoreError as error:
        silent = [RoomNow(now.room) for now in before.rooms]
        return View(silent, before.minutes, str(error))


def _lines(look: _Look, seconds: float | None) -> None:
    """A line for a room when it has changed, or has fallen silent."""
    states: dict[str, object] = {}
    for looked in _looks(look, seconds):
        if isinstance(looked, StoreError):
            typer.echo(str(looked), err=True)
            continue
        for now in looked:
            state = now.away or now.updated
            if states.get(now.room, "") != state:
                typer.echo(live_line(now))
                sys.stdout.flush()
            states[now.room] = state


def _looks(look: _Look, seconds: float | None) -> Iterator[list[RoomNow] | StoreError]:
    """What there is to see, twice a second."""
    end_s = float("inf") if seconds is None else time.monotonic() + seconds
    while True:
        try:
            yield look()
        except StoreError as error:  # away, loading, busy with a script: it is waited for
            yield error
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            return
        time.sleep(min(_REFRESH_S, left_s))
