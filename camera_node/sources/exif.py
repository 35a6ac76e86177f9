"""How a JPEG or WebP says that it must be turned: the orientation of EXIF 2.32."""

from typing import Final, Literal

UPRIGHT: Final = 1
_ORIENTATION_TAG: Final = 0x0112
_SHORT: Final = 3
_EXIF: Final = b"Exif\0\0"
# Segments that may stand before that of EXIF: application data, tables, comments.
_MOST_SEGMENTS: Final = 32
_START_OF_FRAME: Final = frozenset({0xC0, 0xC1, 0xC2, 0xDA, 0xD9})
_MOST_ENTRIES: Final = 64
_MOST_CHUNKS: Final = 32
_NO_CHUNK: Final = b"NONE"


def exif_orientation(jpeg: bytes) -> int:
    """1 (upright) to 8, from the first directory of the picture's EXIF; 1 where it says nothing."""
    position = 2
    for _ in range(_MOST_SEGMENTS):
        head = jpeg[position : position + 10]
        if len(head) < 10 or head[0] != 0xFF or head[1] in _START_OF_FRAME:
            break
        if head[1] == 0xE1 and head[4:] == _EXIF:
            return _orientation(jpeg[position + 10 : position + 65_536])
        position += 1 if head[1] == 0xFF else 2 + int.from_bytes(head[2:4], "big")
    return UPRIGHT


def webp_orientation(webp: bytes) -> tuple[int, bytes]:
    """1 to 8, and the picture without its EXIF, which OpenCV obeys in some releases and writings;
    1 and the bytes as they are where it says nothing, or is no WebP (RFC 9649)."""
    position = 12 if webp[:4] == b"RIFF" and webp[8:12] == b"WEBP" else len(webp)
    for _ in range(_MOST_CHUNKS):
        size = int.from_bytes(webp[position + 4 : position + 8], "little")
        if webp[position : position + 4] == b"EXIF":
            tiff = webp[position + 8 : position + 8 + size].removeprefix(_EXIF)
            return _orientation(tiff), webp[:position] + _NO_CHUNK + webp[position + 4 :]
        position += 8 + size + size % 2
    return UPRIGHT, webp


def _orientation(tiff: bytes) -> int:
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    directory = number(4, 4)
    if number(2, 2) != 42:
        return UPRIGHT
    for entry in range(min(number(directory, 2), _MOST_ENTRIES)):
        at = directory + 2 + 12 * entry
        if number(at, 2) == _ORIENTATION_TAG and number(at + 2, 2) == _SHORT:
            return number(at + 8, 2) if 1 <= number(at + 8, 2) <= 8 else UPRIGHT
    return UPRIGHT
