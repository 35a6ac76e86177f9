"""JPEGs that lie, out of their segments, and files of other kinds: bytes only, no decoder."""

from collections.abc import Iterator
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden"
SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SOF, DHT, SOS, COM, APP1, APP2 = 0xC0, 0xC4, 0xDA, 0xFE, 0xE1, 0xE2
PROGRESSIVE = 0xC2


def segment(marker: int, body: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def good() -> bytes:
    """A real baseline JPEG of 48x48 pixels in three colours."""
    return (GOLDEN / "jpeg" / "taken--colour.jpg").read_bytes()


def segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and whole bytes of each segment before the data; the scan's comes last."""
    at = 2
    while True:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        yield jpeg[at + 1], jpeg[at:end]
        if jpeg[at + 1] == SOS:
            return
        at = end


def tables() -> bytes:
    """What stands before the scan of a good JPEG, without its frame marker."""
    return b"".join(body for marker, body in segments(good()) if marker not in (SOF, SOS))


def frame(
    width: int, height: int, marker: int = SOF, *, bits: int = 8, components: int = 3
) -> bytes:
    """A frame marker that claims this size, without subsampling."""
    size = bytes([bits]) + height.to_bytes(2, "big") + width.to_bytes(2, "big")
    planes = b"".join(bytes([n + 1, 0x11, min(n, 1)]) for n in range(components))
    return segment(marker, size + bytes([components]) + planes)


def scan(component: int = 1, first: int = 0, last: int = 63) -> bytes:
    """A scan of one component with next to no data: the decoder fills it up."""
    return segment(SOS, bytes([1, component, 0x00, first, last, 0])) + b"\0"


def claiming(width: int, height: int) -> bytes:
    """A few hundred bytes that claim so many pixels."""
    return SOI + tables() + frame(width, height) + scan() + EOI


def many_scans(scans: int, side_px: int = 64, marker: int = SOF) -> bytes:
    """Scans of a few bytes each, of which a decoder goes through the whole picture for each."""
    first = segment(SOS, bytes([3, 1, 0, 2, 0x11, 3, 0x11, 0, 0, 0])) + b"\0"
    if marker == PROGRESSIVE:
        rest = scan(1, 1, 63) * (scans - 1)
    else:
        first, rest = b"", b"".join(scan(n % 3 + 1) for n in range(scans))
    return SOI + tables() + frame(side_px, side_px, marker) + first + rest + EOI


def behind(start: bytes) -> bytes:
    """A good JPEG with more segments at its start."""
    return SOI + start + good()[2:]


def filler(marker: int, size: int) -> bytes:
    """Segments of one kind that are so many bytes long together (at least 4)."""
    whole, rest = divmod(size, 65_537)
    last = segment(marker, bytes(rest - 4)) if rest else b""
    return segment(marker, bytes(65_533)) * whole + last


def zeroed_middle() -> bytes:
    data = bytearray(good())
    start = data.index(b"\xff\xda") + 20
    middle = slice(start, len(data) - 20)
    data[middle] = bytes(len(data[middle]))
    return bytes(data)
