"""OpenCV as the worker uses it: the only place that imports cv2.

`OPENCV_IO_MAX_IMAGE_PIXELS` counts only if it is set before the import: without it a JPEG of
a few hundred bytes can make `imdecode` allot gigabytes. OpenCV's own threads are switched
off, since the worker's compute threads already fill the cores.
"""

import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roommood.shared.process.memory import keep_freed_memory
from roommood.shared.protocol.limits import MAX_PICTURE_PIXELS

os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MAX_PICTURE_PIXELS)

import cv2

__all__ = ["Picture", "cv2", "gray", "resize"]

cv2.setNumThreads(1)
keep_freed_memory()

# (H, W, 3) BGR or (H, W) gray, values 0..255.
Picture = NDArray[np.uint8]

# Bilinear sampling reads 2x2 pixels: it skips pixels below half size.
_BILINEAR_FROM: Final = 0.5


def gray(picture: Picture) -> Picture:
    """(H, W) gray of a BGR picture; a gray one is returned as it is."""
    if picture.ndim == 2:
        return picture
    converted: Picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)  # type: ignore[assignment]
    return converted


def resize(picture: Picture, width: int, height: int) -> Picture:
    """The picture at `width` x `height` pixels, averaged where it shrinks a lot."""
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = width < _BILINEAR_FROM * picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: Picture = cv2.resize(picture, (width, height), interpolation=how)  # type: ignore[assignment]
    return resized
