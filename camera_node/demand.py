"""Whether a picture is likely to be asked for before the next one comes. Times are `boot_ms`."""

import math
from typing import Final

# Where pictures come more seldom than this, in ms, whoever wants one is not to wait for the next:
# each is retrieved while somebody has wanted one lately.
_SELDOM_MS: Final = 100.0
_LATELY_MS: Final = 5_000.0
# Who takes them faster than this is not to wait for the next either: it would be idle so long.
_OFTEN_MS: Final = 100.0


class Demand:
    """When pictures were wanted, and when they were taken."""

    def __init__(self) -> None:
        self._asked_ms = self._given_ms = -math.inf
        self._between_ms = math.inf

    def asked(self, now_ms: float) -> None:
        """Somebody wants a picture."""
        self._asked_ms = now_ms

    def given(self, now_ms: float) -> None:
        """Somebody was given one."""
        self._between_ms, self._given_ms = now_ms - self._given_ms, now_ms

    def is_likely(self, now_ms: float, interval_ms: float) -> bool:
        """Whether the picture of now is to be kept ready, of those that come at this interval."""
        if self._between_ms < _OFTEN_MS and now_ms - self._given_ms < _OFTEN_MS:
            return True
        return interval_ms >= _SELDOM_MS and now_ms - self._asked_ms < _LATELY_MS
