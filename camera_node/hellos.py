"""When a camera says Hello to its workers. No input or output; time is an argument."""

from collections.abc import Callable, Collection

from roommood.camera_node.worker_connection import WorkerConnection
from roommood.shared.protocol.limits import HELLO_AT_LEAST_EVERY_MS, HELLO_EVERY_MS


class Hellos:
    """A frame tells a worker as much as a Hello does: that the camera is there.

    So Hello is due where a worker was told nothing for HELLO_EVERY_MS, where the camera's status
    is of another kind than it was ("black", whatever the seconds after it), and each
    HELLO_AT_LEAST_EVERY_MS in any case: it carries the counts. It goes to all workers at once,
    since figures of different moments would go back and forth.
    """

    def __init__(self) -> None:
        self._all_told_ms = self._looked_ms = float("-inf")
        self._kind = ""

    def call(
        self, links: Collection[WorkerConnection], now_ms: float, status: Callable[[], str]
    ) -> None:
        """Marks the connections on which Hello is to be said now; `status` is the camera's."""
        if now_ms - self._all_told_ms < HELLO_EVERY_MS:
            return
        overdue = now_ms - self._all_told_ms >= HELLO_AT_LEAST_EVERY_MS
        if overdue or _is_quiet(links, now_ms) or self._is_news(now_ms, status):
            self._all_told_ms = self._looked_ms = now_ms
            self._kind = _kind(status())
            for link in links:
                link.hello_due = True

    def _is_news(self, now_ms: float, status: Callable[[], str]) -> bool:
        if now_ms - self._looked_ms < HELLO_EVERY_MS:
            return False
        self._looked_ms = now_ms
        return _kind(status()) != self._kind


def _kind(status: str) -> str:
    return status.partition(":")[0]


def _is_quiet(links: Collection[WorkerConnection], now_ms: float) -> bool:
    return any(link.window.connected and now_ms - link.told_ms >= HELLO_EVERY_MS for link in links)
