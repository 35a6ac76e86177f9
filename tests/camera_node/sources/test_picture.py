"""The port: what is a picture, and how many damaged ones in a row end a source."""

import pytest

from roommood.camera_node.sources.picture import EndOfSource, Grabbed, Picture, Source
from roommood.shared.errors import NotAJpeg, PictureDamaged, SourceError


def test_a_picture_of_bytes_that_are_no_jpeg_is_refused() -> None:
    with pytest.raises(NotAJpeg):
        Picture.of_jpeg(b"\x89PNG....", 0.0)


class Scripted(Source):
    """Gives its pictures; None is a damaged one."""

    def __init__(self, *pictures: Picture | None) -> None:
        self.description, self.width, self.height, self.rate_hz = "webcam 0", 640, 480, 25.0
        self.pictures = [*pictures]

    def open(self) -> None:
        """It is open."""

    def close(self) -> None:
        """There is nothing to let go."""

    def interrupt(self) -> None:
        """It never waits."""

    def grab(self) -> Grabbed:
        return Grabbed(1.0)

    def retrieve(self) -> Picture:
        picture = self.pictures.pop(0)
        if picture is None:
            raise PictureDamaged("cut off")
        return picture


def test_a_few_damaged_pictures_are_passed_over_but_not_ten() -> None:
    whole = Picture(1.0, 640, 480, jpeg=b"...")
    assert Scripted(None, None, whole).read() is whole
    with pytest.raises(SourceError, match="webcam 0 gives only damaged pictures: cut off"):
        Scripted(*[None] * 10).read()


def test_the_end_of_a_source_is_a_source_error() -> None:
    assert issubclass(EndOfSource, SourceError)
