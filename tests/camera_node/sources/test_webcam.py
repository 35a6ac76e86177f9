"""The webcam's conversation with OpenCV, against a device made of a script."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roommood.camera_node.sources.webcam import Webcam
from roommood.shared.errors import SourceError
from roommood.shared.opencv import Frame, cv2

MJPG = cv2.VideoWriter.fourcc(*"MJPG")
YUYV = cv2.VideoWriter.fourcc(*"YUYV")
PIXELS = np.full((120, 160, 3), 90, np.uint8)
JPEG = cv2.imencode(".jpg", PIXELS)[1].tobytes()


class Device:
    """Stands in for cv2.VideoCapture, as its V4L2 backend behaves."""

    def __init__(self, *, mjpg: bool = True, honest: bool = True, present: bool = True) -> None:
        self.is_mjpg, self.is_honest, self.is_present = mjpg, honest, present
        self.settings: dict[int, float] = {cv2.CAP_PROP_CONVERT_RGB: 1, cv2.CAP_PROP_FPS: 30}
        self.released = False
        self.raw: list[bytes] = []
        self.instead: list[Any] = []

    def isOpened(self) -> bool:
        return self.is_present

    def set(self, name: int, value: float) -> bool:
        if name != cv2.CAP_PROP_FOURCC or self.is_mjpg:
            self.settings[name] = value
        return True

    def get(self, name: int) -> float:
        return self.settings.get(name, 0.0)

    def grab(self) -> bool:
        return self.is_present

    def retrieve(self) -> tuple[bool, Frame]:
        if self.instead:
            return True, self.instead.pop(0)
        if self.settings[cv2.CAP_PROP_CONVERT_RGB]:
            return True, PIXELS.copy()
        if self.settings[cv2.CAP_PROP_FOURCC] == YUYV:
            return True, np.full((120, 160, 2), 90, np.uint8)
        data = self.raw.pop(0) if self.raw else (JPEG if self.is_honest else b"YUYV" * 100)
        return True, np.frombuffer(data, np.uint8).reshape(1, -1)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Any:
    def plug_in(device: Device) -> Device:
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: device)
        return device

    return plug_in


def test_a_webcam_with_mjpg_passes_its_bytes_through(plug: Any) -> None:
    device = plug(Device())
    with Webcam(0, rate_hz=15.0, width=160, height=120) as source:
        device.raw = [JPEG + bytes(5000)]
        assert source.read().jpeg == JPEG
        assert (source.width, source.height, source.rate_hz) == (160, 120, 15.0)
    assert device.settings[cv2.CAP_PROP_FOURCC] == MJPG
    assert device.settings[cv2.CAP_PROP_FRAME_WIDTH] == 160
    assert device.settings[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert device.released


def test_a_webcam_without_mjpg_gives_pixels(plug: Any) -> None:
    plug(Device(mjpg=False))
    with Webcam(0) as source:
        picture = source.read()
    assert picture.jpeg is None
    assert (picture.pixels == PIXELS).all()  # type: ignore[union-attr]


def test_a_webcam_that_only_claims_mjpg_gives_pixels(plug: Any) -> None:
    plug(Device(honest=False))
    with Webcam(0) as source:
        assert source.read().pixels is not None


def test_a_damaged_picture_is_passed_over(plug: Any) -> None:
    device = plug(Device())
    with Webcam(0) as source:
        device.raw = [b"\xff\xd8", b"", JPEG]
        assert source.read().jpeg == JPEG


@pytest.mark.parametrize("mjpg", [True, False])
@pytest.mark.parametrize("empty", [None, np.empty((0, 0, 3), np.uint8)])
def test_an_empty_buffer_is_passed_over(plug: Any, mjpg: bool, empty: object) -> None:
    """As V4L2 gives it with no byte used, at the start of many cameras and now and then."""
    device = plug(Device(mjpg=mjpg))
    device.instead = [empty] * 3
    with Webcam(0) as source:
        device.instead = [empty] * 9
        assert (source.read().jpeg is not None) is mjpg


def test_a_webcam_that_gives_only_empty_buffers_has_gone_away(plug: Any) -> None:
    device = plug(Device())
    with Webcam(0) as source:
        device.instead = [None] * 10
        with pytest.raises(SourceError, match="only damaged pictures: an empty buffer"):
            source.read()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((120, 160, 2), np.uint8), r"\(120, 160, 2\) uint8"),
        (np.zeros((120, 160, 3), np.uint16), r"\(120, 160, 3\) uint16"),
    ],
)
def test_pixels_of_another_kind_are_named(plug: Any, frame: Frame, message: str) -> None:
    device = plug(Device(mjpg=False))
    with Webcam(0) as source:
        device.instead = [frame]
        with pytest.raises(SourceError, match=f"webcam 0 gives {message}, not pixels"):
            source.read()


def test_a_webcam_that_gives_only_damage_has_gone_away(plug: Any) -> None:
    device = plug(Device())
    with Webcam(0) as source:
        device.is_honest = False
        with pytest.raises(SourceError, match="only damaged pictures"):
            source.read()


def test_an_unplugged_webcam_has_gone_away(plug: Any) -> None:
    device = plug(Device())
    with Webcam(0) as source:
        device.is_present = False
        with pytest.raises(SourceError, match="unplugged"):
            source.read()


def test_a_webcam_that_does_not_open_is_let_go(plug: Any) -> None:
    device = plug(Device(present=False))
    with pytest.raises(SourceError):
        Webcam("/dev/null").open()
    assert device.released


def test_a_missing_webcam_is_named_with_those_present() -> None:
    with pytest.raises(SourceError, match=r"no camera /dev/video97; present: "):
        Webcam(97).open()


def test_a_device_that_is_no_camera_says_why_that_may_be() -> None:
    with pytest.raises(SourceError, match="cannot be opened: another program"):
        Webcam("/dev/null").open()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unicam-image", "belongs to the Pi's own camera \\(unicam-image\\): --source picamera"),
        ("rp1-cfe-csi2_ch0", "--source picamera"),
        ("HD Webcam C270", "cannot be opened"),
    ],
)
def test_the_port_of_a_pis_camera_is_no_webcam(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "sys/video0").mkdir(parents=True)
    (tmp_path / "sys/video0/name").write_text(f"{name}\n")
    (tmp_path / "video0").touch()
    with pytest.raises(SourceError, match=says):
        Webcam(str(tmp_path / "video0"), sysfs=tmp_path / "sys").open()
