"""The glance at a JPEG, which is decoded to an eighth of its size for it."""

from roommood.inference_worker.vision.decode import decode_eighth
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.glance import glance_of_eighth


def glance_at(jpeg: bytes, rotation: int = 0) -> Picture:
    """The (H, W) luma of a JPEG, upright: an eighth of its size, but at most 80 pixels a side.

    Raises PictureError as `decode` does.
    """
    return glance_of_eighth(decode_eighth(jpeg, rotation))
