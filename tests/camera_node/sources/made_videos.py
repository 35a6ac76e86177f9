"""Video files as they come from elsewhere, written by OpenCV or byte by byte."""

import struct
from collections.abc import Iterable
from pathlib import Path

from roommood.shared.opencv import Pixels, cv2


def written(path: Path, codec: str, pictures: Iterable[Pixels], rate_hz: float = 25.0) -> Path:
    """The pictures, all of one size, through one of FFmpeg's encoders."""
    writer = None
    for picture in pictures:
        if writer is None:
            size = (picture.shape[1], picture.shape[0])
            fourcc = cv2.VideoWriter.fourcc(*codec)
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, rate_hz, size)
            assert writer.isOpened()
        writer.write(picture)
    assert writer is not None
    writer.release()
    return path


def zero_frames(avi: Path, *numbers: int) -> None:
    """These frames of an AVI, by their number, are zeros from now on."""
    data = bytearray(avi.read_bytes())
    at = data.index(b"movi")
    for number in range(max(numbers) + 1):
        at = data.index(b"00dc", at + 1)
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if number in numbers:
            data[at + 8 : at + 8 + length] = bytes(length)
    avi.write_bytes(data)


def matroska(path: Path, jpeg: bytes, times_ms: Iterable[int], duration_ms: float) -> Path:
    """One JPEG at each of these times (RFC 9559)."""
    info = element("2AD7B1", uint(1_000_000)) + element("4489", struct.pack(">d", duration_ms))
    video = element("B0", uint(512)) + element("BA", uint(512))
    track = element("D7", uint(1)) + element("73C5", uint(1)) + element("83", uint(1))
    track += element("86", b"V_MJPEG") + element("E0", video)
    clusters = b"".join(
        element("1F43B675", element("E7", uint(at_ms)) + element("A3", b"\x81\0\0\x80" + jpeg))
        for at_ms in times_ms
    )
    tracks = element("1654AE6B", element("AE", track))
    segment = element("18538067", element("1549A966", info) + tracks + clusters)
    path.write_bytes(element("1A45DFA3", element("4282", b"matroska")) + segment)
    return path


def element(identifier: str, content: bytes) -> bytes:
    return bytes.fromhex(identifier) + struct.pack(">Q", len(content) | 1 << 56) + content


def uint(number: int) -> bytes:
    return struct.pack(">Q", number)
