"""The credit of one worker, as its camera keeps it. No input or output; time is an argument."""

from roommood.shared.protocol.limits import CREDIT_VOID_MS, LEARNED_WORKER_DROP_MS
from roommood.shared.protocol.messages import Credit


class CreditWindow:
    """How many frames this camera may send to one worker, and what became of those it sent.

    Numbers are cumulative over the link's life, as in a TCP window: `sent` counts our frames,
    `granted` is the worker's limit on it, `started` how many of them are settled. Credit holds
    for one connection and goes void when it ends or the worker falls silent.
    """

    def __init__(self, now_ms: float) -> None:
        self.sent = 0
        self.connection = 0
        self.connected = False
        self.worker_id = ""
        self.lost_with_worker = 0
        self.heard_ms = now_ms
        self.ready_at_ms = 0.0
        self.reads_luma = False
        self.may_hold = False  # its next frame, where that looks as the last one did
        self.is_closing = False  # no more frames: it ends when those that were sent are settled
        self._granted = 0
        self._started = 0

    def connect(self, connection: int, now_ms: float) -> None:
        """A handshake succeeded: `connection` is its number; nothing is granted on it yet."""
        self.connection = connection
        self.connected = True
        self.heard_ms = now_ms
        self._granted = self.sent

    def disconnect(self) -> None:
        self.connected = False
        self._granted = self.sent

    def take(self, credit: Credit, now_ms: float) -> bool:
        """Books a Credit; False if it belongs to an earlier connection and says nothing now."""
        if not self.connected or credit.connection != self.connection:
            return False
        if credit.worker_id != self.worker_id:
            self._meet(credit)
        self.heard_ms = now_ms
        self.reads_luma = credit.luma
        self.may_hold = credit.hold_ms > 0
        self.ready_at_ms = now_ms + credit.ready_ms
        self._started = max(self._started, min(credit.started, self.sent))
        closed = credit.leaving or credit.paused or bool(credit.refused)
        # ZeroMQ keeps order, so the latest word holds: less means that the worker took some back.
        self._granted = self.sent if closed else max(self.sent, credit.granted)
        return True

    def _meet(self, credit: Credit) -> None:
        # What the predecessor had not begun ended with it; the successor never saw it.
        if self.worker_id:
            self.write_off()
        self.worker_id = credit.worker_id
        self._started = self.sent

    def write_off(self) -> None:
        """Books all that is unsettled as lost with the worker."""
        self.lost_with_worker += self.unsettled
        self._started = self.sent

    @property
    def unsettled(self) -> int:
        """Frames sent of which the worker has not said that they were begun or refused."""
        return self.sent - self._started

    def presumed_lost(self, now_ms: float) -> int:
        """Frames that a worker silent for a minute will hardly settle; if it does, they are not."""
        return self.unsettled if now_ms - self.heard_ms > LEARNED_WORKER_DROP_MS else 0

    def available(self, now_ms: float) -> int:
        """Frames that may be sent now."""
        silent = now_ms - self.heard_ms > CREDIT_VOID_MS
        if not self.connected or self.is_closing or silent:
            return 0
        return max(0, self._granted - self.sent)

    def spend(self) -> None:
        self.sent += 1
