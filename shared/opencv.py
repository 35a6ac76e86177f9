"""OpenCV: the only door to it, opened once its limit and its silence are set.

OpenCV reads `OPENCV_IO_MAX_IMAGE_PIXELS` once, when it is imported, so there is one limit for all:
that of the largest photograph that is taken. Who takes less judges a picture by its header first.
"""

import os
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from roommood.shared.errors import PictureDamaged, PictureTooLarge, SourceError
from roommood.shared.process.memory import keep_freed_memory
from roommood.shared.protocol.jpeg import is_jpeg, read_header
from roommood.shared.protocol.limits import MAX_FILE_BYTES, MAX_FILE_PIXELS

# Without a limit a few hundred bytes can cost gigabytes.
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MAX_FILE_PIXELS)
# It would write to stderr what we raise as errors, addresses with passwords included: so nobody who
# asks for that in the environment is heard.
os.environ["OPENCV_LOG_LEVEL"] = "FATAL"
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
os.environ["OPENCV_VIDEOIO_DEBUG"] = os.environ["OPENCV_VIDEOCAPTURE_DEBUG"] = "0"

import cv2

# Its own threads would only fight with those that already fill the cores.
cv2.setNumThreads(1)
keep_freed_memory()

__all__ = ["Frame", "Pixels", "cv2", "decode", "decode_within", "file_name", "reduced"]

# (H, W, 3) BGR or (H, W) gray, values 0..255.
Pixels = npt.NDArray[np.uint8]
# Whatever OpenCV gives for a frame: pixels, or a row of compressed bytes.
Frame = npt.NDArray[np.generic]

# A JPEG is decoded to 1, 1/2, 1/4 or 1/8 of its sides at a fraction of the cost.
_REDUCED: Final = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

# What OpenCV does not read, whatever it is named, by the brand of ISO/IEC 14496-12.
_UNREAD: Final = "damaged, or of a kind that OpenCV does not read (convert it to .jpg)"
_HEIC: Final = "it is HEIC, whatever its name: convert it (heif-convert FILE.heic FILE.jpg)"
_HEIF: Final = dict.fromkeys((b"heic", b"heix", b"heim", b"mif1", b"hevc"), _HEIC)


def decode(data: bytes, flags: int = cv2.IMREAD_COLOR) -> Pixels:
    """Pixels (H, W, 3) BGR of a compressed picture, or what `flags` ask for.

    Raises PictureDamaged.
    """
    if not data:
        raise PictureDamaged("a picture of 0 bytes")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in error.err:
            raise PictureTooLarge(f"more than {MAX_FILE_PIXELS} pixels: make it smaller") from error
        raise PictureDamaged(f"a picture of {len(data)} bytes: {error.err}") from error
    if pixels is None:
        kind = _HEIF.get(data[8:12], _UNREAD) if data[4:8] == b"ftyp" else _UNREAD
        raise PictureDamaged(f"a picture of {len(data)} bytes that does not decode: {kind}")
    return pixels.astype(np.uint8, copy=False)


def file_name(path: Path | str, shown: str = "") -> str:
    """A file's, device's or stream's name as OpenCV takes it: it crashes at one that is no UTF-8.

    Raises SourceError, which names it as `shown`.
    """
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        readable = ascii(shown or name)[1:-1]
        raise SourceError(f"{readable}: this name is not UTF-8: rename it") from error
    return name


def reduced(factor: float) -> int:
    """OpenCV's flags to decode a JPEG in colour no smaller than `factor` (up to 1) of its sides."""
    return _REDUCED[max((n for n in _REDUCED if n * factor <= 1), default=1)]


def decode_within(data: bytes, most_pixels: int) -> Pixels:
    """Upright BGR pixels of a picture of any kind, halved until they are `most_pixels` at most.

    Raises PictureError.
    """
    flags = cv2.IMREAD_COLOR
    if is_jpeg(data):
        header = read_header(data, most_bytes=MAX_FILE_BYTES, most_pixels=MAX_FILE_PIXELS)
        flags = reduced(min(1.0, (most_pixels / (header.width * header.height)) ** 0.5))
    pixels = decode(data, flags)
    while pixels.shape[0] * pixels.shape[1] > most_pixels:
        halved = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        pixels = halved.astype(np.uint8, copy=False)
    return pixels
