"""The port: what is a picture, and how many damaged ones in a row end a source."""

import pytest

from roommood.camera_node.sources.picture import EndOfSource, Picture, read_past_damage
from roommood.shared.errors import NotAJpeg, PictureDamaged, SourceError


def test_a_picture_of_bytes_that_are_no_jpeg_is_refused() -> None:
    with pytest.raises(NotAJpeg):
        Picture.of_jpeg(b"\x89PNG....", 0.0)


def test_a_few_damaged_pictures_are_passed_over_but_not_ten() -> None:
    whole = Picture(1.0, 640, 480, jpeg=b"...")
    outcomes: list[Picture | None] = [None, None, whole]

    def read() -> Picture:
        outcome = outcomes.pop(0)
        if outcome is None:
            raise PictureDamaged("cut off")
        return outcome

    assert read_past_damage("webcam 0", read) is whole
    outcomes = [None] * 10
    with pytest.raises(SourceError, match="webcam 0 gives only damaged pictures: cut off"):
        read_past_damage("webcam 0", read)


def test_the_end_of_a_source_is_a_source_error() -> None:
    assert issubclass(EndOfSource, SourceError)
