"""Less quality, then less size, where one frame takes too long on the wire; and back."""

from dataclasses import dataclass
from typing import Final

# Milliseconds that a frame may spend on the wire, and below which there is room for more.
SLOW_MS: Final = 250.0
FAST_MS: Final = 100.0
# Fast frames in a row before a step up, so that a link at its limit does not swing.
PATIENCE: Final = 20


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

    @property
    def step(self) -> Step:
        return STEPS[self._index]

    def observe(self, transit_ms: float) -> bool:
        """Takes one frame's time on the wire; True if the step changed."""
        before = self._index
        if transit_ms > SLOW_MS:
            self._fast = 0
            self._index = min(self._index + 1, len(STEPS) - 1)
        elif transit_ms < FAST_MS:
            self._fast += 1
            if self._fast >= PATIENCE:
                self._fast = 0
                self._index = max(self._index - 1, 0)
        else:
            self._fast = 0
        return self._index != before
