"""Server-sent events: rooms as they change, for as long as the client stays.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from roommood.aggregator.dashboard import models
from roommood.aggregator.dashboard.broadcaster import Broadcaster
from roommood.aggregator.dashboard.cache import SnapshotCache
from roommood.aggregator.dashboard.snapshot import Room

MOST_CLIENTS: Final = 200
# Proxies end what is silent, some within ten seconds.
HEARTBEAT_S: Final = 5.0
# After which a browser connects again.
_RETRY: Final = "retry: 2000\n\n"
_HEARTBEAT: Final = ": still here\n\n"


class Events:
    """One stream for each client, and a limit on how many there are.

    A slow client misses what was overtaken while it read, and holds nothing up: there is no
    queue, only the newest snapshot.
    """

    def __init__(self, broadcaster: Broadcaster) -> None:
        self._broadcaster = broadcaster
        self._clients = 0
        self._ended = asyncio.Event()

    @property
    def is_full(self) -> bool:
        return self._clients >= MOST_CLIENTS

    def end(self) -> None:
        """Ends all streams, so that the server can."""
        self._ended.set()
        self._broadcaster.wake()

    async def stream(self) -> AsyncIterator[str]:
        """First all rooms, then those that changed, as `room` events; `redis` when it comes
        and goes; comments in between, so that a dead connection shows."""
        self._clients += 1
        changed = asyncio.Event()
        leave = self._broadcaster.listen(lambda _cache: changed.set())
        try:
            yield _RETRY
            async for text in self._follow(changed):
                yield text
        finally:
            leave()
            self._clients -= 1

    async def _follow(self, changed: asyncio.Event) -> AsyncIterator[str]:
        known: dict[str, str] = {}
        while not self._ended.is_set():
            changed.clear()
            for text in _changes(self._broadcaster.cache, known):
                yield text
            try:
                await asyncio.wait_for(changed.wait(), HEARTBEAT_S)
            except TimeoutError:
                yield _HEARTBEAT


def _changes(cache: SnapshotCache, known: dict[str, str]) -> list[str]:
    """What is new to a client that was told so much; notes it as told."""
    parts = cache.once("events", lambda: _parts(cache))
    fresh = [text for name, (mark, text) in parts.items() if known.get(name) != mark]
    known.clear()
    known.update({name: mark for name, (mark, _) in parts.items()})
    return fresh


def _parts(cache: SnapshotCache) -> dict[str, tuple[str, str]]:
    """By what it is about: what tells it from the one before, and the event itself."""
    away = cache.snapshot.away
    state = models.RedisState(redis="away" if away else "answers", why=away)
    parts = {"redis": (away, _event("redis", state.model_dump_json()))}
    for room in () if away else cache.snapshot.rooms:
        text = models.room_now(room).model_dump_json()
        parts[f"room {room.name}"] = (_mark(room), _event("room", text))
    return parts


def _mark(room: Room) -> str:
    """Its age alone is no change; that it fell silent, or is closed, is."""
    now, known = room.now, room.known
    return f"{now.updated} {now.silent} {known.paused} {known.is_quiet} {now.away}"


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"
