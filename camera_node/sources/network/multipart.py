"""Whole JPEGs out of the body of an HTTP answer, as cameras really send them.

What tells one picture from the next are its own markers, so that a missing boundary, a wrong length
or no header at all do no harm. Headers of parts are read for one thing only: sound, text and other
pictures among the parts are stepped over, whatever bytes they hold.
"""

import re
from collections.abc import Callable
from typing import Final

from roommood.shared.errors import PictureDamaged, PictureTooLarge
from roommood.shared.protocol.jpeg_end import CutOff, find_end
from roommood.shared.protocol.limits import MAX_FILE_BYTES

_START: Final = b"\xff\xd8\xff"
_EDGE: Final = re.compile(rb"\xff[\xd8\xd9]")
# A boundary, the part's headers, an empty line; lines end with LF, CR before it or not.
_PART: Final = re.compile(
    rb"(?:\A|\n)--([^\r\n]{1,200}?)[ \t]*\r?\n((?:[^\s:]{1,80}[ \t]*:[^\r\n]*\r?\n){1,32})\r?\n"
)
_TYPE: Final = re.compile(rb"^content-type[ \t]*:[ \t]*([^;\s]*)", re.IGNORECASE | re.MULTILINE)
_MAY_BE_JPEG: Final = re.compile(
    rb"image/(?:p?jpe?g|x-.*|\*)|application/octet-stream|video/.*jpe?g.*|", re.IGNORECASE
)
# Between two pictures; headers are shorter.
_KEPT_BYTES: Final = 16 * 1024


class PictureReader:
    """The JPEGs of a body, byte for byte; `read` gives what has come, b"" at the end.

    `others` are the types of the parts that were no JPEG.
    """

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._buffer = bytearray()
        self.others: set[str] = set()

    def next(self) -> bytes | None:
        """The next whole JPEG; None where the body has ended.

        Raises PictureDamaged for one that was cut off; the next call gives what comes after it.
        """
        if not self._begin():
            return None
        looked_at = 0
        while True:
            if self._may_end(max(2, looked_at - 2)) and (picture := self._take()) is not None:
                return picture
            looked_at = len(self._buffer)
            if looked_at > MAX_FILE_BYTES:
                self._buffer.clear()
                raise PictureTooLarge(f"a picture of more than {MAX_FILE_BYTES} bytes")
            if not self._more():
                raise PictureDamaged("a picture that was cut off by the end of the stream")

    def _may_end(self, start: int) -> bool:
        """True where there is an end, or another picture's start: to follow all markers anew for
        each few bytes that come would cost the square of a large picture."""
        return _EDGE.search(self._buffer, start) is not None

    def _take(self) -> bytes | None:
        try:
            end = find_end(self._buffer)
        except CutOff as error:
            del self._buffer[: max(2, error.position)]
            raise
        if end < 0:
            return None
        picture = bytes(self._buffer[:end])
        del self._buffer[:end]
        return picture

    def _begin(self) -> bool:
        """Brings the start of the next picture to the buffer's; False at the end of the body."""
        while True:
            start = self._buffer.find(_START)
            other = self._other_part(start if start >= 0 else len(self._buffer))
            if other is not None:
                if not self._step_over(other):
                    return False
            elif start >= 0:
                del self._buffer[:start]
                return True
            else:
                del self._buffer[:-_KEPT_BYTES]
                if not self._more():
                    return False

    def _other_part(self, end: int) -> "re.Match[bytes] | None":
        """The headers of a part that is no JPEG, before `end`."""
        for part in _PART.finditer(self._buffer, 0, end):
            kind = _TYPE.search(part.group(2))
            if kind is not None and not _MAY_BE_JPEG.fullmatch(kind.group(1)):
                self.others.add(kind.group(1).decode("ascii", "replace").lower()[:40])
                return part
        return None

    def _step_over(self, part: "re.Match[bytes]") -> bool:
        """On to the boundary after this part; False at the end of the body."""
        boundary, end = b"\n--" + part.group(1), part.end() - 1
        del self._buffer[:end]
        while (start := self._buffer.find(boundary)) < 0:
            del self._buffer[: -len(boundary)]
            if not self._more():
                return False
        del self._buffer[:start]
        return True

    def _more(self) -> bool:
        data = self._read()
        self._buffer += data
        return bool(data)
