"""Folders of pictures: in order, over and over or once, whatever lies among them."""

import contextlib
import logging
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from roommood.camera_node.encoder import Encoder
from roommood.camera_node.sources.exif import exif_orientation
from roommood.camera_node.sources.picture import EndOfSource, Interrupted, Picture
from roommood.camera_node.sources.pictures import PictureFolder, read_picture
from roommood.shared.clock import boot_ms
from roommood.shared.errors import PictureDamaged, SourceError
from roommood.shared.opencv import Pixels, cv2, decode
from roommood.shared.protocol.limits import MAX_PICTURE_PIXELS


def grey(level: int, width: int = 160, height: int = 120) -> Pixels:
    pixels = np.full((height, width, 3), level, np.uint8)
    pixels[: height // 2, : width // 2] = (0, 0, 255)
    return pixels


def write(path: Path, pixels: Pixels) -> bytes:
    data = cv2.imencode(path.suffix, pixels)[1].tobytes()
    path.write_bytes(data)
    return data


def turned(jpeg: bytes, orientation: int, order: str = "<") -> bytes:
    """The JPEG with an EXIF segment that gives this orientation."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, 1)
    entry = struct.pack(order + "HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + head + entry
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def once(path: Path) -> list[Picture]:
    pictures = []
    with PictureFolder(path, rate_hz=1000.0, loop=False) as source:
        with contextlib.suppress(EndOfSource):
            while True:
                pictures.append(source.read())
        with pytest.raises(EndOfSource):
            source.read()
    return pictures


def test_jpeg_files_pass_byte_for_byte_in_the_order_of_their_names(tmp_path: Path) -> None:
    written = {name: write(tmp_path / name, grey(n)) for n, name in enumerate(["c.jpg", "a.jpeg"])}
    pictures = once(tmp_path)
    assert [picture.jpeg for picture in pictures] == [written["a.jpeg"], written["c.jpg"]]
    assert {(picture.width, picture.height) for picture in pictures} == {(160, 120)}


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_other_pictures_come_as_pixels(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"one{suffix}", grey(90))
    (picture,) = once(tmp_path)
    assert picture.pixels is not None
    assert picture.jpeg is None
    assert np.abs(picture.pixels.astype(int) - grey(90)).mean() < 4


def test_a_folder_starts_again_after_its_last_picture_and_sees_new_ones(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jpg", grey(10))
    with PictureFolder(tmp_path, rate_hz=1000.0) as source:
        assert source.read().jpeg == first
        second = write(tmp_path / "b.jpg", grey(20))
        assert [source.read().jpeg for _ in range(3)] == [first, second, first]


def test_a_single_picture_is_shown_over_and_over(tmp_path: Path) -> None:
    data = write(tmp_path / "only.jpg", grey(10))
    write(tmp_path / "other.jpg", grey(20))
    with PictureFolder(tmp_path / "only.jpg", rate_hz=1000.0) as source:
        assert [source.read().jpeg for _ in range(3)] == [data] * 3
    assert len(once(tmp_path / "only.jpg")) == 1


def test_what_is_no_whole_picture_is_left_out_with_one_line_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = write(tmp_path / "m.jpg", grey(10))
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b.jpg").write_bytes(b"no picture at all")
    (tmp_path / "n.png").write_bytes(b"\x89PNG\r\n\x1a\n nor this")
    (tmp_path / "z.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not looked at")
    (tmp_path / ".hidden.jpg").write_text("not looked at")
    with (
        caplog.at_level(logging.WARNING, "camera_node"),
        PictureFolder(tmp_path, rate_hz=1000.0) as source,
    ):
        assert [source.read().jpeg for _ in range(4)] == [whole] * 4
    assert sorted(record.args[0].name for record in caplog.records) == [  # type: ignore[union-attr, index]
        "a.jpg",
        "b.jpg",
        "n.png",
        "z.jpg",
    ]


def test_a_truncated_jpeg_with_a_whole_thumbnail_is_left_out(tmp_path: Path) -> None:
    thumbnail = cv2.imencode(".jpg", grey(3, 32, 32))[1].tobytes()
    whole = write(tmp_path / "a.jpg", grey(10))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    (tmp_path / "b.jpg").write_bytes(whole[:2] + segment + whole[2:-40])
    (tmp_path / "c.jpg").write_bytes(whole[:2] + segment + whole[2:])
    assert len(once(tmp_path)) == 2


def test_what_follows_the_end_of_a_jpeg_is_cut_off(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.jpg", grey(10))
    (tmp_path / "a.jpg").write_bytes(whole + b"a telephone's video \xff\xd8\xff\xda\xff")
    assert [picture.jpeg for picture in once(tmp_path)] == [whole]


@pytest.mark.parametrize("broken", [True, False])
def test_a_folder_without_a_usable_picture_cannot_be_opened(tmp_path: Path, broken: bool) -> None:
    if broken:
        (tmp_path / "a.jpg").write_bytes(b"broken")
    with pytest.raises(SourceError, match="no usable picture"):
        PictureFolder(tmp_path).open()


def test_a_folder_that_vanishes_is_a_source_that_went_away(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    data = write(path, grey(10))
    with PictureFolder(tmp_path, rate_hz=1000.0) as source:
        source.read()
        path.unlink()
        with pytest.raises(SourceError, match="no usable picture"):
            source.read()
        path.write_bytes(data)
        source.close()
        source.open()
        assert source.read().jpeg == data


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_jpeg_that_lies_on_its_side_goes_out_upright(tmp_path: Path, order: str) -> None:
    sideways = turned(cv2.imencode(".jpg", grey(90))[1].tobytes(), 6, order)
    assert exif_orientation(sideways) == 6
    (tmp_path / "a.jpg").write_bytes(sideways)
    picture = read_picture(tmp_path / "a.jpg")
    assert (picture.width, picture.height) == (120, 160)
    encoded = Encoder().encode(picture)
    assert (encoded.width, encoded.height) == (120, 160)
    # Its red corner, at the upper left as it lies, is at the upper right when it stands.
    upright = cv2.rotate(grey(90), cv2.ROTATE_90_CLOCKWISE).astype(int)
    assert np.abs(decode(encoded.jpeg, cv2.IMREAD_COLOR).astype(int) - upright).mean() < 4


def webp(pixels: Pixels, orientation: int, prefix: bytes) -> bytes:
    """With its EXIF behind the picture, as Pillow ("Exif" first) and exiftool write it."""
    plain = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    entry = struct.pack("<HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    exif = prefix + b"II" + struct.pack("<HIH", 42, 8, 1) + entry
    sides = [(side - 1).to_bytes(3, "little") for side in pixels.shape[1::-1]]
    head = b"VP8X" + struct.pack("<II", 10, 8) + b"".join(sides)
    body = b"WEBP" + head + plain[12:] + b"EXIF" + struct.pack("<I", len(exif)) + exif
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_webp_that_does_not_stand_upright_is_set_so(
    tmp_path: Path, orientation: int, prefix: bytes
) -> None:
    """As OpenCV sets the same pixels in a JPEG."""
    lying = cv2.imencode(".jpg", grey(90), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    upright = decode(turned(lying, orientation)).astype(int)
    (tmp_path / "a.webp").write_bytes(webp(grey(90), orientation, prefix))
    picture = read_picture(tmp_path / "a.webp")
    assert picture.pixels is not None
    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels.astype(int) - upright).mean() < 4


@pytest.mark.parametrize("orientation", [1, 0, 99])
def test_a_jpeg_whose_exif_says_upright_passes(tmp_path: Path, orientation: int) -> None:
    data = turned(cv2.imencode(".jpg", grey(90))[1].tobytes(), orientation)
    (tmp_path / "a.jpg").write_bytes(data)
    picture = read_picture(tmp_path / "a.jpg")
    assert Encoder().encode(picture).jpeg == data


def test_a_photograph_over_the_limit_of_the_wire_is_shrunk_when_it_goes_out(
    tmp_path: Path,
) -> None:
    write(tmp_path / "phone.jpg", np.zeros((3000, 4000, 3), np.uint8))
    picture = read_picture(tmp_path / "phone.jpg")
    assert (picture.width, picture.height) == (4000, 3000)
    encoded = Encoder().encode(picture)
    assert encoded.width * encoded.height <= MAX_PICTURE_PIXELS
    assert abs(encoded.width / encoded.height - 4 / 3) < 0.01


def test_what_is_too_large_to_be_a_jpeg_of_the_wire_is_shrunk_when_it_is_read(
    tmp_path: Path,
) -> None:
    write(tmp_path / "scan.png", np.zeros((3000, 4000, 3), np.uint8))
    picture = read_picture(tmp_path / "scan.png")
    assert (picture.width, picture.height) == (2000, 1500)


def test_a_still_of_48_megapixels_is_as_fresh_as_its_reading_not_as_its_tick(
    tmp_path: Path,
) -> None:
    data = write(tmp_path / "still.jpg", np.full((6000, 8000, 3), 90, np.uint8))
    before_ms = boot_ms()
    (picture,) = once(tmp_path)
    assert picture.jpeg == data
    assert picture.captured_ms >= before_ms
    encoded = Encoder(max_width=1000).encode(picture)
    assert (encoded.width, encoded.height) == (1000, 750)


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".jfif"])
def test_more_endings_are_taken(tmp_path: Path, suffix: str) -> None:
    ending = ".jpg" if suffix == ".jfif" else suffix
    (tmp_path / f"one{suffix}").write_bytes(cv2.imencode(ending, grey(90))[1].tobytes())
    assert len(once(tmp_path)) == 1


def test_endings_that_are_not_taken_are_named_with_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.jpg", grey(10))
    for name in ("b.HEIC", "c.heic", "d.mts"):
        (tmp_path / name).touch()
    with caplog.at_level(logging.WARNING, "camera_node"), PictureFolder(tmp_path):
        pass
    heic, mts = caplog.messages
    assert "end in .heic are left out: heif-convert" in heic
    assert "end in .mts are left out: ffmpeg" in mts


def test_links_that_lead_nowhere_videos_and_folders_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.jpg", grey(10))
    (tmp_path / "lost.jpg").symlink_to("away.jpg")
    (tmp_path / "IMG_1.MOV").touch()
    (tmp_path / "2024").mkdir()
    (tmp_path / ".thumbnails").mkdir()
    with caplog.at_level(logging.WARNING, "camera_node"):
        assert len(once(tmp_path)) == 1
    videos, folders, lost = caplog.messages
    assert videos.endswith("videos that end in .mov are left out: give each by itself")
    assert folders.endswith("1 of its folders are left out: '2024' is the first")
    assert "lost.jpg is left out: " in lost
    assert "No such file" in lost


def test_a_pipe_is_no_picture_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(PictureDamaged, match="no file, but a folder, pipe or device"):
        read_picture(tmp_path / "a.jpg")


def test_reading_follows_the_rate_and_can_be_interrupted(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", grey(10))
    with PictureFolder(tmp_path, rate_hz=0.01) as source:
        source.read()
        source.interrupt()
        with pytest.raises(Interrupted):
            source.read()


def test_decoding_nothing_is_an_error_not_an_empty_picture() -> None:
    with pytest.raises(Exception, match="0 bytes"):
        decode(b"")
