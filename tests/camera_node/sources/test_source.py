"""The spec string picks the source, and says what is wrong with itself."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from roommood.camera_node.sources.source import (
    EndOfSource,
    Interrupted,
    Pacer,
    Picture,
    Thinner,
    open_source,
    read_past_damage,
    redacted,
)
from roommood.shared.errors import ConfigError, NotAJpeg, PictureDamaged, SourceError


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("0", "Webcam"),
        ("/dev/video3", "Webcam"),
        ("webcam:0", "Webcam"),
        ("webcam", "Webcam"),
        ("picamera", "PiCamera"),
        ("picamera:1", "PiCamera"),
        ("rtsp://kitchen.local/stream", "Stream"),
        ("https://user:secret@kitchen.local/video", "Stream"),
        ("simulated", "SimulatedCamera"),
        ("simulated?people=2", "SimulatedCamera"),
        ("simulated:somewhere?people=2", "SimulatedCamera"),
    ],
)
def test_a_spec_picks_its_kind_of_source_without_touching_it(spec: str, kind: str) -> None:
    assert type(open_source(spec)).__name__ == kind


def test_paths_pick_by_what_they_are(tmp_path: Path) -> None:
    for name in ("party.MP4", "face.JPG"):
        (tmp_path / name).touch()
    assert type(open_source(str(tmp_path))).__name__ == "PictureFolder"
    assert type(open_source(str(tmp_path / "face.JPG"))).__name__ == "PictureFolder"
    assert type(open_source(str(tmp_path / "party.MP4"))).__name__ == "VideoFile"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("", "neither a picture nor"),
        ("no/such/folder", "'no/such/folder' cannot be read .*No such file"),
        ("n" * 5000, "cannot be read .*too long"),
        ("a\0b", "cannot be read .*null byte"),
        ("~nobody-of-this-name/faces", "cannot be read"),
        ("http://[::1/video", "'http://...' is not a stream"),
        (__file__, "neither a picture nor a video"),
        ("gopher://kitchen/", "not a stream that is known"),
        ("rtsp:///stream", "not a stream that is known"),
        ("webcam:front", "'front' is not a camera's number"),
        ("picamera:left", "'left' is not a camera's number"),
        ("123456", "not a camera's number"),
        ("simulated?people=9", "people=1 to 4"),
        ("simulated?zoom=2", "zoom=2"),
    ],
)
def test_an_unusable_spec_says_what_is_wrong_with_it(spec: str, text: str) -> None:
    with pytest.raises(SourceError, match=text.replace("?", r"\?")):
        open_source(spec)


@pytest.mark.parametrize(
    "options",
    [
        {"rate_hz": 0.0},
        {"rate_hz": float("nan")},
        {"rate_hz": 1001.0},
        {"width": 8, "height": 480},
        {"width": 640},
        {"width": 10_000, "height": 10_000},
    ],
)
def test_rates_and_sizes_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        open_source("simulated", **options)  # type: ignore[arg-type]


def test_the_module_loads_neither_numpy_nor_opencv() -> None:
    code = "import sys, roommood.camera_node.sources.source; "
    code += "import roommood.camera_node.masks, roommood.camera_node.quiet_hours; "
    code += "print({'numpy', 'cv2', 'roommood.camera_node.opencv'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_stream_address_is_shown_without_its_secrets() -> None:
    assert redacted("rtsp://me:pw@cam:554/live?token=x") == "rtsp://cam:554/live"
    assert "secret" not in open_source("http://me:secret@cam/v?key=secret").description
    with pytest.raises(SourceError) as caught:
        open_source("ftp://me:secret@cam/v")
    assert "secret" not in str(caught.value)


def test_a_picture_of_bytes_that_are_no_jpeg_is_refused() -> None:
    with pytest.raises(NotAJpeg):
        Picture.of_jpeg(b"\x89PNG....", 0.0)


def test_a_few_damaged_pictures_are_passed_over_but_not_ten() -> None:
    whole = Picture(1.0, 640, 480, jpeg=b"...")
    outcomes: list[Picture | None] = [None, None, whole]

    def read() -> Picture:
        outcome = outcomes.pop(0)
        if outcome is None:
            raise PictureDamaged("cut off")
        return outcome

    assert read_past_damage("webcam 0", read) is whole
    outcomes = [None] * 10
    with pytest.raises(SourceError, match="webcam 0 gives only damaged pictures: cut off"):
        read_past_damage("webcam 0", read)


def test_the_end_of_a_source_is_a_source_error() -> None:
    assert issubclass(EndOfSource, SourceError)


def test_a_pacer_keeps_its_rate_and_does_not_hurry_after_a_late_tick() -> None:
    now = [0.0]
    pacer = Pacer(1000.0, clock=lambda: now[0])
    due = []
    for at_ms in (0.0, 1.0, 2.5, 3.0, 50.0, 51.0):
        now[0] = at_ms
        pacer.wait()
        due.append(pacer._due_ms)
    assert due == [1.0, 2.0, 3.0, 4.0, 51.0, 52.0]


def test_an_interrupted_wait_ends_at_once() -> None:
    pacer = Pacer(0.001)
    pacer.wait()
    threading.Timer(0.01, pacer.interrupt).start()
    with pytest.raises(Interrupted):
        pacer.wait()


@pytest.mark.parametrize(("asked_hz", "given"), [(None, 300), (100.0, 300), (30.0, 300)])
def test_a_thinner_leaves_slower_sources_alone(asked_hz: float | None, given: int) -> None:
    thinner = Thinner(asked_hz)
    times = [n * 1000.0 / 30.0 + (7 if n % 2 else 0) for n in range(300)]
    assert sum(map(thinner.is_due, times)) == given


@pytest.mark.parametrize(("asked_hz", "given"), [(20.0, 200), (10.0, 100), (1.0, 10)])
def test_a_thinner_lets_through_the_rate_asked_for(asked_hz: float, given: int) -> None:
    thinner = Thinner(asked_hz)
    assert abs(sum(thinner.is_due(n * 1000.0 / 30.0) for n in range(300)) - given) <= 1
