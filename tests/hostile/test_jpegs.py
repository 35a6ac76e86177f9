"""JPEGs made to hurt end as the golden corpus says, cheaply, and at their own cost only."""

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roommood.inference_worker.vision.decode import decode
from roommood.shared.errors import NotAJpeg, PictureDamaged, PictureError, PictureTooLarge
from roommood.shared.protocol.jpeg import read_header
from roommood.shared.protocol.limits import (
    MAX_JPEG_BYTES,
    MAX_JPEG_HEADER_BYTES,
    MAX_JPEG_MARKERS,
    MAX_JPEG_SCANS,
    MAX_PICTURE_PIXELS,
    MIN_PICTURE_SIDE_PX,
)
from tests.hostile import jpegs
from tests.hostile.jpegs import APP1, APP2, COM, DHT, GOLDEN, PROGRESSIVE, SOF

CORPUS = sorted((GOLDEN / "jpeg").glob("*.jpg"))
SEEDS = sorted((GOLDEN / "seeds" / "jpeg").iterdir())


def verdict(jpeg: bytes) -> str:
    try:
        picture = decode(jpeg)
    except PictureError as error:
        return error.reason
    assert picture.shape[2] == 3
    return "taken"


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_file_of_the_corpus_ends_as_its_name_says(path: Path) -> None:
    assert verdict(path.read_bytes()) == path.stem.partition("--")[0]


def test_the_corpus_is_there() -> None:
    assert {path.stem.partition("--")[0] for path in CORPUS} == {"taken", "damaged", "not-a-jpeg"}
    assert len(CORPUS) >= 24


def test_what_fuzzing_came_by_raises_only_picture_errors() -> None:
    assert len(SEEDS) >= 20
    for path in SEEDS:
        verdict(path.read_bytes())


@pytest.mark.parametrize(
    "path", [picture for picture in CORPUS if picture.stem.startswith("taken")]
)
def test_every_truncation_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for end in range(len(whole) - 1):
        assert verdict(whole[:end]) in ("damaged", "not-a-jpeg"), end


@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_jpeg_in_another_file_is_none(where: str) -> None:
    for other in (path for path in CORPUS if path.stem.startswith("not-a-jpeg--")):
        if other.read_bytes()[:2] == jpegs.SOI:
            continue
        data = other.read_bytes() + jpegs.good()
        assert verdict(data) == "not-a-jpeg"


# Claims

GOOD_SIDE = MIN_PICTURE_SIDE_PX


@pytest.mark.parametrize(
    ("width", "height", "due"),
    [
        (65_535, 65_535, "too-large"),
        (32_000, 32_000, "too-large"),
        (65_535, 127, "too-large"),
        (1, 1, "damaged"),
        (1, 65_535, "damaged"),
        (0, 0, "damaged"),
        (65_535, 0, "damaged"),
        (GOOD_SIDE - 1, GOOD_SIDE, "damaged"),
        (GOOD_SIDE, GOOD_SIDE, "taken"),
        (3840, 2160, "taken"),
        (3841, 2160, "too-large"),
        (MAX_PICTURE_PIXELS // GOOD_SIDE // 8, GOOD_SIDE, "taken"),
    ],
)
def test_a_claimed_size_is_judged_before_it_is_decoded(width: int, height: int, due: str) -> None:
    assert verdict(jpegs.claiming(width, height)) == due


@pytest.mark.parametrize("bits", [0, 1, 7, 9, 12, 16, 255])
def test_other_than_eight_bits_are_refused(bits: int) -> None:
    lying = jpegs.SOI + jpegs.tables() + jpegs.frame(48, 48, bits=bits) + jpegs.scan() + jpegs.EOI
    with pytest.raises(NotAJpeg, match=f"{bits} bits"):
        decode(lying)


@pytest.mark.parametrize("marker", [SOF, 0xC1, PROGRESSIVE])
def test_scans_are_counted_in_every_kind_of_jpeg(marker: int) -> None:
    for scans in (MAX_JPEG_SCANS - 1, MAX_JPEG_SCANS):
        assert verdict(jpegs.many_scans(scans, marker=marker)) == "taken"
    with pytest.raises(PictureTooLarge, match="scans"):
        decode(jpegs.many_scans(MAX_JPEG_SCANS + 1, marker=marker))


@pytest.mark.parametrize("marker", [SOF, PROGRESSIVE])
def test_the_costliest_scans_that_are_taken_cost_less_than_two_seconds(marker: int) -> None:
    """On the largest picture. With a hundred times as many it would take a minute."""
    data = jpegs.many_scans(MAX_JPEG_SCANS, 2880, marker)
    began = time.process_time()
    assert verdict(data) == "taken"
    assert time.process_time() - began < 2.0


# What stands around the picture


@pytest.mark.parametrize("marker", [APP1, APP2, COM, 0xEE])
def test_a_huge_exif_profile_or_comment_is_skipped_up_to_its_bound(marker: int) -> None:
    before_frame = jpegs.good().index(b"\xff\xc0")
    most = MAX_JPEG_HEADER_BYTES - before_frame - 4
    for size in (most - 1, most):
        assert verdict(jpegs.behind(jpegs.filler(marker, size))) == "taken"
    with pytest.raises(PictureDamaged, match="without a frame marker"):
        decode(jpegs.behind(jpegs.filler(marker, most + 1)))


@pytest.mark.parametrize(
    "data", [b"\xff", b"\xff\x01", jpegs.segment(COM), jpegs.segment(0xEF, b"")], ids=repr
)
def test_markers_before_the_picture_are_counted(data: bytes) -> None:
    """A megabyte of empty segments would keep a thread, and every other, busy in Python."""
    fits = jpegs.behind(data * (MAX_JPEG_MARKERS - len(list(jpegs.segments(jpegs.good())))))
    assert read_header(fits).width == 48
    with pytest.raises(PictureDamaged, match="among its first"):
        read_header(jpegs.behind(data * MAX_JPEG_MARKERS))


def test_a_megabyte_of_markers_costs_next_to_nothing() -> None:
    data = jpegs.behind(b"\xff\x01" * (MAX_JPEG_HEADER_BYTES // 2))
    began = time.process_time()
    with pytest.raises(PictureDamaged):
        read_header(data)
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize("junk", [b"\0", b"junk", b"\xff"])
def test_junk_behind_the_picture_is_passed_over(junk: bytes) -> None:
    assert verdict(jpegs.good() + junk * 100_000) == "taken"


def test_a_picture_with_a_zeroed_middle_is_a_picture() -> None:
    """No decoder can tell: the zeros are data. What matters is that nothing else happens."""
    assert verdict(jpegs.zeroed_middle()) == "taken"


@pytest.mark.parametrize(
    "start",
    [
        jpegs.segment(DHT, b"\xff" * 17 + b"\0" * 200),
        jpegs.segment(DHT, b""),
        jpegs.segment(0xDB, b"\xff" * 600),
        jpegs.segment(0xDD, b"\xff\xff"),
        jpegs.segment(APP1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
        jpegs.segment(
            APP1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03\xff\xff\xff\xff" * 9
        ),
        jpegs.segment(APP2, b"ICC_PROFILE\0\xff\x01" + bytes(64)),
        jpegs.segment(APP2, b"ICC_PROFILE\0\x00\x00"),
        jpegs.segment(0xEE, b"Adobe\0\x64\0\0\0\0\x09"),
    ],
)
def test_broken_tables_and_metadata_end_in_a_picture_or_a_refusal(start: bytes) -> None:
    assert verdict(jpegs.behind(start)) in ("taken", "damaged")


@pytest.mark.parametrize("more", [-1, 0])
def test_a_jpeg_may_have_as_many_bytes_as_a_part_of_a_message(more: int) -> None:
    whole = jpegs.filler(COM, MAX_JPEG_BYTES + more - len(jpegs.good()))
    data = jpegs.good()[:-2] + whole + jpegs.EOI
    assert len(data) == MAX_JPEG_BYTES + more
    assert verdict(data) in ("taken", "damaged")
    with pytest.raises(PictureTooLarge):
        read_header(data + b"\0" * (1 - more))


# Bounds on the whole, and their controls


def decoded_by_itself(code: str, jpeg: bytes, seconds: int = 2, megabytes: int = 1200) -> str:
    """In a process of few means: what it says, or how it ended."""

    def few_means() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    program = f"{code}\n{_SAY_WHAT_CAME}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=jpeg, capture_output=True, timeout=120, check=False, preexec_fn=few_means,
    )  # fmt: skip
    return done.stdout.decode() or f"ended with {done.returncode}"


_SAY_WHAT_CAME = """
import sys, resource
from roommood.shared.protocol import jpeg
from roommood.shared.errors import PictureError
data = sys.stdin.buffer.read()
try:
    decode(data)
    print("taken", end="")
except PictureError as error:
    print(error.reason, end="")
"""
_PROTECTED = "from roommood.inference_worker.vision.decode import decode"
_NO_SCAN_LIMIT = (
    "from roommood.shared.protocol import jpeg, jpeg_end\n"
    "jpeg.MAX_JPEG_SCANS = jpeg_end.MAX_JPEG_MARKERS = 1 << 30\n" + _PROTECTED
)
_NO_PIXEL_LIMIT = """
import roommood.shared.protocol.limits
roommood.shared.protocol.limits.MAX_PICTURE_PIXELS = 1 << 40
from roommood.inference_worker.vision.decode import decode
"""
BOMB = jpegs.claiming(32_000, 32_000)
SCANS = jpegs.many_scans(40_000, 2880)


def test_a_bomb_of_pixels_is_refused_at_once() -> None:
    assert len(BOMB) < 1000
    assert decoded_by_itself(_PROTECTED, BOMB) == "too-large"


def test_without_the_pixel_limit_the_bomb_takes_all_memory_or_time() -> None:
    """The control: 3 GB of pixels, in a process that may have 1.2."""
    assert decoded_by_itself(_NO_PIXEL_LIMIT, BOMB) != "too-large"
    assert decoded_by_itself(_NO_PIXEL_LIMIT, BOMB) != "taken"


def test_a_bomb_of_scans_is_refused_at_once() -> None:
    assert len(SCANS) < 600_000
    assert decoded_by_itself(_PROTECTED, SCANS) == "too-large"


def test_without_the_scan_limit_the_bomb_takes_all_time() -> None:
    """The control: half a megabyte costs more processor time than two seconds."""
    assert decoded_by_itself(_NO_SCAN_LIMIT, SCANS).startswith("ended with")
