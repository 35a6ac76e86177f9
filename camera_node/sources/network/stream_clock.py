"""When a stream's pictures were captured, by its own clock, and how far behind it we are."""

from typing import Final

# Pictures may be this old when they are decoded, for this long, before that is too slow: what a
# radio held up is caught up with sooner.
BEHIND_MS: Final = 1_000.0
_PATIENCE_MS: Final = 1_500.0
_CATCHES_UP: Final = 0.8
# Two crystals drift by less than a thousandth; decoding that is too slow loses more.
_DRIFT: Final = 0.001
_RUSH: Final = 1.5


class StreamClock:
    """Times of a stream against ours: the least difference that was seen is that of no delay.

    Until it `is_settled`, what comes is older than can be told.
    """

    def __init__(self) -> None:
        self._least_ms = self._at_ms = self._now_ms = 0.0
        self._is_first = True
        self.is_settled = False
        self._behind_since: tuple[float, float] | None = None
        self.behind_ms = 0.0

    def captured_ms(self, at_ms: float, now_ms: float) -> float:
        """Our time at which the picture of the stream's time `at_ms`, come now, was captured."""
        elapsed_ms, advanced_ms = now_ms - self._now_ms, at_ms - self._at_ms
        offset_ms = now_ms - at_ms
        # A clock that steps back, or does not go on, tells nothing.
        if self._is_first or advanced_ms <= 0:
            self._least_ms, self._is_first = offset_ms, False
        else:
            self._least_ms = min(self._least_ms + _DRIFT * elapsed_ms, offset_ms)
            # What was kept while the stream was opened comes faster than it was captured.
            self.is_settled |= advanced_ms < _RUSH * elapsed_ms
        self._at_ms, self._now_ms = at_ms, now_ms
        self.behind_ms = offset_ms - self._least_ms
        self._note()
        return now_ms - self.behind_ms

    @property
    def is_too_slow(self) -> bool:
        """True once we have been more than a second behind for a while and do not catch up."""
        if self._behind_since is None:
            return False
        since_ms, by_ms = self._behind_since
        waited_ms = self._now_ms - since_ms
        return waited_ms > _PATIENCE_MS and self.behind_ms > max(BEHIND_MS, _CATCHES_UP * by_ms)

    def _note(self) -> None:
        if self.behind_ms <= BEHIND_MS:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = (self._now_ms, self.behind_ms)
