"""What the doctor says of cameras. No camera is at hand: a driver's answers are made here."""

import struct
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pytest

from roommood.deploy.doctor import cameras as camera_checks
from roommood.deploy.doctor import doctor
from roommood.deploy.doctor.cameras import Camera, Mode, check_cameras, read_camera
from roommood.deploy.doctor.findings import Level
from tests import hooks
from tests.camera_node.debian_picamera2 import SIZE_CHANGED, bookworm

__all__ = ["bookworm"]

_T = TypeVar("_T")
_CAPTURE, _MEMORY_TO_MEMORY, _HAS_OWN = 0x1, 0x8000, 0x8000_0000


class Driver:
    """Answers as the kernel's documents say that a V4L2 driver does."""

    def __init__(
        self, caps: int, modes: dict[bytes, list[tuple[int, int, list[int]]]], name: bytes = b"uvc"
    ) -> None:
        self.caps, self.modes, self.name = caps, modes, name

    def __call__(self, request: int, given: bytes) -> bytes:
        assert request >> 16 & 0x3FFF == len(given), "the structure's size stands in the request"
        return {0: self._caps, 2: self._format, 74: self._size, 75: self._rate}[request & 0xFF](
            given
        )

    def _caps(self, _given: bytes) -> bytes:
        caps = (0x84A0_0001 | _HAS_OWN, self.caps)
        return struct.pack("16s32s32sIII12x", self.name, b"HD Cam", b"usb-1", 6, *caps)

    def _format(self, given: bytes) -> bytes:
        index, kind = struct.unpack_from("II", given)
        fourcc = self._at(list(self.modes), index)
        return struct.pack("III32s4sI12x", index, kind, 0, b"A format", fourcc, 0)

    def _size(self, given: bytes) -> bytes:
        index, fourcc = struct.unpack_from("I4s", given)
        width, height, _ = self._at(self.modes[fourcc], index)
        return struct.pack("I4sIII24x", index, fourcc, 1, width, height)

    def _rate(self, given: bytes) -> bytes:
        index, fourcc, *size = struct.unpack_from("I4sII", given)
        (rates,) = [rates for *mode, rates in self.modes[fourcc] if mode == size]
        return struct.pack("I4sIIIII24x", index, fourcc, *size, 1, 1, self._at(rates, index))

    @staticmethod
    def _at(answers: list[_T], index: int) -> _T:
        if index >= len(answers):
            raise OSError(22, "Invalid argument")
        return answers[index]


_MODES = {b"MJPG": [(640, 480, [30, 15]), (1280, 720, [30])], b"YUYV": [(640, 480, [5])]}


def test_each_format_and_size_of_a_webcam_is_told_with_its_highest_rate() -> None:
    camera = read_camera(Driver(_CAPTURE, _MODES))

    assert camera == Camera(
        "uvc",
        "HD Cam",
        (Mode("MJPG", 640, 480, 30), Mode("MJPG", 1280, 720, 30), Mode("YUYV", 640, 480, 5)),
    )


def test_a_decoder_is_no_camera() -> None:
    assert read_camera(Driver(_MEMORY_TO_MEMORY, _MODES)) is None


@pytest.mark.parametrize(
    ("name", "modes", "level", "message"),
    [
        (b"uvcvideo", _MODES, Level.OK, "MJPG 1280x720 30/s"),
        (b"uvcvideo", {b"YUYV": _MODES[b"YUYV"]}, Level.WARN, "no MJPG"),
        (b"unicam", {b"pRAA": [(3280, 2464, [21])]}, Level.SKIPPED, "picamera"),
    ],
)
def test_what_a_camera_gives_decides_what_is_said_of_it(
    name: bytes,
    modes: dict[bytes, list[tuple[int, int, list[int]]]],
    level: Level,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "video0").touch()
    driver = Driver(_CAPTURE, modes, name)
    monkeypatch.setattr(camera_checks, "look", lambda _path: read_camera(driver))

    (finding,) = check_cameras(tmp_path)

    assert (finding.level, finding.about) == (level, f"camera {tmp_path / 'video0'}")
    assert message in finding.found


def test_a_file_that_is_no_camera_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    (finding,) = check_cameras(tmp_path)

    assert finding.level is Level.SKIPPED
    assert "is no camera" in finding.found


def test_a_machine_without_cameras_is_told_so(tmp_path: Path) -> None:
    (finding,) = check_cameras(tmp_path)

    assert (finding.level, finding.about) == (Level.SKIPPED, "cameras")


def test_numpy_2_over_a_picamera2_built_for_numpy_1_is_found(
    bookworm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = check_cameras(bookworm)
    assert (finding.level, finding.about) == (Level.FAIL, "Pi camera")
    assert f"numpy {np.__version__} of " in finding.found
    assert SIZE_CHANGED in finding.found
    assert finding.todo.endswith('pip install "numpy<2" "opencv-python-headless<4.12"')

    monkeypatch.setattr(np, "__version__", "1.24.2")
    (finding,) = check_cameras(bookworm)
    assert (finding.level, finding.about) == (Level.SKIPPED, "cameras")


@pytest.mark.parametrize(("slowest_part", "level"), [(0.0, Level.OK), (100.0, Level.WARN)])
def test_a_source_is_warned_of_where_its_pictures_come_too_slowly(
    slowest_part: float, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "wall.jpg"), np.full((480, 640, 3), 90, np.uint8))
    hooks.the_doctor_measures_a_source_for(monkeypatch, 0.3, slowest_part)

    (finding,) = doctor._source(f"simulated:{tmp_path}")

    assert finding.level is level
    assert ("a second come" in finding.found) == (level is Level.WARN)
