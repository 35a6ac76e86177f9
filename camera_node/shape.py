"""Whether masks still cover what they covered."""

from typing import Final

from roommood.camera_node.sources.picture import Picture
from roommood.shared.errors import SourceError

# Part of its width by which a picture may differ from the shape of the first: sides are rounded
# to whole blocks by some encoders.
_ROUNDED: Final = 0.03


class MaskedShape:
    """Holds a masked camera to the relation of sides that its first picture had.

    Masks are fractions of the picture. A camera that goes from 4:3 to 16:9, or from upright to
    lying, cuts its picture out of the room anew, and what was masked lies beside the masks.
    """

    def __init__(self, *, is_masked: bool) -> None:
        self._is_masked = is_masked
        self._first = (0, 0)

    def checked(self, picture: Picture) -> Picture:
        """The picture. Raises SourceError where its shape is another one."""
        if not self._is_masked:
            return picture
        width, height = self._first = self._first if any(self._first) else _size_of(picture)
        if abs(picture.width * height - picture.height * width) > _ROUNDED * picture.width * height:
            raise SourceError(
                f"its picture is {picture.width}x{picture.height} now and was {width}x{height}: "
                "the masks would cover something else, so none is sent; set the camera back, or "
                "draw the masks anew (camera preview) and restart"
            )
        return picture


def _size_of(picture: Picture) -> tuple[int, int]:
    return picture.width, picture.height
