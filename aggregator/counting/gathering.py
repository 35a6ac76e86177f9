"""Whether results wait for others, so that one call counts more of them. Time is an argument."""

from typing import Final

# From so many results a second, and for so long at most: a call costs Redis as much as ten results.
BUSY_PER_S: Final = 1_000.0
GATHER_MS: Final = 250.0
# Without one more for so long nothing is gained by waiting: workers may wait for their Acks.
IDLE_MS: Final = 30.0
# Results that wait: they are in memory, and are counted in one go.
_MOST: Final = 8_192
_OVER_MS: Final = 1_000.0


class Gathering:
    """Small sites see each result at once; where they come by the thousand, they wait a little."""

    def __init__(self) -> None:
        self._per_s = 0.0
        self._since_ms, self._in_this_span = 0.0, 0
        self._waiting = 0
        self._first_ms = self._last_ms = 0.0

    def holds(self, waiting: int, now_ms: float) -> bool:
        """True if the results that wait, so many by now, are to wait for more."""
        if waiting > self._waiting:
            self._last_ms = now_ms
            self._first_ms = self._first_ms if self._waiting else now_ms
        self._note_rate(waiting - self._waiting, now_ms)
        held = (
            self._per_s >= BUSY_PER_S
            and 0 < waiting < _MOST
            and now_ms - self._first_ms < GATHER_MS
            and now_ms - self._last_ms < IDLE_MS
        )
        self._waiting = waiting if held else 0
        return held

    def _note_rate(self, more: int, now_ms: float) -> None:
        self._in_this_span += more
        passed_ms = now_ms - self._since_ms
        if passed_ms >= _OVER_MS:
            self._per_s = self._in_this_span * 1000.0 / passed_ms
            self._since_ms, self._in_this_span = now_ms, 0
