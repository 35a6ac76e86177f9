"""Time across machines of which none is trusted to know the date.

Senders stamp messages with `boot_ms`, a clock that starts with the machine and never steps;
receivers turn stamps into ages with one `TransitClock` for each sender's boot.
"""

import time
from typing import Final

_WINDOW_MS: Final = 60_000.0
# No message is on its way for eleven days: the sender's clock is wrong, or lies.
_MOST_MS: Final = 1e9
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", None)


def boot_ms() -> float:
    """Milliseconds since this machine started, suspended time included; never steps back."""
    if _BOOT_CLOCK is None:
        return time.monotonic() * 1000.0
    return time.clock_gettime(_BOOT_CLOCK) * 1000.0


def wall_ms() -> float:
    """Milliseconds since 1970 by this machine's clock. Only the aggregator's is used."""
    return time.time() * 1000.0


class TransitClock:
    """How long messages of one sender took, without comparing two machines' clocks.

    The difference (received - sent) is the offset of two clocks plus the time on the way.
    Its smallest value within the last 60 to 120 s is taken for the offset, so a transit of
    0 means "as fast as the fastest lately". Drift of 100 ppm costs at most 12 ms.
    """

    __slots__ = ("_current_min", "_previous_min", "_window_start_ms")

    def __init__(self) -> None:
        self._current_min = float("inf")
        self._previous_min = float("inf")
        self._window_start_ms = 0.0

    def transit_ms(self, sent_ms: float, received_ms: float) -> float:
        """Milliseconds (0 to 10^9) that the message stamped `sent_ms` was on its way."""
        self._turn_window(received_ms)
        difference = received_ms - sent_ms
        self._current_min = min(self._current_min, difference)
        return min(difference - min(self._current_min, self._previous_min), _MOST_MS)

    def _turn_window(self, now_ms: float) -> None:
        elapsed = now_ms - self._window_start_ms
        if elapsed < _WINDOW_MS:
            return
        self._previous_min = self._current_min if elapsed < 2 * _WINDOW_MS else float("inf")
        self._current_min = float("inf")
        self._window_start_ms = now_ms
