"""Noticing a camera that freezes (the same picture for ever), goes black, or is covered.

A camera whose picture has been one that was seen before (`Sameness`) for ten seconds is frozen. One
with no light in the picture is covered, or the room is dark: the two look the same. One look a
second, whatever the rate. Of a video only key frames are compared: what lies between them may well
be "no change" although the room lives. A picture that a clock is written into is never frozen.
"""

import logging
from typing import TYPE_CHECKING, Final

from roommood.camera_node.sources.picture import Picture
from roommood.shared.errors import PictureError
from roommood.shared.protocol.limits import (
    BLACK_LUMA,
    FLAT_LUMA,
    LOOK_EVERY_MS,
    STILL_AFTER_MS,
)

if TYPE_CHECKING:
    from roommood.camera_node.sameness import Sameness
    from roommood.shared.opencv import Pixels

_log = logging.getLogger("camera_node")
# New pictures in a row after which a frozen camera lives.
_ALIVE_AFTER: Final = 2
# Pixels that are compared, spread evenly; and the fields of which the light is looked at.
_LOOKED_AT: Final = (128, 96)
_COARSE: Final = (32, 24)
# Pixels of a JPEG that is decoded whole; larger ones to a half or a quarter of their sides.
_DECODED_WHOLE: Final = 1_000_000
# By their words; the first that holds is told. A sensor without light may well give nothing but
# zeros, so black comes before frozen.
PROBLEMS: Final = {
    "black": "no light, or covered, for",
    "frozen": "the same picture for",
    "blank": "one even surface, as if covered, for",
}


class Stillness:
    """What is wrong with a camera's pictures; call `look` with each, from one thread.

    `may_repeat`: a folder of pictures or a file that is played again may show the same for as
    long as it likes. From any thread: `problem` is "frozen", "black", "blank" (an even surface)
    or "" for a picture that lives; `status` says the same and for how long.
    """

    def __init__(self, description: str, may_repeat: bool = False) -> None:
        self._description, self.may_repeat = description, may_repeat
        self.forget()

    def forget(self) -> None:
        """The source was closed: what it shows when it is open again is new."""
        self.problem = self.status = ""
        self._due_ms = self._key_due_ms = float("-inf")
        self._sameness: Sameness | None = None
        # New pictures in a row, of those that were looked at.
        self._new = 0
        # Since when each problem has lasted, in ms.
        self._since_ms: dict[str, float] = {}
        self._now_ms = 0.0

    def is_due(self, at_ms: float, is_key: bool) -> bool:
        """True if a picture of this time is to be looked at."""
        return at_ms >= self._due_ms or (is_key and at_ms >= self._key_due_ms)

    def look(self, picture: Picture) -> None:
        """Takes notice of a picture if a look is due; else costs next to nothing."""
        if not self.is_due(picture.captured_ms, picture.is_key):
            return
        self._now_ms = picture.captured_ms
        self._due_ms = self._now_ms + LOOK_EVERY_MS
        if picture.is_key:
            self._key_due_ms = self._due_ms
        try:
            levels = _levels(picture)
        except PictureError:
            return
        if picture.is_key:
            self._note("frozen", not self.may_repeat and self._is_frozen(levels))
        light = _without_light(levels)
        self._note("black", light == "black")
        self._note("blank", light == "blank")
        self._tell()

    def _is_frozen(self, levels: "Pixels") -> bool:
        """One new picture alone may be a frozen one in a quality that its encoder had not used."""
        from roommood.camera_node.sameness import Sameness

        if self._sameness is None:
            self._sameness = Sameness()
        self._new = 0 if self._sameness.is_known(levels) else self._new + 1
        return self._new == 0 or (self.problem == "frozen" and self._new < _ALIVE_AFTER)

    def _note(self, problem: str, is_so: bool) -> None:
        if is_so:
            self._since_ms.setdefault(problem, self._now_ms)
        else:
            self._since_ms.pop(problem, None)

    def _tell(self) -> None:
        lasting = [name for name in PROBLEMS if self._lasts_ms(name) >= STILL_AFTER_MS]
        before, self.problem = self.problem, next(iter(lasting), "")
        self.status = ""
        if self.problem:
            seconds = self._lasts_ms(self.problem) / 1000
            self.status = f"{self.problem}: {PROBLEMS[self.problem]} {seconds:.0f} s"
        if self.problem and self.problem != before:
            _log.warning("%s is %s", self._description, self.status)
        elif before and not self.problem:
            _log.info("%s is no longer %s", self._description, before)

    def _lasts_ms(self, problem: str) -> float:
        return self._now_ms - self._since_ms.get(problem, self._now_ms)


def _levels(picture: Picture) -> "Pixels":
    """Grey levels of up to 128x96 pixels as they are, not averaged: noise is what tells.

    Raises PictureError.
    """
    from roommood.shared.opencv import cv2, decode

    seen = picture.pixels
    if seen is None:
        size = picture.width * picture.height
        flags = (
            cv2.IMREAD_GRAYSCALE if size <= _DECODED_WHOLE
            else cv2.IMREAD_REDUCED_GRAYSCALE_2 if size <= 4 * _DECODED_WHOLE
            else cv2.IMREAD_REDUCED_GRAYSCALE_4
        )  # fmt: skip
        seen = decode(picture.jpeg or b"", flags)
    height, width = seen.shape[:2]
    stride_x, stride_y = max(1, width // _LOOKED_AT[0]), max(1, height // _LOOKED_AT[1])
    some = seen[::stride_y, ::stride_x]
    # Of colours the green, as a copy: the picture itself is not to be kept.
    return (some if some.ndim == 2 else some[..., 1]).copy()


def _without_light(levels: "Pixels") -> str:
    """ "black", "blank", or "" for a picture that shows something."""
    from roommood.shared.opencv import cv2

    coarse = cv2.resize(levels, _COARSE, interpolation=cv2.INTER_AREA)
    if coarse.mean() < BLACK_LUMA and coarse.max() < 3 * BLACK_LUMA:
        return "black"
    return "blank" if coarse.std() < FLAT_LUMA else ""
