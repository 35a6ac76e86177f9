"""What a program gives to be analysed: paths, pixels, or the bytes of a picture file.

Nearly all that other libraries take can be given by mistake; each is refused with what to do.
"""

import re
from os import PathLike, fspath
from pathlib import Path
from typing import Final

import numpy as np

from roommood.camera_node.sources.picture import Picture
from roommood.camera_node.sources.pictures import decoded, read_bytes
from roommood.shared.clock import boot_ms
from roommood.shared.errors import PictureError, SourceError
from roommood.shared.opencv import Pixels
from roommood.shared.protocol.jpeg import is_jpeg
from roommood.shared.protocol.limits import MAX_FILE_PIXELS
from roommood.shared.security.secret_urls import shown

# One slash where pathlib has been at it.
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+:/|data:", re.IGNORECASE)
_LONGEST_PATH: Final = 4_096
_TO_UINT8: Final = "(picture * 255).round().astype('uint8') where they are 0..1"
_TO_COLOUR: Final = (
    "cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR), or COLOR_RGBA2BGR where red comes first"
)


def path_of(given: object) -> Path:
    """Raises TypeError for what is no path, SourceError for an address."""
    if not isinstance(given, str | PathLike):
        raise TypeError(
            f"{type(given).__name__} given: give the path of a file; the pixels or bytes of a "
            "picture go to analyse_picture"
        )
    refuse_address(fspath(given))
    return Path(given)


def refuse_address(name: str) -> None:
    """Raises SourceError."""
    if name.lower().startswith("data:"):
        raise SourceError("a data: address: give base64.b64decode of what follows its comma")
    if len(name) > _LONGEST_PATH:
        raise SourceError(
            f"a text of {len(name)} characters is no path: of base64 give base64.b64decode(text)"
        )
    if match := _ADDRESS.match(name):
        address = f"{match.group()}/{name[match.end() :].lstrip('/')}"
        raise SourceError(
            f"{shown(address)} is an address, and files are taken here: fetch the file first; "
            "a stream is watched by camera-node --source"
        )


def picture_of(given: object) -> Picture:
    """Pixels (H, W, 3) BGR or (H, W), uint8; the bytes of a picture file; or its path.

    Raises PictureError, SourceError for an address, OSError, and TypeError for all else.
    """
    if isinstance(given, np.ndarray):
        return Picture.of_pixels(_pixels_of(given), boot_ms())
    if isinstance(given, bytes | bytearray | memoryview):
        return _decoded(bytes(given))
    if isinstance(given, str | PathLike):
        return _decoded(read_bytes(path_of(given)))
    raise TypeError(f"{type(given).__name__} given: {_instead_of(given)}")


def _decoded(data: bytes) -> Picture:
    if is_jpeg(data):
        return Picture.of_jpeg(data, boot_ms())
    return Picture.of_pixels(decoded(data, MAX_FILE_PIXELS), boot_ms())


def _instead_of(given: object) -> str:
    if given is None:
        return "cv2.imread gives that for a file that is not there, or that it cannot read"
    if hasattr(given, "convert"):
        return "of a PIL image give numpy.asarray(image.convert('RGB'))[..., ::-1]"
    return "give pixels as OpenCV does (numpy, uint8), the bytes of a picture file, or its path"


def _pixels_of(array: np.ndarray) -> Pixels:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if todo := _todo(array):
        raise PictureError(f"pixels of shape {array.shape}, {array.dtype}: {todo}")
    height, width = array.shape[:2]
    if height * width > MAX_FILE_PIXELS:
        raise PictureError(f"{width}x{height} pixels: make it smaller, {MAX_FILE_PIXELS} at most")
    return array


def _todo(array: np.ndarray) -> str:
    """What to do where these are not the pixels of one picture; "" where they are."""
    shape = array.shape
    if not array.size:
        return "it is empty, as a slice from beyond the edge is"
    if array.ndim == 4:
        return "give one picture at a time"
    if array.ndim not in (2, 3):
        return "give (height, width, 3) BGR or (height, width) grey"
    if array.ndim == 3 and shape[2] == 4:
        return f"without its fourth channel: {_TO_COLOUR}"
    if array.ndim == 3 and shape[2] != 3:
        turned = shape[0] in (1, 3)
        return "transpose(1, 2, 0) puts colours last" if turned else "give 3 channels, BGR, or none"
    if array.dtype != np.uint8:
        return f"give whole numbers 0..255 as uint8: {_TO_UINT8}"
    return ""
