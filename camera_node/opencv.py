"""The one place where the camera node imports cv2, after its limits and its silence are set."""

import os
from typing import Final

import numpy as np
import numpy.typing as npt

from roommood.camera_node.sources.source import Picture
from roommood.shared.errors import PictureDamaged, SourceError
from roommood.shared.process.memory import keep_freed_memory

# Pixels of a file that the camera node may decode itself: photographs of telephones are
# larger than what goes over the wire, and are shrunk here. OpenCV reads it once, on import.
MAX_FILE_PIXELS: Final = 64_000_000
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MAX_FILE_PIXELS)
# Both would write to stderr what we raise as errors, addresses with passwords included.
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2  # noqa: E402 -- reads the variables above when it is loaded

cv2.setNumThreads(1)
keep_freed_memory()

__all__ = ["MAX_FILE_PIXELS", "Frame", "Pixels", "cv2", "decode", "picture_of", "retrieve"]

Pixels = npt.NDArray[np.uint8]
Frame = npt.NDArray[np.generic]


def decode(data: bytes, flags: int = cv2.IMREAD_COLOR) -> Pixels:
    """Pixels (H, W, 3) BGR of a compressed picture. Raises PictureDamaged."""
    if not data:
        raise PictureDamaged("a picture of 0 bytes")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise PictureDamaged(f"a picture of {len(data)} bytes: {error.err}") from error
    if pixels is None:
        raise PictureDamaged(f"a picture of {len(data)} bytes that does not decode")
    return pixels.astype(np.uint8, copy=False)


def retrieve(capture: cv2.VideoCapture, description: str, gone: str) -> Frame:
    """What the camera gave for the frame grabbed last: pixels, or a JPEG's bytes; never empty.

    Raises PictureDamaged for an empty buffer, as many cameras hand out at their start (OpenCV says
    True then, and gives None), and SourceError "`description` `gone`" where there is no frame.
    """
    try:
        has_frame, frame = capture.retrieve()
    except cv2.error as error:
        raise PictureDamaged(f"OpenCV cannot convert it: {error.err}") from error
    if not has_frame:
        raise SourceError(f"{description} {gone}")
    if not isinstance(frame, np.ndarray) or not frame.size:
        raise PictureDamaged("an empty buffer")
    return frame


def picture_of(frame: Frame, description: str, captured_ms: float) -> Picture:
    """OpenCV's decoded frame as a picture. Raises SourceError if it is not (H, W, 3) uint8."""
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise SourceError(f"{description} gives {frame.shape} {frame.dtype}, not BGR pixels")
    return Picture.of_pixels(frame.astype(np.uint8, copy=False), captured_ms)
