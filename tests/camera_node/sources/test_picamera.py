"""The Pi's camera, against a stand-in for the picamera2 that only a Pi has."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from roommood.camera_node.sources.picamera import PiCamera, load_picamera2
from roommood.shared.clock import boot_ms
from roommood.shared.errors import SourceError
from tests.camera_node.debian_picamera2 import SIZE_CHANGED, bookworm

__all__ = ["bookworm"]


class Picamera2:
    """The few calls of Picamera2 that are made, with the same names and results."""

    def __init__(self, number: int) -> None:
        if number != 0:
            raise IndexError("list index out of range")
        self.calls: list[str] = []
        self.sensor_ns = 0
        self.is_gone = False
        made.append(self)

    def create_video_configuration(self, main: dict[str, Any], controls: Any) -> dict[str, Any]:
        self.controls = controls
        return {"main": main}

    def align_configuration(self, configuration: dict[str, Any]) -> None:
        configuration["main"]["size"] = (640, 480)

    def configure(self, configuration: dict[str, Any]) -> None:
        self.format = configuration["main"]["format"]

    def start(self) -> None:
        self.calls.append("start")

    def capture_arrays(self, names: list[str], wait: float) -> Any:
        if self.is_gone:
            raise TimeoutError
        assert (names, wait) == (["main"], 5.0)
        return [np.zeros((480, 640, 3), np.uint8)], {"SensorTimestamp": self.sensor_ns}

    def stop(self) -> None:
        self.calls.append("stop")
        if self.is_gone:
            raise RuntimeError("gone")

    def close(self) -> None:
        self.calls.append("close")


made: list[Picamera2] = []


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> PiCamera:
    made.clear()
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=Picamera2))
    return PiCamera(rate_hz=20.0, width=650, height=480)


def test_it_gives_pixels_of_the_size_and_rate_the_camera_settled_on(camera: PiCamera) -> None:
    with camera:
        picture = camera.read()
        assert (picture.width, picture.height) == (camera.width, camera.height) == (640, 480)
        assert picture.pixels is not None
    assert made[0].controls == {"FrameDurationLimits": (50_000, 50_000)}
    assert made[0].format == "RGB888"
    assert made[0].calls == ["start", "stop", "close"]


def test_it_takes_the_sensors_own_time_where_that_makes_sense(camera: PiCamera) -> None:
    with camera:
        sensor_ms = boot_ms() - 50.0
        made[0].sensor_ns = int(sensor_ms * 1e6)
        assert camera.read().captured_ms == pytest.approx(sensor_ms, abs=0.01)
        made[0].sensor_ns = 0
        assert camera.read().captured_ms == pytest.approx(boot_ms(), abs=1000)


def test_a_camera_that_falls_silent_has_gone_away_and_still_closes(camera: PiCamera) -> None:
    with camera:
        made[0].is_gone = True
        with pytest.raises(SourceError, match="Pi camera 0 gives no picture"):
            camera.read()
    assert made[0].calls[-1] == "close"


def test_a_camera_that_is_not_there_says_how_to_look_for_it(camera: PiCamera) -> None:
    with pytest.raises(SourceError, match="rpicam-hello --list-cameras"):
        PiCamera(3).open()


def test_without_picamera2_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError, match=r"apt install python3-picamera2.*system-site-packages"):
        PiCamera().open()


def test_numpy_2_over_a_picamera2_built_for_numpy_1_says_how_to_go_back(bookworm: Path) -> None:
    assert np.__version__.startswith("2.")
    with pytest.raises(SourceError) as caught:
        PiCamera().open()
    said = str(caught.value)
    assert f"numpy {np.__version__} of {np.__path__[0]} hides the system's numpy 1" in said
    assert SIZE_CHANGED in said
    assert 'pip install "numpy<2" "opencv-python-headless<4.12"' in said


def test_with_numpy_1_that_picamera2_is_imported(
    bookworm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "__version__", "1.24.2")
    assert load_picamera2().global_camera_info() == []


@pytest.mark.parametrize(
    "raised", ["ModuleNotFoundError('libcamera')", "RuntimeError('wrong ABI')", "OSError('gone')"]
)
def test_whatever_its_import_raises_is_told_with_what_to_do(bookworm: Path, raised: str) -> None:
    (bookworm / "simplejpeg" / "__init__.py").write_text(f"raise {raised}")
    with pytest.raises(SourceError, match=r"picamera2 cannot be imported \(.*reinstall python3-"):
        PiCamera().open()
