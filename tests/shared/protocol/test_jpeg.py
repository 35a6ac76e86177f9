"""A JPEG is judged by its markers before any decoder allots memory for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roommood.shared.errors import NotAJpeg, PictureDamaged, PictureError, PictureTooLarge
from roommood.shared.protocol.jpeg import JpegHeader, is_jpeg, read_header
from roommood.shared.protocol.limits import (
    MAX_JPEG_BYTES,
    MAX_JPEG_HEADER_BYTES,
    MAX_JPEG_SCANS,
    MAX_PICTURE_PIXELS,
    MIN_PICTURE_SIDE_PX,
)

SOI, EOI, SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def frame(width: int, height: int, components: int = 3, marker: int = 0xC0) -> bytes:
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return segment(marker, b"\x08" + size + bytes([components]) + bytes(3 * components))


JFIF = segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")
TABLES = segment(0xDB, bytes(65)) + segment(0xC4, bytes(28))
PLAIN = SOI + JFIF + TABLES + frame(640, 480) + SCAN + b"data" + EOI
HEADER_END = PLAIN.index(SCAN)


def test_the_claimed_size_is_read_without_decoding() -> None:
    assert read_header(PLAIN) == JpegHeader(640, 480, 3, progressive=False)


@pytest.mark.parametrize("components", [1, 3, 4])
def test_gray_colour_and_cmyk_are_taken(components: int) -> None:
    assert read_header(SOI + frame(64, 48, components) + SCAN).components == components


@pytest.mark.parametrize("components", [0, 2, 5, 255])
def test_other_numbers_of_components_are_refused(components: int) -> None:
    with pytest.raises(PictureDamaged, match="components"):
        read_header(SOI + frame(64, 48, components) + SCAN)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"\xff\xd8", b"\x89PNG\r\n\x1a\n" + bytes(50), b"GIF89a", b"RIFF", b"\0" * 9],
)
def test_what_is_no_jpeg_is_said_to_be_none(data: bytes) -> None:
    assert not is_jpeg(data)
    with pytest.raises(NotAJpeg, match="not a JPEG"):
        read_header(data)


@pytest.mark.parametrize("end", range(HEADER_END))
def test_a_jpeg_that_ends_within_its_header_is_refused(end: int) -> None:
    size_known_at = PLAIN.index(b"\xff\xc0") + 10
    if end >= size_known_at:
        assert read_header(PLAIN[:end]).width == 640
        return
    with pytest.raises(PictureError):
        read_header(PLAIN[:end])


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF])
def test_lossless_hierarchical_and_arithmetic_jpegs_are_refused(marker: int) -> None:
    with pytest.raises(NotAJpeg, match=f"SOF{marker - 0xC0};"):
        read_header(SOI + frame(64, 48, marker=marker) + SCAN)


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC])
def test_tables_within_the_range_of_the_frame_markers_are_no_frame(marker: int) -> None:
    data = SOI + segment(marker, b"\x08\xff\xff\xff\xff\x03") + frame(64, 48) + SCAN
    assert read_header(data).width == 64


# Size


@pytest.mark.parametrize(("width", "height"), [(65_535, 65_535), (65_535, 127), (3841, 2160)])
def test_a_claim_of_too_many_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(PictureTooLarge, match=f"{width}x{height}"):
        read_header(SOI + frame(width, height) + SCAN)


def test_as_many_pixels_as_allowed_are_taken() -> None:
    assert MAX_PICTURE_PIXELS == 3840 * 2160
    for width, height in [(3840, 2160), (2160, 3840), (3840, 2159)]:
        assert read_header(SOI + frame(width, height) + SCAN).width == width


def test_a_side_has_a_least_length() -> None:
    side = MIN_PICTURE_SIDE_PX
    for good in (side, side + 1):
        assert read_header(SOI + frame(good, side) + SCAN).width == good
    for width, height in [(side - 1, 64), (64, side - 1), (0, 0), (64, 0)]:
        with pytest.raises(PictureDamaged, match=f"{width}x{height}"):
            read_header(SOI + frame(width, height) + SCAN)


@pytest.mark.parametrize("more", [-1, 0])
def test_as_many_bytes_as_allowed_are_taken(more: int) -> None:
    assert read_header(PLAIN + bytes(MAX_JPEG_BYTES - len(PLAIN) + more)).width == 640


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(PictureTooLarge, match=f"at most {MAX_JPEG_BYTES}"):
        read_header(PLAIN + bytes(MAX_JPEG_BYTES - len(PLAIN) + 1))


# Scans


def progressive(scans: int) -> bytes:
    return SOI + frame(640, 480, marker=0xC2) + SCAN * scans + EOI


def test_a_progressive_jpeg_is_told_as_one() -> None:
    assert read_header(progressive(10)).progressive


@pytest.mark.parametrize("scans", [MAX_JPEG_SCANS - 1, MAX_JPEG_SCANS])
def test_as_many_scans_as_allowed_are_taken(scans: int) -> None:
    assert read_header(progressive(scans)).progressive


@pytest.mark.parametrize("scans", [MAX_JPEG_SCANS + 1, 500])
def test_a_progressive_jpeg_of_hundreds_of_scans_is_refused(scans: int) -> None:
    with pytest.raises(PictureTooLarge, match="scans"):
        read_header(progressive(scans))


# Before the frame


def exif(size: int) -> bytes:
    """APP1 segments of this many bytes altogether."""
    whole, rest = divmod(size, 65_537)
    return segment(0xE1, bytes(65_533)) * whole + (segment(0xE1, bytes(rest - 4)) if rest else b"")


def test_a_large_exif_is_skipped() -> None:
    assert read_header(SOI + exif(300_000) + frame(64, 48) + SCAN).height == 48


def test_the_frame_must_begin_within_the_bound() -> None:
    most = MAX_JPEG_HEADER_BYTES - len(SOI) - 4
    assert read_header(SOI + exif(most) + frame(64, 48) + SCAN).height == 48
    with pytest.raises(PictureDamaged, match="without a frame marker"):
        read_header(SOI + exif(most + 1) + frame(64, 48) + SCAN)


def test_an_exif_thumbnail_is_not_taken_for_the_picture() -> None:
    thumbnail = SOI + frame(160, 120) + SCAN + EOI
    assert read_header(SOI + segment(0xE1, thumbnail) + frame(640, 480) + SCAN).width == 640


def test_padding_before_a_marker_is_skipped() -> None:
    assert read_header(SOI + b"\xff" * 9 + JFIF + b"\xff" * 1000 + frame(64, 48) + SCAN).width == 64


def test_markers_without_a_length_are_skipped() -> None:
    assert read_header(SOI + b"\xff\x01\xff\xd0\xff\xd7" + frame(64, 48) + SCAN).width == 64


def test_data_before_the_frame_is_refused() -> None:
    for data in (SOI + SCAN + frame(64, 48), SOI + EOI + frame(64, 48)):
        with pytest.raises(PictureDamaged, match="before its size"):
            read_header(data)


def test_bytes_between_segments_are_refused() -> None:
    with pytest.raises(PictureDamaged, match="no JPEG marker at byte"):
        read_header(SOI + JFIF + b"stray" + frame(64, 48) + SCAN)


def test_a_stray_ff00_cannot_hide_a_frame_that_the_decoder_would_see() -> None:
    hidden = b"\xff\x00" + (len(frame(1, 1)) + 2).to_bytes(2, "big") + frame(65_535, 65_535)
    with pytest.raises(PictureDamaged, match="no JPEG marker at byte 2"):
        read_header(SOI + hidden + frame(64, 48) + SCAN)


@pytest.mark.parametrize("length", [0, 1])
def test_a_segment_shorter_than_its_length_field_is_refused(length: int) -> None:
    with pytest.raises(PictureDamaged, match=f"length {length}"):
        read_header(SOI + b"\xff\xe0" + length.to_bytes(2, "big") + frame(64, 48))


def test_a_segment_that_reaches_beyond_the_end_is_refused() -> None:
    with pytest.raises(PictureDamaged, match="without a frame marker"):
        read_header(SOI + b"\xff\xe0\xff\xff" + frame(64, 48))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_one_of_our_errors(data: bytes) -> None:
    for whole in (data, SOI + data, SOI + b"\xff" + data):
        try:
            header = read_header(whole)
        except PictureError:
            continue
        assert header.width * header.height <= MAX_PICTURE_PIXELS


@given(st.integers(0, HEADER_END - 1), st.integers(0, 255))
def test_any_changed_byte_is_a_header_or_one_of_our_errors(place: int, value: int) -> None:
    data = bytearray(PLAIN)
    data[place] = value
    try:
        header = read_header(bytes(data))
    except PictureError:
        return
    assert header.width * header.height <= MAX_PICTURE_PIXELS
