"""Hands what the poller's thread finds to everybody who looks, on the server's event loop."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from roommood.aggregator.dashboard.cache import SnapshotCache
from roommood.aggregator.dashboard.snapshot import Snapshot

Listener = Callable[[SnapshotCache], None]

_log = logging.getLogger(__name__)


class Broadcaster:
    """The newest snapshot with its cache, and who is told of it.

    All but `publish` belong to the event loop.
    """

    def __init__(self) -> None:
        self.cache = SnapshotCache(
            Snapshot(datetime.now(UTC), away="Redis has not been asked yet.")
        )
        self._listeners: dict[object, Listener] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """The loop that listeners run on; None once it ends."""
        self._loop = loop

    def publish(self, snapshot: Snapshot) -> None:
        """May be called from any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._tell, SnapshotCache(snapshot))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with each new snapshot, until what is returned is called."""
        token = object()
        self._listeners[token] = listener
        return lambda: void(self._listeners.pop(token, None))

    def wake(self) -> None:
        """Tells everybody of the newest snapshot once more."""
        self._tell(self.cache)

    def _tell(self, cache: SnapshotCache) -> None:
        self.cache = cache
        for listener in list(self._listeners.values()):
            try:
                listener(cache)
            except Exception:
                _log.exception("a viewer was not updated")


def void(_: object) -> None:
    """For a callback whose result nobody wants."""
