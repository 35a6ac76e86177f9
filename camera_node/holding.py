"""Holds pictures back that look as the last frame did, in which a worker found nobody.

It saves both sides a compression, a frame and an analysis. No input or output; times are `boot_ms`
of capture.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from roommood.camera_node.masks import Mask, burn_in
from roommood.camera_node.sources.picture import Picture
from roommood.shared.protocol.messages import Credit

if TYPE_CHECKING:
    from roommood.shared.opencv import Pixels

# Pictures by which the look may be late that ends a hold; and the part of the time between two
# looks below which none more is worth its while before that.
_LATE: Final = 2
_SOON: Final = 0.25


def glance_at(picture: Picture, masks: Sequence[Mask]) -> "Pixels":
    """What is compared of a picture: not what a mask covers. Raises PictureError."""
    from roommood.shared.glance import glance_of, glance_of_eighth
    from roommood.shared.opencv import cv2, decode

    if picture.pixels is not None:
        glance = glance_of(picture.pixels)
    else:
        as_it_lies = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION
        glance = glance_of_eighth(decode(picture.jpeg or b"", as_it_lies))
    return burn_in(glance, masks) if masks else glance


class Glance:
    """One picture's, made once at most, and only where it is asked for."""

    def __init__(self, picture: Picture, masks: Sequence[Mask]) -> None:
        self._picture, self._masks = picture, masks
        self._pixels: Pixels | None = None

    def pixels(self) -> "Pixels":
        """Raises PictureError."""
        if self._pixels is None:
            self._pixels = glance_at(self._picture, self._masks)
        return self._pixels


class Holding:
    """The last frame sent, to whichever worker, and what was found in it.

    `held_ms` is when the newest picture was captured that was held since, None if none was. From
    one frame to the next pass at most the worker's `hold_ms`, whatever glances say.
    """

    def __init__(self) -> None:
        self.held_ms: float | None = None
        self._seq = -1
        self._sent_ms = self._looked_ms = self._until_ms = self._last_ms = -math.inf
        self._look_ms = self._age_ms = 0.0
        self._glance: Pixels | None = None

    # What happened

    def sent(self, seq: int, captured_ms: float, age_ms: float, glance: "Pixels | None") -> None:
        """A frame went out at this age; with a glance at it where it may show nobody."""
        self._seq, self._glance, self.held_ms = seq, glance, None
        self._sent_ms = self._looked_ms = captured_ms
        self._until_ms, self._age_ms = -math.inf, age_ms

    def allow(self, credit: Credit) -> None:
        """A worker allows to hold pictures that look as a frame did."""
        self._look_ms = credit.look_ms
        if credit.empty_seq == self._seq:
            self._until_ms = self._sent_ms + credit.hold_ms

    # What follows

    def due_ms(self) -> float:
        """When to look at a picture again, which is captured some time before it is there."""
        next_ms = self._looked_ms + self._look_ms
        if self.held_ms is not None:
            next_ms = min(next_ms, self._last_ms)
        return next_ms + self._age_ms

    def holds(
        self, captured_ms: float, age_ms: float, glance: "Callable[[], Pixels]", step_ms: float
    ) -> bool:
        """Whether this picture, of those that come each `step_ms`, is held: nothing has changed,
        and the next one comes in time."""
        from roommood.shared.glance import unchanged

        last_ms = self._until_ms - _LATE * step_ms
        if self._glance is None or captured_ms > last_ms - _SOON * self._look_ms:
            return False
        if not unchanged(self._glance, glance()):
            return False
        self._looked_ms = self.held_ms = captured_ms
        self._last_ms, self._age_ms = last_ms, age_ms
        return True
