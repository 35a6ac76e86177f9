"""Whether a peer that is dialled has ever answered, and what keeps it from doing so.

No input or output; time is an argument.
"""

import errno
from typing import Final

from roommood.shared.protocol.limits import STILL_AWAY_MS, UNREACHED_AGAIN_MS, UNREACHED_MS
from roommood.shared.transport.addresses import host_of

NO_ANSWER: Final = "connected, but it does not answer as it should: is it another component's port?"
MUTE: Final = "connected, but no ZeroMQ is spoken there: another program has that port, or it hangs"
_NO_ROUTE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN)
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM)


class Reachability:
    """Of one peer: since when it is away, why, and when that is to be told."""

    def __init__(self, now_ms: float) -> None:
        self.away_since_ms: float | None = now_ms
        self.ever_answered = False
        self.why = "not connected yet"
        self._due_ms = now_ms + UNREACHED_MS

    @property
    def state(self) -> str:
        """ "reached", or why not."""
        return "reached" if self.away_since_ms is None else self.why

    def away_ms(self, now_ms: float) -> float:
        """How long it has not answered; 0 if it does."""
        return 0.0 if self.away_since_ms is None else now_ms - self.away_since_ms

    def is_away(self, now_ms: float) -> bool:
        """True once it has not answered for longer than a start or a restart takes."""
        return self.away_ms(now_ms) >= UNREACHED_MS

    def answered(self) -> None:
        """Something came from it that only such a peer says."""
        self.away_since_ms = None
        self.ever_answered = True

    def lost(self, why: str, now_ms: float) -> None:
        """It answered, and does so no longer; who calls this says so itself."""
        if self.away_since_ms is None:
            self.away_since_ms, self.why = now_ms, why
            self._due_ms = now_ms + STILL_AWAY_MS

    def is_due(self, now_ms: float) -> bool:
        """True if it is to be told now that it is away; then not again for minutes."""
        if self.away_since_ms is None or now_ms < self._due_ms:
            return False
        self._due_ms = now_ms + UNREACHED_AGAIN_MS
        return True


def why_not_connected(number: str, error: OSError) -> str:
    """A connect(2) that failed, in words; `number` is the address that was tried."""
    host = host_of(number)
    if isinstance(error, TimeoutError):
        return f"timed out: {host} is off, or a firewall there drops what it is sent"
    if error.errno == errno.ECONNREFUSED:
        return f"refused: nothing listens at {number.removeprefix('tcp://')}"
    if error.errno in _NO_ROUTE:
        return f"no route to {host}: {error.strerror}"
    if error.errno in _FORBIDDEN:
        return (
            f"this machine may not connect to {host} ({error.strerror}): its own firewall, or rules"
        )
    return f"{number.removeprefix('tcp://')}: {error.strerror or error}"
