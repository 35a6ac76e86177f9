"""When the frames that were asked for are expected. Time is an argument.

A camera without a picture at hand sends its next one, and cameras capture in step: of one that
gives a few a second it is known by its newest frame and its rate, to within some milliseconds, when
that will be; one that gives many has the next soon enough.
"""

import math
from typing import Final

from roommood.inference_worker.serving.camera_session import CameraSession, SessionKey

# Milliseconds that a frame may be late and still be waited for, and by which it may come after
# another and still be the first.
_LATE_MS: Final = 20.0
_EARLY_MS: Final = 5.0
# Milliseconds ahead beyond which no frame is waited for; a shorter analysis is nobody's hindrance.
_SOON_MS: Final = 50.0


class Arrivals:
    """Frames that were asked for, by the time at which each camera captures next."""

    def __init__(self) -> None:
        self._expected: dict[SessionKey, float] = {}

    def asked(self, session: CameraSession, now_ms: float) -> None:
        """A frame was asked for. Kept until it comes or is late, whatever becomes of its camera."""
        expected_ms = next_of(session, now_ms)
        if math.isfinite(expected_ms):
            self._expected[session.key] = expected_ms

    def came(self, session: CameraSession) -> None:
        """A frame came, or none will."""
        self._expected.pop(session.key, None)

    def __len__(self) -> int:
        return len(self._expected)

    def in_the_way(self, session: CameraSession, now_ms: float, analysis_ms: float) -> int:
        """How many frames are expected soon whose analyses would still take their threads when one
        comes that is asked for now. Those that did not come when they were expected are not.
        """
        if analysis_ms <= _SOON_MS:
            self._expected.clear()
            return 0
        self._expected = {
            key: at_ms for key, at_ms in self._expected.items() if at_ms >= now_ms - _LATE_MS
        }
        next_ms = next_of(session, now_ms)
        latest_ms = min(next_ms + _EARLY_MS, now_ms + _SOON_MS)
        return sum(next_ms - analysis_ms < at_ms <= latest_ms for at_ms in self._expected.values())


def next_of(session: CameraSession, now_ms: float) -> float:
    """When a camera's next picture is expected here at the latest; infinite where none has come."""
    step_ms = 1000.0 / max(session.hello.rate_hz, 0.1)
    if step_ms <= _SOON_MS:
        return now_ms + step_ms + session.transit_ms
    if session.captured_ms is None:
        return math.inf
    since_ms = max(0.0, now_ms - session.transit_ms - session.captured_ms)
    return session.captured_ms + math.ceil(since_ms / step_ms) * step_ms + session.transit_ms
