"""Whether a picture is one that was seen before, down to the noise of the camera's sensor.

A living sensor never gives the same picture twice. What changes of a frozen one is what its encoder
does: a rate-controlled H.264 of one picture comes back in a few qualities, over and over. So a
picture is compared with several that were seen before, and may differ from one of them by a small
part of what the camera's own noise makes of a room where nothing moves.
"""

from collections import deque
from typing import Final

import numpy as np

from roommood.shared.opencv import Frame, Pixels, cv2

_REMEMBERED: Final = 8
# Of the noise: below it, two pictures are the same one.
_SAME: Final = 0.1
# The noise is that of the calmest part, where people do not move; it may grow with the dusk.
_TILES: Final = 6
_CALMEST: Final = 25
_GROWS: Final = 1.01


class Sameness:
    """Looks at grey levels (H, W), of one size as a rule; for one thread."""

    def __init__(self) -> None:
        self._seen: deque[Pixels] = deque(maxlen=_REMEMBERED)
        self._noise: float | None = None

    def is_known(self, levels: Pixels) -> bool:
        """True if this picture was seen before; else it is one that is known from now on."""
        comparable = [seen for seen in self._seen if seen.shape == levels.shape]
        distances = [cv2.norm(levels, seen, cv2.NORM_L1) / levels.size for seen in comparable]
        least = min(distances, default=None)
        if least is not None and least <= _SAME * (self._noise or 0.0):
            return True
        if least is not None:
            nearest = comparable[distances.index(least)]
            noise = _of_the_calmest(cv2.absdiff(levels, nearest))
            self._noise = noise if self._noise is None else min(self._noise * _GROWS, noise)
        self._seen.append(levels)
        return False


def _of_the_calmest(difference: Frame) -> float:
    height, width = (side // _TILES for side in difference.shape)
    if not height or not width:
        return float(difference.mean())
    whole = difference[: height * _TILES, : width * _TILES]
    tiles = whole.reshape(_TILES, height, _TILES, width).mean(axis=(1, 3))
    return float(np.percentile(np.asarray(tiles, np.float64), _CALMEST))
