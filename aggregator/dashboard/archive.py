"""Rooms' history, read on demand in a thread of its own and kept for a little while."""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from roommood.aggregator.stats.calendar import Span
from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.shared.errors import ConfigError, StoreError

# Rows of one history: more is `roommood export`'s work.
MOST_ROWS: Final = 2_000
_MOST_KEPT: Final = 64
_MOST_WAITING: Final = 32
# How long an answer is good, in parts of its row; and in seconds at least and at most.
_GOOD_FOR_ROWS: Final = 0.25
_GOOD_FOR_S: Final = (2.5, 300.0)

T = TypeVar("T")
# Of what, of which room, over which time, and the length of a row.
_Key = tuple[str, str, Hashable, timedelta]


class Busy(StoreError):
    """Too many histories are being asked for at once."""


@dataclass(slots=True)
class _Kept:
    answer: asyncio.Future[Any]
    until_s: float


class Archive:
    """Everybody who asks for the same gets the same answer; one is read at a time.

    Every method raises StoreAway or StoreError where Redis fails, and ConfigError for a room
    that is not known or a time that is not kept. For use on one event loop.
    """

    def __init__(self, url: str, password_file: Path | None = None) -> None:
        self._url = url
        self._password_file = password_file
        self._kept: dict[_Key, _Kept] = {}
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    async def history(self, room: str, last: timedelta, by: timedelta) -> tuple[RoomPeriod, ...]:
        """As `RoomStats.history`."""
        if last / by > MOST_ROWS:
            raise ConfigError(f"that is more than {MOST_ROWS} rows: choose a longer bucket")
        key = ("history", room, last, by)
        return await self._get(key, lambda stats: tuple(stats.history(room, last, by)))

    async def periods(self, room: str, spans: Sequence[Span]) -> tuple[RoomPeriod, ...]:
        """As `RoomStats.periods_of`."""
        if len(spans) > MOST_ROWS:
            raise ConfigError(f"that is more than {MOST_ROWS} rows: choose a longer bucket")
        key = ("periods", room, tuple(spans), spans[0].length)
        return await self._get(key, lambda stats: tuple(stats.periods_of(room, spans)))

    async def _get(self, key: _Key, read: Callable[[RoomStats], T]) -> T:
        kept = self._kept.get(key)
        if kept is None or time.monotonic() > kept.until_s:
            kept = _Kept(asyncio.ensure_future(self._read(read)), _good_until(key))
            self._kept.pop(key, None)
            self._kept[key] = kept
            self._tidy()
        try:
            # One who leaves must not take the answer from the others.
            answer: T = await asyncio.shield(kept.answer)
        except (StoreError, ConfigError):
            self._kept.pop(key, None)
            raise
        return answer

    async def _read(self, read: Callable[[RoomStats], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise Busy("too many histories are being read at once: try again in a moment")
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(self._in_thread, read)
        finally:
            self._waiting -= 1

    def _in_thread(self, read: Callable[[RoomStats], T]) -> T:
        with RoomStats(self._url, self._password_file) as stats:
            return read(stats)

    def _tidy(self) -> None:
        while len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]


def _good_until(key: _Key) -> float:
    least_s, most_s = _GOOD_FOR_S
    good_for_s = key[3].total_seconds() * _GOOD_FOR_ROWS
    return time.monotonic() + min(most_s, max(least_s, good_for_s))
