"""One rule says where a JPEG ends, and so which is whole."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roommood.shared.errors import PictureDamaged, PictureError
from roommood.shared.protocol.jpeg_end import find_end, whole

NOISE = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
THUMBNAIL = cv2.imencode(".jpg", NOISE[:16, :16])[1].tobytes()


def encoded(*options: int) -> bytes:
    return cv2.imencode(".jpg", NOISE, options)[1].tobytes()


def with_thumbnail(jpeg: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xe1" + (len(THUMBNAIL) + 2).to_bytes(2, "big") + THUMBNAIL + jpeg[2:]


KINDS = {
    "baseline": encoded(),
    "progressive": encoded(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": encoded(cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "thumbnail": with_thumbnail(encoded()),
    "filled": encoded().replace(b"\xff\xda", b"\xff\xff\xff\xda"),
}
EACH = pytest.mark.parametrize("jpeg", KINDS.values(), ids=KINDS.keys())


@EACH
@pytest.mark.parametrize("tail", [b"", bytes(5000), b"\xff\xd9", b"mp4 ", THUMBNAIL])
def test_what_follows_the_end_is_cut_off(jpeg: bytes, tail: bytes) -> None:
    assert whole(jpeg + tail) == jpeg
    assert find_end(b"--frame" + jpeg + tail, 7) == 7 + len(jpeg)


@EACH
def test_no_part_of_a_picture_is_whole(jpeg: bytes) -> None:
    for kept in range(2, len(jpeg), 7):
        assert find_end(jpeg[:kept]) == -1
        with pytest.raises(PictureDamaged, match="cut off"):
            whole(jpeg[:kept])


@EACH
def test_a_picture_that_another_one_interrupts_is_cut_off(jpeg: bytes) -> None:
    with pytest.raises(PictureDamaged, match="cut off"):
        whole(jpeg[:-40] + jpeg)


def test_zeros_instead_of_the_rest_are_no_end() -> None:
    jpeg = encoded()
    with pytest.raises(PictureDamaged):
        whole(jpeg[: len(jpeg) // 2] + bytes(len(jpeg)))


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_picture_errors(data: bytes) -> None:
    for start in (b"", b"\xff\xd8", b"\xff\xd8\xff\xda"):
        try:
            end = find_end(start + data)
        except PictureError:
            continue
        assert end == -1 or 4 <= end <= len(start + data)
