"""Reading a JPEG's markers: is it one, and how large does it claim to be.

Nothing is decoded: a picture is judged by the markers of ITU-T T.81, annex B, before any
decoder allots memory for what it claims.
"""

from dataclasses import dataclass
from typing import Final

from roommood.shared.errors import NotAJpeg, PictureDamaged, PictureTooLarge
from roommood.shared.protocol.limits import (
    MAX_JPEG_BYTES,
    MAX_JPEG_HEADER_BYTES,
    MAX_JPEG_MARKERS,
    MAX_JPEG_SCANS,
    MAX_PICTURE_PIXELS,
    MIN_PICTURE_SIDE_PX,
)

_START_OF_IMAGE: Final = b"\xff\xd8\xff"
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_DECODABLE_FRAMES: Final = frozenset({_BASELINE, _EXTENDED, _PROGRESSIVE})
# C4, C8 and CC are tables and extensions that share the range of the frame markers.
_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# Quantisation and Huffman tables, restart interval, application data, comment: what stands between
# the frame marker and the scan of any camera's JPEG.
_TABLES: Final = frozenset(
    bytes((0xFF, kind)) for kind in (0xDB, 0xC4, 0xDD, 0xFE, *range(0xE0, 0xF0))
)
_MOST_TABLES: Final = 32
_COMPONENTS: Final = frozenset({1, 3, 4})
_BITS_PER_SAMPLE: Final = 8


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What the frame marker claims."""

    width: int
    height: int
    components: int
    progressive: bool


def is_jpeg(data: bytes) -> bool:
    """True if the bytes start as a JPEG does."""
    return data[:3] == _START_OF_IMAGE


def read_header(
    data: bytes, *, most_bytes: int = MAX_JPEG_BYTES, most_pixels: int = MAX_PICTURE_PIXELS
) -> JpegHeader:
    """Width and height in pixels as claimed, checked against the limits: those of the wire, or
    larger ones where a picture is made smaller before it goes out.

    Raises:
        NotAJpeg: no JPEG, or not one that decoders agree on (lossless, arithmetic, 12 bits).
        PictureDamaged: it ends, or its scan begins, before the frame marker, or too many
            other markers do.
        PictureTooLarge: more bytes, pixels or scans than are allowed.
    """
    if not is_jpeg(data):
        raise NotAJpeg(f"not a JPEG: it starts with {bytes(data[:4]).hex(' ') or 'nothing'}")
    if len(data) > most_bytes:
        raise PictureTooLarge(f"a JPEG of {len(data)} bytes; at most {most_bytes} are taken")
    position, marker = _find_frame(data)
    header = _parse_frame(data, position, marker)
    if header.width * header.height > most_pixels:
        raise PictureTooLarge(
            f"a JPEG that claims {header.width}x{header.height} pixels; at most {most_pixels} "
            "are taken"
        )
    # Within a scan's data 0xFF is always followed by 0x00; a thumbnail comes before the frame.
    # To count costs 0.1 ms a frame, so a camera's plain JPEG is spared it.
    if not _has_one_scan(data, position, header):
        scans = data.count(b"\xff\xda", position)
        if scans > MAX_JPEG_SCANS:
            raise PictureTooLarge(f"a JPEG of more than {MAX_JPEG_SCANS} scans")
    return header


def _has_one_scan(data: bytes, position: int, header: JpegHeader) -> bool:
    """True if the first scan holds all components of a picture that is not progressive.

    Decoders then take another scan for an error, and end. `position` is that of the frame
    segment's length field.
    """
    if header.progressive:
        return False
    for _ in range(_MOST_TABLES):
        position += int.from_bytes(data[position : position + 2], "big")
        marker = data[position : position + 2]
        position += 2
        if marker == b"\xff\xda":
            return data[position + 2 : position + 3] == bytes((header.components,))
        if marker not in _TABLES:
            return False
    return False


def _find_frame(data: bytes) -> tuple[int, int]:
    """Position of the frame segment's length field, and the frame marker."""
    position, end = 2, min(len(data), MAX_JPEG_HEADER_BYTES)
    for _ in range(MAX_JPEG_MARKERS):
        if position + 4 > end:
            raise PictureDamaged(f"a JPEG without a frame marker in its first {end} bytes")
        if data[position] != 0xFF:
            raise PictureDamaged(f"no JPEG marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0x00:
            # Decoders skip it as a stray byte and would read on inside our "segment".
            raise PictureDamaged(f"no JPEG marker at byte {position}")
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        if marker in _FRAME_MARKERS:
            return position + 2, marker
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            raise PictureDamaged("the JPEG's data begins before its size is given")
        position += 2 + _length(data, position + 2)
    raise PictureDamaged(f"a JPEG without a frame marker among its first {MAX_JPEG_MARKERS}")


def _length(data: bytes, position: int) -> int:
    length = int.from_bytes(data[position : position + 2], "big")
    if length < 2:
        raise PictureDamaged(f"a JPEG segment of length {length} at byte {position}")
    return length


def _parse_frame(data: bytes, position: int, marker: int) -> JpegHeader:
    if marker not in _DECODABLE_FRAMES:
        raise NotAJpeg(
            f"a JPEG of kind SOF{marker - 0xC0}; only SOF0 to SOF2 (baseline, progressive) are "
            "taken: save it as one"
        )
    if position + 8 > len(data):
        raise PictureDamaged("the JPEG ends inside its frame marker")
    if data[position + 2] != _BITS_PER_SAMPLE:
        raise NotAJpeg(f"a JPEG of {data[position + 2]} bits a sample; only 8 are taken")
    height = int.from_bytes(data[position + 3 : position + 5], "big")
    width = int.from_bytes(data[position + 5 : position + 7], "big")
    components = data[position + 7]
    if min(width, height) < MIN_PICTURE_SIDE_PX or components not in _COMPONENTS:
        side = MIN_PICTURE_SIDE_PX
        raise PictureDamaged(
            f"a JPEG of {width}x{height} pixels, {components} components: at least {side}x{side} "
            "pixels and 1, 3 or 4 components are taken"
        )
    return JpegHeader(width, height, components, marker == _PROGRESSIVE)
