"""One door to OpenCV: its limit is the same whoever comes first."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from roommood.shared.errors import PictureDamaged, PictureTooLarge
from roommood.shared.opencv import cv2, decode, decode_within, reduced
from roommood.shared.protocol.limits import MAX_FILE_PIXELS

WORKER = "roommood.inference_worker.vision.opencv"
CAMERA = "roommood.camera_node.encoder"


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True)


def python(code: str, **environment: str) -> str:
    return run(code, **environment).stdout


@pytest.mark.parametrize("first", [WORKER, CAMERA])
def test_a_photograph_of_12_megapixels_is_taken_whoever_imports_opencv_first(
    first: str, tmp_path: Path
) -> None:
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.zeros((3000, 4000, 3), np.uint8))
    code = (
        f"import {first}; from roommood.camera_node.sources.open import open_source\n"
        f"with open_source({str(path)!r}) as source: print(source.width, source.height)"
    )
    assert python(code).split() == ["2000", "1500"]


def test_the_limit_is_ours_whatever_the_environment_says_and_one_thread_is_used() -> None:
    code = (
        "import os; from roommood.shared.opencv import cv2; "
        "print(os.environ['OPENCV_IO_MAX_IMAGE_PIXELS'], cv2.getNumThreads())"
    )
    output = python(code, OPENCV_IO_MAX_IMAGE_PIXELS="1000000000000")
    assert output.split() == [str(MAX_FILE_PIXELS), "1"]


def test_no_password_is_written_whatever_the_environment_asks_of_opencv() -> None:
    code = (
        "from roommood.camera_node.sources.ffmpeg import FfmpegVideo\n"
        "print(FfmpegVideo('rtsp://me:S3CRET@127.0.0.1:1/live', 'a camera').is_open)"
    )
    done = run(
        code,
        OPENCV_LOG_LEVEL="VERBOSE",
        OPENCV_FFMPEG_LOGLEVEL="56",
        OPENCV_FFMPEG_DEBUG="1",
        OPENCV_VIDEOIO_DEBUG="1",
        OPENCV_VIDEOCAPTURE_DEBUG="1",
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.mark.parametrize(
    ("factor", "side"), [(1.0, 800), (0.6, 800), (0.5, 400), (0.3, 400), (0.25, 200), (0.01, 100)]
)
def test_a_jpeg_is_decoded_no_smaller_than_asked_for(factor: float, side: int) -> None:
    data = cv2.imencode(".jpg", np.zeros((800, 800, 3), np.uint8))[1]
    assert cv2.imdecode(data, reduced(factor)).shape[0] == side  # type: ignore[union-attr]


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_a_picture_of_any_kind_is_halved_until_it_fits(ending: str) -> None:
    data = cv2.imencode(ending, np.zeros((600, 800, 3), np.uint8))[1].tobytes()
    assert decode_within(data, 800 * 600).shape == (600, 800, 3)
    assert decode_within(data, 800 * 600 - 1).shape == (300, 400, 3)
    assert decode_within(data, 10_000).shape == (75, 100, 3)


def test_a_png_of_more_pixels_than_are_taken_says_so() -> None:
    wide = np.zeros((8_001, 8_001), np.uint8)
    png = cv2.imencode(".png", wide)[1].tobytes()
    with pytest.raises(PictureTooLarge, match="more than 64000000 pixels"):
        decode(png)


def test_what_does_not_decode_is_an_error_and_no_log_of_the_library(
    capfd: pytest.CaptureFixture[str],
) -> None:
    bmp = cv2.imencode(".bmp", np.zeros((99, 99, 3), np.uint8))[1].tobytes()
    with pytest.raises(PictureDamaged, match="damaged, or of a kind that OpenCV does not read"):
        decode(bmp[: len(bmp) // 2])
    assert capfd.readouterr() == ("", "")
