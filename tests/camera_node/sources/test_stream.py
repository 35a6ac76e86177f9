"""Video files and network streams: real files, and a real HTTP server on loopback."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from roommood.camera_node.capture import BackOff, Capture
from roommood.camera_node.sources.open import open_source
from roommood.camera_node.sources.picture import EndOfSource, Interrupted, Picture
from roommood.camera_node.sources.stream import Stream, VideoFile
from roommood.shared.errors import SourceError
from roommood.shared.opencv import cv2

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


def once(source: VideoFile) -> list[Picture]:
    pictures = []
    with source, contextlib.suppress(EndOfSource):
        while True:
            pictures.append(source.read())
    return pictures


class Camera(http.server.ThreadingHTTPServer):
    """Sends JPEGS in turn: `per_request` of them, or for ever; then closes or falls silent."""

    daemon_threads = True

    def __init__(self, per_request: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.per_request, self.requests = per_request, 0
        self.silent_after: int | None = None
        self.empty_each: int | None = None
        self.stopping = threading.Event()
        self.url = f"http://user:secret@127.0.0.1:{self.server_port}/video"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Camera

    def do_GET(self) -> None:
        self.server.requests += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        while not self.server.stopping.wait(0.005) and number != self.server.per_request:
            is_empty = self.server.empty_each and number % self.server.empty_each == 1
            data = b"" if is_empty else JPEGS[number % FRAMES]
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
            try:
                self.wfile.write(head + data + b"\r\n")
            except OSError:
                return
            number += 1
            if number == self.server.silent_after:
                self.server.stopping.wait(30)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def camera() -> Iterator[Camera]:
    server = Camera()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stopping.set()
    server.shutdown()
    server.server_close()
    thread.join()


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
    levels = [float(picture.pixels.mean()) for picture in pictures if picture.pixels is not None]
    assert levels == pytest.approx([20 * n for n in range(FRAMES)], abs=6)


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


@pytest.mark.parametrize("content", [b"", b"RIFF" + bytes(2000), b"text\n" * 100])
def test_a_file_that_is_no_video_cannot_be_opened(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.avi"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"clip\.avi"), VideoFile(path) as source:
        source.read()


def test_a_truncated_video_plays_as_far_as_it_goes(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.avi", "MJPG")
    whole = [picture.jpeg for picture in once(VideoFile(path, loop=False))]
    data = path.read_bytes()
    path.write_bytes(data[: data.index(whole[7] or b"")])
    assert [picture.jpeg for picture in once(VideoFile(path, loop=False))] == whole[:7]


def test_an_mjpeg_stream_passes_byte_for_byte(camera: Camera) -> None:
    with open_source(camera.url) as source:
        pictures = [source.read() for _ in range(2 * FRAMES)]
        assert (source.width, source.height) == (160, 120)
    assert [picture.jpeg for picture in pictures] == JPEGS * 2


def test_a_stream_is_thinned_to_the_rate_asked_for(camera: Camera) -> None:
    with Stream(camera.url, rate_hz=20.0) as source:
        times = [source.read().captured_ms for _ in range(6)]
    assert (times[-1] - times[0]) / 5 == pytest.approx(50, abs=15)


def test_a_stream_that_ends_is_a_source_that_went_away(camera: Camera) -> None:
    camera.per_request = 5
    with Stream(camera.url) as source:
        pictures = [source.read() for _ in range(5)]
        assert [picture.jpeg for picture in pictures] == JPEGS[:5]
        with pytest.raises(SourceError, match="ended, or fell silent"):
            source.read()


def test_a_stream_that_falls_silent_is_given_up(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roommood.camera_node.sources.stream._TIMEOUT_MS", 300)
    camera.silent_after = 5
    with Stream(camera.url) as source:
        for _ in range(5):
            source.read()
        with pytest.raises(SourceError, match="ended, or fell silent"):
            source.read()


def test_nobody_at_the_address_is_an_error_without_the_password() -> None:
    with pytest.raises(SourceError, match="gave no video within 5 s") as caught:
        Stream("http://user:secret@127.0.0.1:1/video").open()
    assert "secret" not in str(caught.value)


def test_an_empty_part_is_passed_over(camera: Camera) -> None:
    camera.empty_each = 4
    with Stream(camera.url) as source:
        pictures = [source.read() for _ in range(9)]
    shown = [n for n in range(FRAMES) if n % 4 != 1]
    assert [picture.jpeg for picture in pictures] == [JPEGS[n] for n in shown]


def test_a_stream_that_drops_is_connected_again_and_again(camera: Camera) -> None:
    camera.per_request = 8
    arrived = threading.Semaphore(0)
    capture = Capture(Stream(camera.url), wake=arrived.release, back_off=BackOff(0.01, 0.02))
    capture.wanted = True
    capture.start()
    for _ in range(20):
        assert arrived.acquire(timeout=10)
    assert capture.stop()
    counts = capture.counts()
    assert camera.requests >= 3
    assert counts.captured == counts.skipped + counts.waiting >= 20
