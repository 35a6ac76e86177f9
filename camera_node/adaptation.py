"""Less quality, then less size, where one frame takes too long on the wire; and back. Time is an
argument."""

from dataclasses import dataclass
from typing import Final

# Milliseconds that a frame may spend on the wire, and below which there is room for more.
SLOW_MS: Final = 250.0
FAST_MS: Final = 100.0
# Fast frames in a row before a step up, so that a link at its limit does not swing; or fewer, where
# a camera that is seldom asked needs so many milliseconds for them.
PATIENCE: Final = 20
PATIENCE_MS: Final = 2_000.0
FEWEST: Final = 5


@dataclass(frozen=True, slots=True)
class Step:
    """How to compress: a factor on the JPEG quality and one on width and height."""

    quality: float
    scale: float


STEPS: Final = (
    Step(1.0, 1.0),
    Step(0.75, 1.0),
    Step(0.5, 1.0),
    Step(0.5, 0.75),
    Step(0.5, 0.5),
)


class LinkAdaptation:
    """Chooses a step of `STEPS` from the transit times that Credits tell."""

    def __init__(self) -> None:
        self._index = 0
        self._fast = 0
        self._since_ms = 0.0

    @property
    def step(self) -> Step:
        return STEPS[self._index]

    def observe(self, transit_ms: float, now_ms: float) -> bool:
        """Takes one frame's time on the wire; True if the step changed."""
        before = self._index
        if transit_ms > SLOW_MS:
            self._fast = 0
            self._index = min(self._index + 1, len(STEPS) - 1)
        elif transit_ms < FAST_MS:
            self._note_fast(now_ms)
        else:
            self._fast = 0
        return self._index != before

    def _note_fast(self, now_ms: float) -> None:
        if not self._fast:
            self._since_ms = now_ms
        self._fast += 1
        is_long = self._fast >= FEWEST and now_ms - self._since_ms >= PATIENCE_MS
        if is_long or self._fast >= PATIENCE:
            self._fast = 0
            self._index = max(self._index - 1, 0)
