"""For how long a picture of an empty room may stand for those that look the same after it.

A camera that can compare them itself is told of its `Hold`, and sends none meanwhile; the pictures
of others are compared here. Times are `boot_ms` of capture.
"""

import math
from dataclasses import dataclass
from typing import Final

from roommood.inference_worker.vision.opencv import Picture

# Milliseconds from one picture of a camera to its next up to which it is asked for one picture
# earlier, so that the looks of a hold fit into it.
_SHORT_STEP_MS: Final = 40.0


@dataclass(frozen=True, slots=True)
class EmptyLook:
    """The last full look at a room that showed nobody: what it looked like, when, its frame's
    number, and for how long its camera may hold what looks the same."""

    glance: Picture
    captured_ms: float
    seq: int = 0
    hold_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Hold:
    """What a camera may do with its next credit: see `Credit`."""

    empty_seq: int
    hold_ms: float
    look_ms: float


NO_HOLD: Final = Hold(0, 0.0, 0.0)


class Repeats:
    """Decides whether the detector may be spared, where nothing has changed since it found nobody.

    Between two full looks pass at most `hold_ms`, whatever the glances say: a picture may stand for
    the last full look only if the look after it still comes in time. 0: the detector is never
    spared.
    """

    def __init__(self, hold_ms: float) -> None:
        self._hold_ms = hold_ms

    def reference(
        self, last: EmptyLook | None, captured_ms: float, next_ms: float
    ) -> Picture | None:
        """What a picture captured now is to be compared with; None where it is to be looked at.

        `next_ms`: when the look after this one is captured, at the latest.
        """
        if last is None or next_ms - last.captured_ms > self._hold_ms:
            return None
        return last.glance if captured_ms >= last.captured_ms else None

    def empty_look(
        self,
        glance: Picture | None,
        captured_ms: float,
        seq: int = 0,
        people_ms: float = -math.inf,
    ) -> EmptyLook | None:
        """To be kept after a full look; `glance` is there if it showed nobody.

        `people_ms`: when it last showed somebody. For no longer than that is ago a camera holds its
        pictures, so that the live figures of a room that has just emptied still move.
        """
        if glance is None or not self._hold_ms:
            return None
        return EmptyLook(glance, captured_ms, seq, min(self._hold_ms, captured_ms - people_ms))


def early_ms(last: EmptyLook | None, step_ms: float) -> float:
    """How much sooner than its pace says a camera with an empty room is asked."""
    return step_ms if last is not None and step_ms <= _SHORT_STEP_MS else 0.0
