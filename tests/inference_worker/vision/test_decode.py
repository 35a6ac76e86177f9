"""JPEG bytes to upright pictures: what is taken, and what is refused with which error."""

import io
import random
import struct

import numpy as np
import pytest
from PIL import Image

from roommood.inference_worker.vision.decode import decode
from roommood.inference_worker.vision.opencv import cv2
from roommood.shared.errors import NotAJpeg, PictureDamaged, PictureTooLarge
from roommood.shared.protocol.limits import MAX_JPEG_BYTES, MAX_JPEG_SCANS
from tests.inference_worker.pictures import astronaut, jpeg, plain

WHOLE = jpeg(astronaut())


def claiming(width: int, height: int) -> bytes:
    """A small real JPEG whose frame marker lies about its size."""
    data = bytearray(jpeg(plain(32, 32)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def test_a_jpeg_becomes_bgr_pixels_of_the_claimed_size() -> None:
    picture = decode(WHOLE)
    assert picture.shape == (512, 512, 3)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - astronaut()).mean() < 4


def test_rotation_is_in_degrees_clockwise() -> None:
    picture = plain(64, 32)
    picture[:16, :16] = 255  # the corner at the top left
    upright = {turn: decode(jpeg(picture), turn) for turn in (0, 90, 180, 270)}
    assert [upright[turn].shape[:2] for turn in (0, 90, 180, 270)] == [
        (32, 64), (64, 32), (32, 64), (64, 32),
    ]  # fmt: skip
    corners = {0: (8, 8), 90: (8, 24), 180: (24, 56), 270: (56, 8)}
    assert all(upright[turn][at].min() > 240 for turn, at in corners.items())


def test_another_rotation_is_an_error_not_a_guess() -> None:
    with pytest.raises(ValueError, match="rotation 45"):
        decode(WHOLE, 45)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_gray_and_cmyk_jpegs_become_bgr(mode: str) -> None:
    file = io.BytesIO()
    Image.fromarray(astronaut()[..., ::-1]).convert(mode).save(file, "JPEG")
    assert decode(file.getvalue()).shape == (512, 512, 3)


def test_a_progressive_jpeg_is_decoded() -> None:
    assert decode(jpeg(astronaut(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)).shape == (512, 512, 3)


def test_exif_orientation_is_ignored_because_the_header_says_the_rotation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (64, 32)).save(file, "JPEG", exif=exif)
    assert decode(file.getvalue()).shape == (32, 64, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        random.Random(1).randbytes(5000),
        cv2.imencode(".png", astronaut())[1].tobytes(),
    ],
    ids=["empty", "random", "png"],
)
def test_what_is_no_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(NotAJpeg):
        decode(data)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.999])
def test_a_truncated_jpeg_is_refused_although_opencv_would_fill_it_with_gray(kept: float) -> None:
    with pytest.raises(PictureDamaged):
        decode(WHOLE[: int(len(WHOLE) * kept)])


def test_the_end_of_an_embedded_thumbnail_is_not_the_end_of_the_picture() -> None:
    thumbnail = jpeg(plain(32, 32))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = WHOLE[:2] + segment + WHOLE[2:]
    assert decode(whole).shape == (512, 512, 3)
    with pytest.raises(PictureDamaged, match="cut off"):
        decode(whole[: len(whole) // 2])


@pytest.mark.parametrize("tail", [bytes(100_000), b"junk", WHOLE[:3000]])
def test_what_follows_the_end_is_passed_over(tail: bytes) -> None:
    assert np.array_equal(decode(WHOLE + tail), decode(WHOLE))


def test_the_end_of_another_picture_is_not_the_end_of_this_one() -> None:
    with pytest.raises(PictureDamaged, match="cut off"):
        decode(WHOLE[:-40] + WHOLE)


def test_a_claim_of_gigabytes_is_refused_before_decoding() -> None:
    with pytest.raises(PictureTooLarge, match="65535x65535"):
        decode(claiming(65535, 65535))


def test_random_bytes_behind_a_jpeg_start_are_damaged() -> None:
    data = b"\xff\xd8\xff\xe0" + random.Random(2).randbytes(3000) + b"\xff\xd9"
    with pytest.raises((PictureDamaged, NotAJpeg, PictureTooLarge)):
        decode(data)


def test_a_jpeg_without_its_tables_is_damaged() -> None:
    frame = WHOLE[WHOLE.index(b"\xff\xc0") :]
    with pytest.raises(PictureDamaged, match="does not decode"):
        decode(WHOLE[:2] + frame[:19] + b"\xff\xda\x00\x0c" + bytes(64) + b"\xff\xd9")


def test_flipped_bytes_never_raise_anything_but_picture_errors() -> None:
    dice = random.Random(3)
    for _ in range(100):
        data = bytearray(jpeg(plain(64, 64, 90)))
        for _ in range(dice.randrange(1, 8)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            picture = decode(bytes(data))
        except (NotAJpeg, PictureDamaged, PictureTooLarge):
            continue
        assert picture.ndim == 3


def test_what_follows_the_only_scan_of_a_plain_jpeg_is_not_decoded() -> None:
    scan = WHOLE[WHOLE.index(b"\xff\xda") : -2]
    many = WHOLE[:-2] + scan * 2 * MAX_JPEG_SCANS + WHOLE[-2:]
    assert len(many) < MAX_JPEG_BYTES
    assert np.array_equal(decode(many), decode(WHOLE))
