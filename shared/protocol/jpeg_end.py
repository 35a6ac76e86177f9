"""Where a JPEG ends: the one rule, at camera and worker, by which a picture is whole or not.

A picture ends at the end-of-image marker that its own markers lead to (ITU-T T.81, annex B): not at
that of a thumbnail inside it, nor at that of another picture after it.
"""

from typing import Final

from roommood.shared.errors import PictureDamaged
from roommood.shared.protocol.limits import MAX_JPEG_MARKERS

_STUFFED, _FILL = 0x00, 0xFF
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
_RESTARTS: Final = range(0xD0, 0xD8)
_WITHOUT_LENGTH: Final = frozenset({0x01, *_RESTARTS})
_WITHIN_A_SCAN: Final = frozenset({_STUFFED, *_RESTARTS})


def find_end(data: bytes | bytearray, start: int = 0) -> int:
    """The position after the end of the JPEG that begins at `start`; -1 where it is not in `data`.

    Raises PictureDamaged where what comes cannot be that picture's: no marker where one must
    stand, or the start of another picture.
    """
    position = start + 2
    for _ in range(MAX_JPEG_MARKERS):
        if position + 2 > len(data):
            return -1
        kind = data[position + 1]
        if data[position] != 0xFF or kind in (_STUFFED, _START_OF_IMAGE):
            raise PictureDamaged(f"cut off: no marker of this JPEG at its byte {position - start}")
        if kind == _END_OF_IMAGE:
            return position + 2
        position = _after(data, position, kind)
        if position < 0:
            return -1
    raise PictureDamaged(f"a JPEG of more than {MAX_JPEG_MARKERS} markers")


def whole(jpeg: bytes) -> bytes:
    """The JPEG without what follows its end. Raises PictureDamaged if it has none."""
    end = find_end(jpeg)
    if end < 0:
        raise PictureDamaged(f"a JPEG of {len(jpeg)} bytes without its end: it was cut off")
    return jpeg if end == len(jpeg) else jpeg[:end]


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
        raise PictureDamaged(f"a JPEG segment of length {length}")
    position += 2 + length
    return _after_scan(data, position) if kind == _START_OF_SCAN else position


def _after_scan(data: bytes | bytearray, position: int) -> int:
    """Within a scan 0xFF is followed by 0x00 or is a restart: the first other marker ends it."""
    while True:
        position = data.find(0xFF, position)
        if position < 0 or position + 1 >= len(data):
            return -1
        kind = data[position + 1]
        if kind == _FILL:
            position += 1
        elif kind in _WITHIN_A_SCAN:
            position += 2
        else:
            return position
