"""Noticing a camera that freezes (the same picture for ever), goes black, or is covered.

A living sensor has noise: no two of its pictures are equal, bit for bit. So a camera whose
picture has not changed in any looked-at pixel, or in any byte of its JPEG, for ten seconds is
frozen. One with no light in the picture is covered, or the room is dark: the two look the same.
One look a second, whatever the rate. A picture that a clock is written into is never frozen.
"""

import logging
import zlib
from typing import TYPE_CHECKING, Final

from roommood.camera_node.sources.picture import Picture
from roommood.shared.errors import PictureError
from roommood.shared.protocol.limits import (
    BLACK_LUMA,
    FLAT_LUMA,
    LIGHT_EVERY_MS,
    LOOK_EVERY_MS,
    STILL_AFTER_MS,
)

if TYPE_CHECKING:
    from roommood.shared.opencv import Pixels

_log = logging.getLogger("camera_node")
# Pixels of raw pictures that are compared; and the fields of which the light is looked at.
_LOOKED_AT: Final = (128, 96)
_COARSE: Final = (32, 24)
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
        self._description, self._may_repeat = description, may_repeat
        self.forget()

    def forget(self) -> None:
        """The source was closed: what it shows when it is open again is new."""
        self.problem = self.status = ""
        self._due_ms = self._light_due_ms = float("-inf")
        self._fingerprint: tuple[int, int] | None = None
        self._light = ""
        # Since when each problem has lasted, in ms.
        self._since_ms: dict[str, float] = {}
        self._now_ms = 0.0

    def look(self, picture: Picture) -> None:
        """Takes notice of a picture if a look is due; else costs next to nothing."""
        if picture.captured_ms < self._due_ms:
            return
        self._now_ms = picture.captured_ms
        self._due_ms = self._now_ms + LOOK_EVERY_MS
        fingerprint = _fingerprint(picture)
        self._note("frozen", fingerprint == self._fingerprint and not self._may_repeat)
        self._fingerprint = fingerprint
        if self._now_ms >= self._light_due_ms:
            self._light_due_ms = self._now_ms + LIGHT_EVERY_MS
            self._light = _without_light(picture)
        self._note("black", self._light == "black")
        self._note("blank", self._light == "blank")
        self._tell()

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


def _fingerprint(picture: Picture) -> tuple[int, int]:
    """Of every byte of a JPEG, or of a grid of raw pixels."""
    data = picture.jpeg if picture.jpeg is not None else _grid(picture).tobytes()
    return len(data), zlib.crc32(data)


def _grid(picture: Picture) -> "Pixels":
    """The green of up to 128x96 pixels, spread evenly."""
    assert picture.pixels is not None
    stride_x = max(1, picture.width // _LOOKED_AT[0])
    stride_y = max(1, picture.height // _LOOKED_AT[1])
    return picture.pixels[::stride_y, ::stride_x, 1]


def _without_light(picture: Picture) -> str:
    """ "black", "blank", or "" for a picture that shows something, or cannot be decoded."""
    from roommood.shared.opencv import cv2, decode

    try:
        seen = picture.pixels
        if seen is None:
            seen = decode(picture.jpeg or b"", cv2.IMREAD_REDUCED_GRAYSCALE_8)
    except PictureError:
        return ""
    coarse = cv2.resize(seen, _COARSE, interpolation=cv2.INTER_AREA).reshape(*_COARSE, -1).mean(2)
    if coarse.mean() < BLACK_LUMA and coarse.max() < 3 * BLACK_LUMA:
        return "black"
    return "blank" if coarse.std() < FLAT_LUMA else ""
