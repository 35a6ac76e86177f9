"""Folders of pictures: in order, over and over or once, whatever lies among them."""

import contextlib
import logging
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from roommood.camera_node.sources.picture import EndOfSource, Interrupted, Picture
from roommood.camera_node.sources.pictures import PictureFolder, exif_orientation, read_picture
from roommood.shared.errors import SourceError
from roommood.shared.opencv import Pixels, cv2, decode


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


def test_what_follows_the_end_of_a_jpeg_does_not_make_it_broken(tmp_path: Path) -> None:
    data = write(tmp_path / "a.jpg", grey(10)) + b"a telephone's video \xff\xda\xff"
    (tmp_path / "a.jpg").write_bytes(data)
    assert [picture.jpeg for picture in once(tmp_path)] == [data]


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
def test_a_jpeg_that_lies_on_its_side_comes_as_upright_pixels(tmp_path: Path, order: str) -> None:
    upright = cv2.imencode(".jpg", grey(90))[1].tobytes()
    sideways = turned(upright, 6, order)
    assert exif_orientation(sideways) == 6
    (tmp_path / "a.jpg").write_bytes(sideways)
    picture = read_picture(tmp_path / "a.jpg", 0.0)
    assert picture.pixels is not None
    assert (picture.width, picture.height) == (120, 160)


@pytest.mark.parametrize("orientation", [1, 0, 99])
def test_a_jpeg_whose_exif_says_upright_passes(tmp_path: Path, orientation: int) -> None:
    data = turned(cv2.imencode(".jpg", grey(90))[1].tobytes(), orientation)
    (tmp_path / "a.jpg").write_bytes(data)
    assert read_picture(tmp_path / "a.jpg", 0.0).jpeg == data


def test_a_photograph_over_the_limit_of_the_wire_is_shrunk(tmp_path: Path) -> None:
    write(tmp_path / "phone.jpg", np.zeros((3000, 4000, 3), np.uint8))
    code = "import sys; from pathlib import Path;"
    code += "from roommood.camera_node.sources.pictures import read_picture;"
    code += "p = read_picture(Path(sys.argv[1]), 0.0); print(p.width, p.height, p.jpeg)"
    # In a process of its own: OpenCV reads its limit once, when it is first imported.
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "phone.jpg")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["2000", "1500", "None"]


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
