"""RTSP cameras: real ones by GStreamer, H.264, H.265 and MJPEG, over TCP and UDP."""

import logging
import re
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from roommood.camera_node.sources.ffmpeg import FfmpegVideo
from roommood.camera_node.sources.open import open_source
from roommood.camera_node.sources.picture import Source
from roommood.shared.clock import boot_ms
from roommood.shared.errors import SourceError
from tests import hooks
from tests.camera_node.sources.burnt_clock import drawn_ms
from tests.camera_node.sources.manners import RTSP_REFUSALS, RTSP_VIDEO
from tests.camera_node.sources.network.rtsp_front import RtspFront
from tests.certificates import make_certificates
from tests.needs import missing
from tests.tls_front import TlsFront

SERVER = Path(__file__).with_name("rtsp_server.py")
SECRET = "p@ss:w/rd%41#?& é"


@dataclass(frozen=True)
class Cameras:
    port: int
    digest_port: int
    basic_port: int
    paths: tuple[str, ...]

    def url(self, path: str) -> str:
        if path not in self.paths and path in ("/h265",):
            missing("no H.265 encoder: apt install gstreamer1.0-plugins-bad")
        return f"rtsp://127.0.0.1:{self.port}{path}"


@pytest.fixture(scope="module")
def cameras() -> Iterator[Cameras]:
    python = "/usr/bin/python3"
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if (
        not Path(python).exists()
        or subprocess.run([python, "-c", check], capture_output=True, check=False).returncode
    ):
        missing("no RTSP server: apt install gir1.2-gst-rtsp-server-1.0 python3-gi")
    process = subprocess.Popen(
        [python, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    ports = process.stdout.readline().split()
    if len(ports) != 4:
        missing("the RTSP server does not start: apt install gstreamer1.0-plugins-{base,good,ugly}")
    yield Cameras(int(ports[0]), int(ports[1]), int(ports[2]), tuple(ports[3].split(",")))
    process.stdin.close()
    process.wait(10)


def dated_wrongly(source: Source) -> float:
    picture = source.read()
    return picture.captured_ms - drawn_ms(picture)


@pytest.mark.parametrize("path", RTSP_VIDEO)
def test_pictures_come_and_are_dated_by_when_they_were_drawn(cameras: Cameras, path: str) -> None:
    with open_source(cameras.url(path)) as source:
        assert (source.width, source.height) == (320, 240)
        pictures = [(source.read(), boot_ms()) for _ in range(40)][15:]
    assert all((shown.jpeg is not None) is (path == "/mjpeg") for shown, _ in pictures)
    # Encoding, sending and decoding a picture is not known to the stream's clock.
    wrong_ms = [picture.captured_ms - drawn_ms(picture) for picture, _ in pictures]
    assert np.median(wrong_ms) < 400
    assert min(wrong_ms) > -100


def test_of_an_interlaced_stream_comes_its_picture_or_an_error(cameras: Cameras) -> None:
    """OpenCV 4.14 gives whatever memory held, an older picture maybe."""
    problem, wrong_ms = "", 0.0
    with open_source(cameras.url("/h264")) as older:
        older.read()
    with open_source(cameras.url("/interlaced")) as source:
        try:
            wrong_ms = dated_wrongly(source)
        except SourceError as error:
            problem = str(error)
    assert "is interlaced" in problem or -100 < wrong_ms < 2000
    assert problem or wrong_ms


def test_a_stream_is_thinned_by_its_own_time(cameras: Cameras) -> None:
    with open_source(cameras.url("/h264"), rate_hz=3.0) as source:
        times = [source.read().captured_ms for _ in range(7)]
    assert (times[-1] - times[1]) / 5 == pytest.approx(333, abs=80)


# Key frames, one a second, come between the pictures that are due.
_UNEVEN_HZ = 3.7


def most_ms_between_pictures(
    cameras: Cameras, clock_s: float, patch: pytest.MonkeyPatch | None = None
) -> float:
    """Of the clock drawn in them, where the stream's own is set while it runs."""
    with (
        RtspFront(cameras.port) as front,
        open_source(f"rtsp://127.0.0.1:{front.port}/h264", rate_hz=_UNEVEN_HZ) as source,
    ):
        if patch is not None:
            hooks.streams_are_timed_by_their_own_clock(patch)
        drawn = [drawn_ms(source.read()) for _ in range(12)]
        front.clock_s = clock_s
        drawn += [drawn_ms(source.read()) for _ in range(15)]
    return max(after - before for before, after in pairwise(drawn))


@pytest.mark.parametrize("clock_s", [-12.0, 3600.0])
def test_a_stream_whose_clock_is_set_goes_on(
    cameras: Cameras, clock_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert most_ms_between_pictures(cameras, clock_s) < 4000
    assert "key frames" not in caplog.text


def test_a_stream_that_is_timed_by_its_own_clock_would_be_silent_when_it_steps_back(
    cameras: Cameras, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert most_ms_between_pictures(cameras, -12.0, monkeypatch) > 6000


def test_an_encrypted_stream_gives_pictures_and_is_not_read_otherwise(
    cameras: Cameras, tmp_path: Path
) -> None:
    made = make_certificates(tmp_path, "DNS:camera")
    with TlsFront(cameras.port, made / "server.crt", made / "server.key") as front:
        with open_source(f"rtsps://127.0.0.1:{front.port}/h264") as source:
            assert source.read().pixels is not None
        with pytest.raises(SourceError, match=r"if it is encrypted there, use .* rtsps://"):
            open_source(f"rtsp://127.0.0.1:{front.port}/h264").open()
    with pytest.raises(SourceError, match=r"not encrypted: use .* rtsp:// for rtsps://"):
        open_source(cameras.url("/h264").replace("rtsp:", "rtsps:")).open()


@pytest.mark.parametrize("port_name", ["digest_port", "basic_port"])
def test_a_camera_that_knows_its_user_lets_us_in(
    cameras: Cameras, tmp_path: Path, port_name: str
) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET)
    file.chmod(0o600)
    where = f"127.0.0.1:{getattr(cameras, port_name)}/h264"
    with open_source(f"rtsp://user@{where}", password_file=file) as source:
        assert source.read().pixels is not None
    with open_source(f"rtsp://user:{quote(SECRET, safe=':& é')}@{where}") as source:
        assert source.read().pixels is not None


@pytest.mark.parametrize(
    ("path", "message"),
    [("/nothing", r"nothing at this address \(404\)"), ("/sound", "sends sound only")],
)
def test_why_no_video_comes_is_told(cameras: Cameras, path: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(cameras.url(path)).open()


@pytest.mark.parametrize("at", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
@pytest.mark.parametrize(("status", "message"), RTSP_REFUSALS.items())
def test_each_refusal_has_its_sentence(status: int, message: str, at: str) -> None:
    with refusing(at, b"%d Refused" % status) as port, pytest.raises(SourceError, match=message):
        open_source(f"rtsp://127.0.0.1:{port}/video").open()


def test_a_camera_that_plays_but_sends_nothing_is_told() -> None:
    with refusing("TEARDOWN", b"") as port, pytest.raises(SourceError, match="then sends nothing"):
        open_source(f"rtsp://127.0.0.1:{port}/video").open()


def test_a_digest_that_is_not_spoken_is_told_as_that() -> None:
    wants = b'401 Who\r\nWWW-Authenticate: Digest realm="c", nonce="n", algorithm=SHA-256'
    with (
        refusing("DESCRIBE", wants, unless=b"algorithm=SHA-256") as port,
        pytest.raises(SourceError, match="by Digest with SHA-256, which FFmpeg does not speak"),
    ):
        open_source(f"rtsp://user:secret@127.0.0.1:{port}/video").open()


def test_a_camera_that_falls_silent_is_not_called_too_fast(cameras: Cameras) -> None:
    """A decoder gives what it still holds, one frame for each silence."""
    with (
        RtspFront(cameras.port) as front,
        open_source(f"rtsp://127.0.0.1:{front.port}/h264") as source,
    ):
        for _ in range(15):
            source.read()
        front.is_silent = True
        with pytest.raises(SourceError, match="fell silent for 5 s"):
            list(iter(source.read, None))


_SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"


@contextmanager
def refusing(at: str, status: bytes, unless: bytes | None = None) -> Iterator[int]:
    """A port at which one request of RTSP is refused, without `unless` in it; others are granted,
    and no picture ever comes."""

    class Refusal(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request: list[bytes] = []
            for line in self.rfile:
                request.append(line)
                if line == b"\r\n":
                    self.wfile.write(self._answer(request))
                    request = []

        def _answer(self, request: list[bytes]) -> bytes:
            method, lines = request[0].split()[0].decode(), b"".join(request)
            cseq = next(line for line in request if line.lower().startswith(b"cseq"))
            if method == at and (unless is None or unless not in lines):
                return b"RTSP/1.0 %s\r\n%s\r\n" % (status, cseq)
            body = _SDP if method == "DESCRIBE" else b""
            kept = [line for line in request if line.startswith(b"Transport")]
            kept += [b"Session: 7\r\n", b"Content-Length: %d\r\n\r\n" % len(body)]
            return b"".join([b"RTSP/1.0 200 OK\r\n", cseq, *kept, body])

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusal) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("who", "message"), [("", "wants user and password"), ("user:guess@", "refuses this user")]
)
def test_who_is_not_let_in_is_told(cameras: Cameras, who: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        open_source(f"rtsp://{who}127.0.0.1:{cameras.digest_port}/h264").open()
    assert "guess" not in str(caught.value)


def test_nobody_there_is_told() -> None:
    with pytest.raises(SourceError, match="refuses the connection"):
        open_source("rtsp://user:secret@127.0.0.1:1/video").open()


def test_key_frames_far_apart_are_waited_for_and_named(
    cameras: Cameras, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.key_frames_are_far_apart_beyond(monkeypatch, 0.5)
    caplog.set_level(logging.INFO, "camera_node")
    with open_source(cameras.url("/far")) as early:
        early.read()
        # Its next key frame is 6 s away: longer than a silence may last.
        began_ms = boot_ms()
        with open_source(cameras.url("/far")) as late:
            assert late.read().captured_ms - began_ms > 3000
            for _ in range(95):
                late.read()
    messages = " ".join(caplog.messages)
    assert "waiting for its first picture" in messages
    assert re.search(r"its key frames are ([5-9]|1\d)\.\d s apart", messages)


def test_a_stream_that_decodes_too_slowly_is_dated_truly_and_given_up_when_a_second_behind(
    cameras: Cameras, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding = FfmpegVideo.grab

    def slow(video: FfmpegVideo) -> bool:
        time.sleep(0.25)
        return decoding(video)

    with open_source(cameras.url("/h264")) as source:
        for _ in range(15):
            source.read()
        monkeypatch.setattr(FfmpegVideo, "grab", slow)
        wrong_ms: list[float] = []
        with pytest.raises(SourceError, match=r"too fast for this machine.*the camera's sub-st"):
            wrong_ms.extend(wrong for _ in range(100) if (wrong := dated_wrongly(source)))
    assert len(wrong_ms) > 5
    assert np.abs(wrong_ms).max() < 500
    with open_source(cameras.url("/h264")) as source:
        assert boot_ms() - source.read().captured_ms < 1000
