"""Webcams through the V4L2 code of OpenCV: a device that is put before the C library."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roommood.shared.opencv import cv2
from tests.camera_node.sources.manners import MJPG_BUFFERS, MJPG_DAMAGE
from tests.needs import missing

SOURCE = Path(__file__).with_name("fake_v4l2.c")
READ = """
import hashlib, json, sys
from roommood.camera_node.sources.open import open_source
from roommood.shared.clock import boot_ms
from roommood.shared.errors import SourceError

def told(picture):
    digest = picture.jpeg and hashlib.sha1(picture.jpeg).hexdigest()
    levels = [] if picture.pixels is None else picture.pixels.mean(axis=(0, 1)).reshape(-1).tolist()
    return {"jpeg": digest, "levels": levels, "age_ms": boot_ms() - picture.captured_ms}

try:
    with open_source("0") as source:
        source.luma_suffices = len(sys.argv) > 2
        print(json.dumps([told(source.read()) for _ in range(int(sys.argv[1]))]))
except SourceError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        missing("no C compiler: apt install gcc libc6-dev")
    made = tmp_path_factory.mktemp("v4l2") / "fake_v4l2.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"the device cannot be compiled: apt install libc6-dev ({done.stderr[:200]})")
    return made


def jpeg(level: int) -> bytes:
    pixels = np.full((120, 160, 3), level, np.uint8)
    cv2.circle(pixels, (80, 60), 30, (0, 0, 255), -1)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def seen(library: Path, frames: list[bytes], formats: str, count: int = 10, *how: str) -> Any:
    """What comes of a camera whose buffers are these, over and over."""
    folder = library.parent / f"frames-{len(os.listdir(library.parent))}"
    folder.mkdir()
    for number, frame in enumerate(frames):
        (folder / f"{number:03d}").write_bytes(frame)
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "FAKE_V4L2_FRAMES": str(folder),
        "FAKE_V4L2_FORMATS": formats,
    }
    command = [sys.executable, "-c", READ, str(count), *how]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


WHOLE = [jpeg(level) for level in (40, 90, 140)]
DIGESTS = {digest(whole) for whole in WHOLE}


@pytest.mark.parametrize("manner", MJPG_BUFFERS.values(), ids=MJPG_BUFFERS.keys())
def test_mjpg_passes_byte_for_byte(library: Path, manner: Any) -> None:
    pictures = seen(library, [manner(whole) for whole in WHOLE], "MJPG,YUYV")
    assert {picture["jpeg"] for picture in pictures} == DIGESTS


@pytest.mark.parametrize("bad", MJPG_DAMAGE.values(), ids=MJPG_DAMAGE.keys())
def test_what_is_no_picture_is_passed_over(library: Path, bad: bytes) -> None:
    pictures = seen(library, [bad, bad, *WHOLE], "MJPG,YUYV")
    assert {picture["jpeg"] for picture in pictures} == DIGESTS


def test_twenty_damaged_pictures_at_the_start_change_nothing(library: Path) -> None:
    pictures = seen(library, [b"\x55" * 9000] * 20 + WHOLE * 10, "MJPG,YUYV")
    assert {picture["jpeg"] for picture in pictures} == DIGESTS


def test_a_camera_whose_mjpg_is_none_is_asked_for_pixels(library: Path) -> None:
    yuyv = bytes([120, 128]) * (160 * 120)
    pictures = seen(library, [yuyv], "MJPG,YUYV", 3)
    assert all(picture["jpeg"] is None for picture in pictures)
    assert pictures[0]["levels"] == pytest.approx([121] * 3, abs=2)


@pytest.mark.parametrize("format", ["YUYV", "UYVY"])
def test_luma_is_taken_unconverted_where_it_suffices(library: Path, format: str) -> None:
    """Y of 120, U of 90 and V of 200: what is red in colour."""
    frame = bytes([120, 90, 120, 200] if format == "YUYV" else [90, 120, 200, 120]) * (80 * 120)
    in_colour = seen(library, [frame], format, 3)[-1]["levels"]
    in_luma = seen(library, [frame], format, 3, "luma")[-1]["levels"]
    blue, green, red = in_colour
    assert red > green + 50 > blue
    assert in_luma == pytest.approx([0.299 * red + 0.587 * green + 0.114 * blue], abs=2)


def test_a_camera_that_gives_only_junk_is_no_dark_room(library: Path) -> None:
    output = seen(library, [b"\x55" * 9000], "MJPG", 3)
    assert "says that it sends MJPG, but no JPEG comes" in output


def test_pictures_are_dated_by_the_driver(library: Path) -> None:
    for formats, frames in (("MJPG", WHOLE), ("YUYV", [bytes([120, 128]) * (160 * 120)])):
        ages_ms = [picture["age_ms"] for picture in seen(library, frames, formats)]
        assert min(ages_ms) >= 100
        assert min(ages_ms) < 200
