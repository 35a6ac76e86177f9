"""A camera's connection to one worker, and the credit it holds."""

import math
from collections.abc import Callable, Iterable
from typing import Final

from roommood.camera_node.window import CreditWindow
from roommood.shared.protocol.messages import Credit
from roommood.shared.transport.client import ClientConnection, Dialer

# An older worker that has just started does not say that nobody has told it yet what is paused; its
# aggregator may start later, as where both are replaced.
_UNTOLD_MS: Final = 30_000.0


class WorkerConnection(ClientConnection):
    """One socket to one worker address; `number` tells it from the camera's others."""

    def __init__(
        self, dialer: Dialer, address: str, number: int, now_ms: float, *, learned: bool
    ) -> None:
        super().__init__(dialer, address, now_ms, learned=learned)
        self.number = number
        self.window = CreditWindow(now_ms)
        self.hello_due = True
        self.sent_ms = 0.0
        self.told_ms = 0.0
        self.refused = ""
        self.paused = False
        self.pauses_unknown: bool | None = True
        self._met = ("", now_ms)
        self._refused_frames = ("", 0)

    def take_pause(self, credit: Credit, now_ms: float) -> None:
        """What this worker says of our room or of us, and whether it has been told lately."""
        if credit.worker_id != self._met[0]:
            self._met = (credit.worker_id, now_ms)
        self.paused, self.pauses_unknown = credit.paused, credit.pauses_unknown
        may_be_untold = now_ms - self._met[1] < _UNTOLD_MS and not credit.paused
        if self.pauses_unknown is None and may_be_untold:
            self.pauses_unknown = True

    def newly_refused(self, credit: Credit) -> int:
        """Frames of this connection that its worker has refused since its Credit before."""
        worker_id, before = self._refused_frames
        self._refused_frames = (credit.worker_id, credit.refused_frames)
        return max(0, credit.refused_frames - (before if credit.worker_id == worker_id else 0))


def all_say(links: Iterable[WorkerConnection], says: Callable[[WorkerConnection], bool]) -> bool:
    """True if it holds for every worker that speaks to us, and one does."""
    answers = [says(link) for link in links if link.window.worker_id]
    return bool(answers) and all(answers)


class Pause:
    """Whether this camera is paused: where one of the workers that it is connected to says so.

    Where none of them has been told lately, one that remembers a pause suffices; else, as after a
    restart of all, what was said last holds: a paused camera stays closed. A worker that does not
    say whether it has been told opens nothing while another says or remembers a pause.
    """

    def __init__(self) -> None:
        self._latest = False

    def holds(self, links: Iterable[WorkerConnection]) -> bool:
        connected = [link for link in links if link.window.connected]
        guessed = [link.paused for link in connected if link.pauses_unknown is None]
        known = [link.paused for link in connected if link.pauses_unknown is False]
        if known:
            self._latest = any(known + guessed)
        elif any(link.paused for link in connected):
            self._latest = True
        elif guessed:
            self._latest = False
        return self._latest


def soonest(links: Iterable[WorkerConnection], now_ms: float) -> WorkerConnection | None:
    """The link served soonest; of several that are free, the one that was longest unused."""
    chosen, best = None, (math.inf, math.inf)
    for link in links:
        rank = (max(link.window.ready_at_ms, now_ms), link.sent_ms)
        if rank < best and link.window.available(now_ms) > 0:
            chosen, best = link, rank
    return chosen
