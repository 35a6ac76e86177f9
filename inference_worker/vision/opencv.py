"""Pictures as the worker computes with them, and the two things that all of it does to one."""

from typing import Final

from roommood.shared.opencv import Pixels as Picture
from roommood.shared.opencv import cv2

__all__ = ["Picture", "cv2", "gray", "resize"]

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
