"""The Pi's camera, against a stand-in for the picamera2 that only a Pi has."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from roommood.camera_node.sources.picamera import PiCamera, load_picamera2
from roommood.shared.clock import boot_ms
from roommood.shared.errors import SourceError
from tests.camera_node.debian_picamera2 import SIZE_CHANGED, bookworm
from tests.camera_node.sources.fake_picamera2 import (
    BLUE,
    BUFFERS,
    LUMA,
    RED,
    Picamera2,
    made,
)

__all__ = ["bookworm"]


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> PiCamera:
    made.clear()
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=Picamera2))
    space = SimpleNamespace(Sycc=lambda: "sYCC")
    monkeypatch.setitem(sys.modules, "libcamera", SimpleNamespace(ColorSpace=space))
    return PiCamera(rate_hz=20.0, width=650, height=480)


def test_it_gives_pixels_of_the_size_and_rate_the_camera_settled_on(camera: PiCamera) -> None:
    with camera:
        picture = camera.read()
        assert (picture.width, picture.height) == (camera.width, camera.height) == (640, 480)
        assert picture.pixels is not None
    assert made[0].controls == {"FrameDurationLimits": (50_000, 50_000)}
    assert (made[0].main["format"], made[0].colour_space) == ("YUV420", "sYCC")
    assert made[0].calls == ["start", "stop", "close"]


def test_luma_is_the_first_plane_and_colour_is_that_of_a_jpeg(camera: PiCamera) -> None:
    with camera:
        camera.luma_suffices = True
        luma = camera.read().pixels
        camera.luma_suffices = False
        colours = camera.read().pixels
    assert luma is not None
    assert colours is not None
    assert (luma == LUMA).all()
    assert luma.shape == (480, 640)
    expected = LUMA + 1.772 * (BLUE - 128), LUMA + 1.402 * (RED - 128)
    assert colours.reshape(-1, 3).mean(axis=0)[[0, 2]] == pytest.approx(expected, abs=1)
    assert colours.shape == (480, 640, 3)


def test_what_nobody_wants_goes_back_to_the_camera_uncopied(camera: PiCamera) -> None:
    with camera:
        for _ in range(3 * BUFFERS):
            camera.grab()
        assert (made[0].lent, made[0].copied) == (1, 0)
        camera.retrieve()
        assert (made[0].lent, made[0].copied) == (0, 1)
        camera.grab()
    assert made[0].lent == 0


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
    output = str(caught.value)
    assert f"numpy {np.__version__} of {np.__path__[0]} hides the system's numpy 1" in output
    assert SIZE_CHANGED in output
    assert 'pip install "numpy<2" "opencv-python-headless<4.12"' in output


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
