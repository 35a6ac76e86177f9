"""Time across machines of which none is trusted to know the date.

Senders stamp messages with `boot_ms`, a clock that starts with the machine and never steps;
receivers turn stamps into ages with one `TransitClock` for each session of a sender.
"""

import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from roommood.shared.protocol.limits import MAX_CLOCKS, MAX_TICK_MS

_WINDOW_MS: Final = 60_000.0
# What two clocks drift apart at most, as a part of the time that passes: 200 ppm.
_DRIFT: Final = 2e-4
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
    0 means "as fast as the fastest lately". Drift of 100 ppm costs at most 12 ms. A silence, after
    which all that was on its way may come late, makes no message fast: what it adds to the offset
    is 200 ppm of it.
    """

    __slots__ = ("_current_min", "_previous_min", "_window_start_ms")

    def __init__(self) -> None:
        self._current_min = float("inf")
        self._previous_min = float("inf")
        self._window_start_ms = 0.0

    def transit_ms(self, sent_ms: float, received_ms: float) -> float:
        """Milliseconds (0 to 10^9) that the message stamped `sent_ms` was on its way."""
        self._shift_window(received_ms)
        difference = received_ms - sent_ms
        self._current_min = min(self._current_min, difference)
        return min(difference - min(self._current_min, self._previous_min), _MOST_MS)

    def _shift_window(self, now_ms: float) -> None:
        elapsed = now_ms - self._window_start_ms
        if elapsed < _WINDOW_MS:
            return
        silence_ms = max(0.0, elapsed - 2 * _WINDOW_MS)
        self._previous_min = self._current_min + _DRIFT * silence_ms
        self._current_min = float("inf")
        self._window_start_ms = now_ms


class TransitClocks:
    """One TransitClock for each session of a sender, whether it is connected, silent or has left.

    A clock that went with its peer would take for fresh what that peer had sent long before. At
    most MAX_CLOCKS: beyond, the one met or kept longest ago goes.
    """

    def __init__(self) -> None:
        self._clocks: OrderedDict[Hashable, TransitClock] = OrderedDict()

    def __len__(self) -> int:
        return len(self._clocks)

    def of(self, sender: Hashable) -> TransitClock:
        """The clock of a sender; a new one for a sender that is not known."""
        clock = self._clocks.get(sender) or TransitClock()
        self.keep(sender, clock)
        return clock

    def keep(self, sender: Hashable, clock: TransitClock) -> None:
        """To be told when a peer is dropped: it may have been met very long ago."""
        self._clocks[sender] = clock
        self._clocks.move_to_end(sender)
        if len(self._clocks) > MAX_CLOCKS:
            self._clocks.popitem(last=False)


class Absence:
    """Time in which this process was stopped, suspended or kept waiting, and so heard nobody.

    It is nobody's silence: add it to when each peer was heard last before judging that.
    """

    def __init__(self) -> None:
        self._tick_ms = float("inf")

    def ended_ms(self, now_ms: float) -> float:
        """To be asked once a tick, before the sockets are read: what the tick took too long."""
        took_ms, self._tick_ms = now_ms - self._tick_ms, now_ms
        return max(0.0, took_ms - MAX_TICK_MS)
