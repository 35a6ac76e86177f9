"""How often pictures come."""

from typing import Final

_AVERAGE_OF: Final = 10


class Interval:
    """The moving average of the time between pictures, in ms; 0 until two have come."""

    def __init__(self) -> None:
        self.average_ms = 0.0
        self._last_ms: float | None = None
        self._came_ms = 0.0

    def note(self, captured_ms: float, now_ms: float) -> None:
        """A picture came now that was captured at this time."""
        if self._last_ms is not None:
            latest_ms = captured_ms - self._last_ms
            weight = 1 / _AVERAGE_OF if self.average_ms > 0 else 1.0
            self.average_ms += (latest_ms - self.average_ms) * weight
        self._last_ms, self._came_ms = captured_ms, now_ms

    def rate_hz(self, now_ms: float) -> float | None:
        """Pictures a second, which sinks while none come; None until two have."""
        if self._last_ms is None or self.average_ms <= 0:
            return None
        return 1000.0 / max(self.average_ms, now_ms - self._came_ms)

    def forget(self) -> None:
        """What comes next is no longer compared with what came last."""
        self.average_ms, self._last_ms = 0.0, None
