"""A small luma picture of a scene: cheap enough to ask at each look if anything has changed."""

from typing import Final

import numpy as np

from roommood.inference_worker.vision.decode import decode_eighth
from roommood.inference_worker.vision.opencv import Picture, gray, resize

# Pixels of the longer side: the detector's input of 640 px has 8 of its own in each, so that the
# smallest face which it finds covers four.
_SIDE_PX: Final = 80
_EIGHTH: Final = 8
# Grey levels by which a pixel differs that shows something else. Noise of 12 grey levels in a
# camera's pixels is 1.5 in these.
_OTHER: Final = 6
# Such pixels that make a change: noise and compression make one now and then.
_FEWEST: Final = 3


def glance_at(jpeg: bytes, rotation: int = 0) -> Picture:
    """The (H, W) luma of a JPEG, upright: an eighth of its size, but at most 80 pixels a side.

    Raises PictureError as `decode` does.
    """
    eighth = decode_eighth(jpeg, rotation)
    return _at_most(eighth, *eighth.shape)


def glance_of(picture: Picture) -> Picture:
    """The same of an upright picture, (H, W, 3) BGR or (H, W) gray."""
    height, width = picture.shape[:2]
    return _at_most(gray(picture), -(-height // _EIGHTH), -(-width // _EIGHTH))


def _at_most(luma: Picture, height: int, width: int) -> Picture:
    scale = min(1.0, _SIDE_PX / max(height, width))
    return resize(luma, max(1, round(width * scale)), max(1, round(height * scale)))


def unchanged(before: Picture, now: Picture) -> bool:
    """Whether two glances show the same, but for light that became a little brighter or darker."""
    if before.shape != now.shape:
        return False
    difference = now.astype(np.int16) - before
    difference -= np.int16(difference.mean())
    return int(np.count_nonzero(np.abs(difference) > _OTHER)) < _FEWEST
