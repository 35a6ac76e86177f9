"""A clock burnt into pictures: the monotonic milliseconds in 20 squares along their top."""

import time
from typing import Final

import numpy as np

from roommood.camera_node.sources.picture import Picture
from roommood.shared.clock import boot_ms
from roommood.shared.opencv import Pixels, decode

BITS: Final = 20


def drawn(width: int, height: int) -> Pixels:
    """A grey picture (height, width, 3) with the clock of now."""
    now_ms, side = int(time.monotonic() * 1000), width // BITS
    picture = np.full((height, width, 3), 80, np.uint8)
    for bit in range(BITS):
        picture[:side, bit * side : (bit + 1) * side] = 255 if now_ms >> bit & 1 else 0
    return picture


def drawn_ms(picture: Picture) -> float:
    """When it was drawn by the clock in it, as `boot_ms` counts."""
    pixels = picture.pixels if picture.pixels is not None else decode(picture.jpeg or b"")
    side = pixels.shape[1] // BITS
    row = pixels[side // 2, side // 2 :: side][:BITS].reshape(BITS, -1).mean(axis=1) > 128
    shown = sum(1 << bit for bit in range(BITS) if row[bit])
    ago = (int(time.monotonic() * 1000) - shown) % (1 << BITS)
    return boot_ms() - ago
