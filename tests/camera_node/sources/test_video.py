"""Video files, in their own time."""

import contextlib
import struct
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from roommood.camera_node.sources.ffmpeg import FfmpegVideo
from roommood.camera_node.sources.picture import EndOfSource, Interrupted, Picture
from roommood.camera_node.sources.video import VideoFile
from roommood.shared.errors import SourceError
from roommood.shared.opencv import Pixels, cv2
from tests.camera_node.sources.made_videos import written, zero_frames
from tests.needs import missing

FRAMES = 12


def jpeg(level: int) -> bytes:
    pixels = np.full((120, 160, 3), level, np.uint8)
    cv2.circle(pixels, (80, 60), 30, (0, 0, 255), -1)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


JPEGS = [jpeg(20 * n) for n in range(FRAMES)]


def video(path: Path, codec: str, rate_hz: float = 500.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate_hz, (160, 120))
    assert writer.isOpened()
    for level in range(FRAMES):
        writer.write(np.full((120, 160, 3), 20 * level, np.uint8))
    writer.release()
    return path


def levels(*steps: int, size: tuple[int, int] = (120, 160)) -> list[Pixels]:
    return [np.full((*size, 3), level, np.uint8) for level in steps]


def once(source: VideoFile) -> list[Picture]:
    pictures = []
    with source, contextlib.suppress(EndOfSource):
        while True:
            pictures.append(source.read())
    return pictures


def test_mjpeg_in_a_file_passes_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "raw.mjpeg"
    path.write_bytes(b"".join(JPEGS))
    pictures = once(VideoFile(path, loop=False))
    assert [picture.jpeg for picture in pictures] == JPEGS
    assert {(picture.width, picture.height) for picture in pictures} == {(160, 120)}


def test_mjpeg_inside_an_avi_passes_as_the_bytes_that_the_file_holds(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.avi", "MJPG")
    pictures = once(VideoFile(path, loop=False))
    assert len(pictures) == FRAMES
    data = path.read_bytes()
    assert all(picture.jpeg and picture.jpeg in data for picture in pictures)


def test_any_other_codec_comes_as_pixels(tmp_path: Path) -> None:
    pictures = once(VideoFile(video(tmp_path / "clip.mp4", "mp4v"), loop=False))
    assert len(pictures) == FRAMES
    shown = [float(picture.pixels.mean()) for picture in pictures if picture.pixels is not None]
    assert shown == pytest.approx([20 * n for n in range(FRAMES)], abs=6)


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "MJPG"), ("clip.mp4", "mp4v")])
def test_a_file_plays_over_and_over(tmp_path: Path, name: str, codec: str) -> None:
    with VideoFile(video(tmp_path / name, codec)) as source:
        pictures = [source.read() for _ in range(2 * FRAMES + 1)]
        assert source.rate_hz == pytest.approx(500)
    looks = [p.jpeg or p.pixels.tobytes() for p in pictures]  # type: ignore[union-attr]
    assert looks[:FRAMES] == looks[FRAMES : 2 * FRAMES]
    assert looks[0] == looks[-1]


def test_a_lower_rate_leaves_frames_out_so_that_time_stays_real(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.avi", "MJPG", rate_hz=100.0)
    every = once(VideoFile(path, loop=False))
    with VideoFile(path, rate_hz=20.0, loop=False) as source:
        assert source.rate_hz == 20.0
    thinned = once(VideoFile(path, rate_hz=20.0, loop=False))
    assert len(thinned) == 3
    shown = [[picture.jpeg for picture in every].index(picture.jpeg) for picture in thinned]
    assert shown[1] - shown[0] in (4, 5, 6)
    assert thinned[2].captured_ms - thinned[0].captured_ms == pytest.approx(100, abs=40)


def test_a_file_is_paced_and_its_wait_can_be_interrupted(tmp_path: Path) -> None:
    with VideoFile(video(tmp_path / "clip.avi", "MJPG"), rate_hz=0.01) as source:
        source.read()
        source.interrupt()
        with pytest.raises(Interrupted):
            source.read()


def test_a_long_wait_for_a_frame_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = VideoFile(video(tmp_path / "v.avi", "MJPG", rate_hz=0.05))
    with caplog.at_level("INFO", "camera_node"), source:
        source.read()
        assert not caplog.messages
        timer = threading.Timer(0.2, source.interrupt)
        timer.start()
        with pytest.raises(Interrupted):
            source.read()
        timer.join()
    assert f"{source.description}: its next frame is due in 20 s, by its times" in caplog.messages


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"RIFF" + bytes(2000), "holds no video"),
        (b"text\n" * 100, "holds no video"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_no_video_cannot_be_opened(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "clip.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"clip\.avi .*{problem}"), VideoFile(path) as source:
        source.read()


def test_a_truncated_video_plays_as_far_as_it_goes(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.avi", "MJPG")
    whole = [picture.jpeg for picture in once(VideoFile(path, loop=False))]
    data = path.read_bytes()
    path.write_bytes(data[: data.index(whole[7] or b"")])
    assert [picture.jpeg for picture in once(VideoFile(path, loop=False))] == whole[:7]


def test_a_browsers_webm_plays_by_the_times_of_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "party.webm"
    times_ms = [0, 30, 100, 130, 160, 400, 430, 700, 730, 1000]
    script = Path(__file__).with_name("browser_webm.py")
    command = ["/usr/bin/python3", str(script), str(path), *map(str, times_ms)]
    if subprocess.run(command, capture_output=True, check=False, timeout=60).returncode:
        missing("no VP8 encoder: apt install python3-gi gstreamer1.0-plugins-good")
    pictures = once(VideoFile(path, loop=False))
    shown_ms = [picture.captured_ms - pictures[0].captured_ms for picture in pictures]
    assert shown_ms == pytest.approx(times_ms, abs=150)


def test_a_claim_of_1000_frames_a_second_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FfmpegVideo, "claimed_hz", None)
    with VideoFile(video(tmp_path / "clip.avi", "MJPG", rate_hz=50.0)) as source:
        assert source.rate_hz == pytest.approx(50, abs=1)


def test_a_file_that_must_be_turned_comes_as_upright_pixels(tmp_path: Path) -> None:
    """OpenCV turns what it decodes, by the display matrix, and not the JPEGs that pass."""
    path = video(tmp_path / "clip.mov", "MJPG")
    assert once(VideoFile(path, loop=False))[0].jpeg is not None
    quarter = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    data = path.read_bytes()
    upright = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    track = data.index(b"tkhd")
    place = data.index(upright, track)
    path.write_bytes(data[:place] + quarter + data[place + 36 :])
    pictures = once(VideoFile(path, loop=False))
    assert pictures[0].pixels is not None
    assert (pictures[0].width, pictures[0].height) == (120, 160)


@pytest.mark.parametrize("older", [None, "older.mp4"])
def test_of_an_interlaced_video_comes_its_picture_or_an_error(
    tmp_path: Path, older: str | None
) -> None:
    """OpenCV 4.14 gives whatever memory held: black, or the picture of an older video."""
    size = (576, 720)
    path = written(tmp_path / "tape.avi", "dvsd", levels(*[200] * 3, size=size))
    if older is not None:
        once(VideoFile(written(tmp_path / older, "mp4v", levels(90, size=size)), loop=False))
    problem, pictures = "", []
    try:
        pictures = once(VideoFile(path, loop=False))
    except SourceError as error:
        problem = str(error)
    for picture in pictures:
        assert picture.pixels is not None
        assert picture.pixels.mean() == pytest.approx(200, abs=3)
    assert pictures or "tape.avi is interlaced" in problem


def test_a_place_that_is_damaged_is_passed_over_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "clip.avi", "mp4v", levels(*range(20, 220, 10)), rate_hz=500.0)
    zero_frames(path, 8, 9)
    with VideoFile(path) as source:
        shown = [source.read().pixels.mean() for _ in range(2 * 18)]  # type: ignore[union-attr]
    assert shown[17] == pytest.approx(210, abs=6)
    assert shown[18:] == shown[:18]
    (message,) = caplog.messages
    assert message.endswith("clip.avi gives no frame at one place, then goes on: is it damaged?")


def test_recordings_that_were_put_together_play_to_their_end(tmp_path: Path) -> None:
    """The times of the second begin anew."""
    path = written(tmp_path / "one.ts", "mpg2", levels(*[20] * FRAMES))
    other = written(tmp_path / "two.ts", "mpg2", levels(*[200] * FRAMES))
    path.write_bytes(path.read_bytes() + other.read_bytes())
    pictures = once(VideoFile(path, rate_hz=12.5, loop=False))
    shown = [round(picture.pixels.mean(), -2) for picture in pictures]  # type: ignore[union-attr]
    assert shown == pytest.approx([0] * (FRAMES // 2) + [200] * (FRAMES // 2))
    spent_ms = pictures[-1].captured_ms - pictures[0].captured_ms
    assert spent_ms == pytest.approx(40 * (2 * FRAMES - 2), abs=150)
