"""OpenCV: the only door to it, opened once its limit and its silence are set.

OpenCV reads `OPENCV_IO_MAX_IMAGE_PIXELS` once, when it is imported, so there is one limit for all:
that of the largest photograph that is taken. Who takes less judges a picture by its header first.
"""

import os
from typing import Final

import numpy as np
import numpy.typing as npt

from roommood.shared.errors import PictureDamaged
from roommood.shared.process.memory import keep_freed_memory

# A telephone's still of 64 megapixels; without a limit a few hundred bytes can cost gigabytes.
MAX_FILE_PIXELS: Final = 64_000_000
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MAX_FILE_PIXELS)
# Both would write to stderr what we raise as errors, addresses with passwords included.
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2  # noqa: E402 -- reads the variables above when it is loaded

# Its own threads would only fight with those that already fill the cores.
cv2.setNumThreads(1)
keep_freed_memory()

__all__ = ["MAX_FILE_PIXELS", "Frame", "Pixels", "cv2", "decode"]

# (H, W, 3) BGR or (H, W) gray, values 0..255.
Pixels = npt.NDArray[np.uint8]
# Whatever OpenCV gives for a frame: pixels, or a row of compressed bytes.
Frame = npt.NDArray[np.generic]


def decode(data: bytes, flags: int = cv2.IMREAD_COLOR) -> Pixels:
    """Pixels (H, W, 3) BGR of a compressed picture, or what `flags` ask for.

    Raises PictureDamaged.
    """
    if not data:
        raise PictureDamaged("a picture of 0 bytes")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise PictureDamaged(f"a picture of {len(data)} bytes: {error.err}") from error
    if pixels is None:
        raise PictureDamaged(f"a picture of {len(data)} bytes that does not decode")
    return pixels.astype(np.uint8, copy=False)
