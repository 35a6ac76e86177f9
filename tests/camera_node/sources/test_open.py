"""The spec string picks the source, and says what is wrong with itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from roommood.camera_node.sources.open import open_source
from roommood.shared.errors import ConfigError, SourceError


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
        ("https://user:secret@kitchen.local/video", "HttpCamera"),
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
        ("a\0b", "cannot be read .*null (byte|character)"),
        ("~nobody-of-this-name/faces", "cannot be read"),
        ("http://[::1/video", "'http://...' is not an address"),
        (__file__, "neither a picture nor a video"),
        ("gopher://kitchen/", "not a stream that is known"),
        ("rtsp:///stream", "not an address with a host"),
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


def test_opening_loads_neither_numpy_nor_opencv() -> None:
    code = "import sys, roommood.camera_node.sources.open; "
    code += "import roommood.camera_node.masks, roommood.shared.quiet_hours; "
    code += "print({'numpy', 'cv2', 'roommood.shared.opencv'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(("ending", "todo"), [("heic", "heif-convert"), ("MTS", "ffmpeg")])
def test_a_file_that_is_not_taken_is_told_with_what_to_do(
    tmp_path: Path, ending: str, todo: str
) -> None:
    path = tmp_path / f"party.{ending}"
    path.touch()
    with pytest.raises(SourceError, match=rf"end in \.{ending.lower()} are not taken: {todo}"):
        open_source(str(path))
