"""Pictures of a folder that somebody made."""

from pathlib import Path

from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.errors import PictureError
from roommood.shared.opencv import decode


def read_picture(path: Path, flags: int) -> Picture:
    """Pixels as OpenCV's `flags` ask for. Raises PictureError, which names the file."""
    try:
        return decode(path.read_bytes(), flags)
    except OSError as error:
        raise PictureError(f"{path}: cannot be read: {error.strerror}") from error
    except PictureError as error:
        raise PictureError(f"{path}: not a readable picture: {error}") from error
