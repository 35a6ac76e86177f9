"""Glances: noise, compression and a lamp change nothing; whoever comes in does."""

import numpy as np
import pytest

from roommood.inference_worker.vision.decode import decode
from roommood.inference_worker.vision.glance import glance_at
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.errors import NotAJpeg, PictureDamaged, PictureTooLarge
from roommood.shared.glance import glance_of, unchanged
from tests.inference_worker.rooms import encoded, person_in, room


def test_a_glance_is_the_luma_at_most_80_pixels_wide_and_upright() -> None:
    jpeg = encoded(room())
    assert glance_at(jpeg).shape == (60, 80)
    assert glance_at(jpeg, 90).shape == (80, 60)
    assert glance_at(encoded(room(1280, 720))).shape == (45, 80)
    assert glance_at(encoded(room(64, 48))).shape == (6, 8)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("size", [(640, 480), (320, 240), (1280, 720), (1921, 1079)])
def test_a_glance_of_the_decoded_picture_is_that_of_its_bytes(
    size: tuple[int, int], rotation: int
) -> None:
    jpeg = encoded(room(*size))
    for as_gray in (True, False):
        decoded = glance_of(decode(jpeg, rotation, as_gray=as_gray))
        assert unchanged(decoded, glance_at(jpeg, rotation))


@pytest.mark.parametrize("noise", [0.0, 3.0, 8.0])
def test_a_still_room_is_unchanged_under_a_cameras_noise(noise: float) -> None:
    before = glance_at(encoded(room(noise=noise, seed=1)))
    for seed in range(2, 30):
        assert unchanged(before, glance_at(encoded(room(noise=noise, seed=seed))))


def test_a_light_that_becomes_a_little_brighter_is_no_change() -> None:
    assert unchanged(glance_of(room()), glance_of(room() + np.uint8(5)))


@pytest.mark.parametrize("height_px", [60, 120, 240])
def test_somebody_who_comes_in_is_a_change(height_px: int) -> None:
    before = glance_at(encoded(room(noise=3.0, seed=1)))
    for x in range(0, 600, 50):
        now = person_in(room(noise=3.0, seed=2), x, height_px)
        assert not unchanged(before, glance_at(encoded(now)))


def test_another_size_of_picture_is_a_change() -> None:
    assert not unchanged(glance_of(room()), glance_of(room(480, 640)))


@pytest.mark.parametrize(
    ("jpeg", "error"),
    [
        (b"no picture", NotAJpeg),
        (encoded(room())[:9_000], PictureDamaged),
        (encoded(room(16, 16)).replace(b"\0\x10\0\x10", b"\xff" * 4), PictureTooLarge),
    ],
)
def test_what_is_no_whole_picture_is_refused_as_by_the_decoder(
    jpeg: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        glance_at(jpeg)


def test_a_person_of_the_rooms_own_shade_is_what_a_glance_cannot_tell() -> None:
    """Why a full look comes after two seconds, whatever glances say."""
    picture: Picture = room()
    assert unchanged(glance_of(picture), glance_of(picture + np.uint8(2)))
