"""Where a JPEG ends: the one rule, at camera and worker, by which a picture is whole or not.

A picture ends at the end-of-image marker that its own markers lead to (ITU-T T.81, annex B): not at
that of a thumbnail inside it, nor at that of another picture after it.
"""

import re
from typing import Final

from roommood.shared.errors import PictureDamaged
from roommood.shared.protocol.limits import MAX_JPEG_MARKERS

_FILL: Final = 0xFF
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
_RESTARTS: Final = range(0xD0, 0xD8)
_WITHOUT_LENGTH: Final = frozenset({0x01, *_RESTARTS})
# Within a scan 0xFF is followed by 0x00 or is a restart: the first other marker ends it.
_AFTER_A_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class CutOff(PictureDamaged):
    """A picture that ends before its end; at `position` begins what is not its own."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def find_end(data: bytes | bytearray, start: int = 0) -> int:
    """The position after the end of the JPEG that begins at `start`; -1 where it is not in `data`.

    Raises CutOff where what comes cannot be that picture's: no marker where one must
    stand, or the start of another picture.
    """
    position = start + 2
    for _ in range(MAX_JPEG_MARKERS):
        if position + 2 > len(data):
            return -1
        kind = data[position + 1]
        if data[position] != 0xFF or not _may_follow(kind):
            at = position - start
            raise CutOff(f"cut off: no marker of this JPEG at its byte {at}", position)
        if kind == _END_OF_IMAGE:
            return position + 2
        position = _after(data, position, kind)
        if position < 0:
            return -1
    raise CutOff(f"a JPEG of more than {MAX_JPEG_MARKERS} markers", position)


def whole(jpeg: bytes) -> bytes:
    """The JPEG without what follows its end. Raises PictureDamaged if it has none."""
    end = find_end(jpeg)
    if end < 0:
        raise PictureDamaged(f"a JPEG of {len(jpeg)} bytes without its end: it was cut off")
    return jpeg if end == len(jpeg) else jpeg[:end]


def _may_follow(kind: int) -> bool:
    """Reserved codes (02 to BF) are no camera's; another start means that this picture is over."""
    return (kind >= 0xC0 and kind != _START_OF_IMAGE) or kind == 0x01


def _after(data: bytes | bytearray, position: int, kind: int) -> int:
    """Where the marker after this one may stand; -1 if that is not in `data` yet."""
    if kind == _FILL:
        return position + 1
    if kind in _WITHOUT_LENGTH:
        return position + 2
    if position + 4 > len(data):
        return -1
    length = data[position + 2] << 8 | data[position + 3]
    if length < 2:
        raise CutOff(f"a JPEG segment of length {length}", position)
    position += 2 + length
    return _after_scan(data, position) if kind == _START_OF_SCAN else position


def _after_scan(data: bytes | bytearray, position: int) -> int:
    """Where the scan ends: -1 if that is not in `data`."""
    marker = _AFTER_A_SCAN.search(data, position)
    return -1 if marker is None else marker.start()
