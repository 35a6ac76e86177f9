"""JPEG bytes from a camera to an upright picture, refusing what is not whole."""

from typing import Final

import numpy as np

from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.errors import PictureDamaged
from roommood.shared.protocol.jpeg import JpegHeader, read_header
from roommood.shared.protocol.jpeg_end import whole

# EXIF orientation is ignored: a camera says its rotation in the frame's header.
_COLOUR: Final = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_GRAY: Final = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
_EIGHTH: Final = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION
_TURNS: Final = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def decode(jpeg: bytes, rotation: int = 0, *, as_gray: bool = False) -> Picture:
    """The upright picture, (H, W, 3) uint8 BGR or (H, W) gray, of one JPEG.

    Gray is the JPEG's own luma: its colours are not even decoded, which halves the cost.

    `rotation` is 0, 90, 180 or 270: the degrees clockwise by which the picture must be turned
    to stand upright. Size and kind are judged from the header before any memory is allotted.
    Wrong bytes amid the picture's data show as wrong pixels: no decoder reports them.

    Raises:
        NotAJpeg, PictureTooLarge: as `shared.protocol.jpeg.read_header` says.
        PictureDamaged: it does not decode, or was cut off (its markers lead to no end of the
            image), which decoders would fill with gray. What follows its end is passed over.
        ValueError: another rotation.
    """
    header = read_header(jpeg)
    size = (header.height, header.width)
    if as_gray:
        return _upright(_pixels(whole(jpeg), header, _GRAY, size), rotation)
    return _upright(_pixels(whole(jpeg), header, _COLOUR, (*size, 3)), rotation)


def decode_eighth(jpeg: bytes, rotation: int = 0) -> Picture:
    """The upright luma of a JPEG at an eighth of its width and height, (H, W): the mean of each of
    the blocks that it is made of, for half of the cost. Raises as `decode` does."""
    header = read_header(jpeg)
    size = (-(-header.height // 8), -(-header.width // 8))
    return _upright(_pixels(whole(jpeg), header, _EIGHTH, size), rotation)


def _pixels(jpeg: bytes, header: JpegHeader, how: int, shape: tuple[int, ...]) -> Picture:
    claim = f"a JPEG of {len(jpeg)} bytes that claims {header.width}x{header.height} pixels"
    try:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), how)
    except (cv2.error, MemoryError) as error:
        raise PictureDamaged(f"{claim} does not decode: {error}") from error
    if picture is None or picture.shape != shape:
        raise PictureDamaged(f"{claim} does not decode")
    return picture  # type: ignore[return-value]


def _upright(picture: Picture, rotation: int) -> Picture:
    if rotation == 0:
        return picture
    if rotation not in _TURNS:
        raise ValueError(f"rotation {rotation}: only 0, 90, 180 and 270 are known")
    return cv2.rotate(picture, _TURNS[rotation])  # type: ignore[return-value]
