"""What becomes of the pictures that a camera sends, as its status tells it. Pure."""

from collections import deque
from collections.abc import Mapping
from typing import Final

from roommood.shared.protocol.messages import DELIVERY_PROBLEMS

# Pictures over which refusals are told, and of these so many at least; and which part of them.
_OVER: Final = 30
_FEWEST: Final = 10
_TROUBLE: Final = 0.5
_WORDS: Final[Mapping[str, str]] = {
    "damaged": "cut off or damaged",
    "stale": "too old when they arrived",
    "not-a-jpeg": "no JPEG",
    "too-large": "too large",
    "picture": "cannot be used",
}
_REFUSED, _UNREACHED = DELIVERY_PROBLEMS


class Refusals:
    """Which part of the latest pictures was refused, over all workers."""

    def __init__(self) -> None:
        self._settled = self._refused = 0
        self._before: deque[tuple[int, int]] = deque([(0, 0)])
        self._why = ""

    def note(self, settled: int, refused: int, why: str) -> None:
        """So many more were settled, and so many more refused, which may be told later."""
        self._settled += settled
        self._refused += refused
        self._why = why if refused else self._why
        if self._settled > self._before[-1][0]:
            self._before.append((self._settled, self._refused))
        while len(self._before) > 1 and self._settled - self._before[1][0] >= _OVER:
            self._before.popleft()

    @property
    def status(self) -> str:
        """ "refused: 28 of 30 pictures: cut off or damaged"; "" where that is not much."""
        settled, refused = self._before[0]
        pictures, bad = self._settled - settled, self._refused - refused
        if pictures < _FEWEST or bad < _TROUBLE * pictures:
            return ""
        why = _WORDS.get(self._why, self._why)
        return f"{_REFUSED}: {min(bad, pictures)} of {pictures} pictures: {why}"


def unreached(away: Mapping[str, str]) -> str:
    """ "unreached: desk:5701: no route to it" of the workers that are away, and why."""
    reasons = (f"{address.removeprefix('tcp://')}: {why}" for address, why in away.items())
    text = "; ".join(reasons)
    return f"{_UNREACHED}: {text}" if text else ""
