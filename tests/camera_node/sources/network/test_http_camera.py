"""Cameras over HTTP as they are: a real server on loopback, in every manner that is known."""

import socket
import ssl
import subprocess
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from roommood.camera_node.back_off import BackOff
from roommood.camera_node.capture import Capture
from roommood.camera_node.encoder import Encoder
from roommood.camera_node.sources.open import open_source
from roommood.camera_node.sources.picture import Interrupted
from roommood.shared.errors import SourceError
from roommood.shared.opencv import cv2
from tests import hooks
from tests.camera_node.sources.manners import HTTP_REFUSALS, NO_PICTURES
from tests.camera_node.sources.network.http_cameras import (
    COUNT,
    JPEGS,
    PARTS,
    PLAIN,
    HttpCamera,
    Part,
    basic,
    digest,
    part,
)


def pictures(url: str, count: int = 2 * COUNT, **options: object) -> list[bytes | None]:
    with open_source(url, **options) as source:  # type: ignore[arg-type]
        return [source.read().jpeg for _ in range(count)]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("manner", PARTS.values(), ids=PARTS.keys())
def test_every_picture_comes_byte_for_byte(camera: HttpCamera, manner: Part, chunked: bool) -> None:
    camera.part, camera.chunked = manner, chunked
    assert pictures(camera.url) == JPEGS * 2


@pytest.mark.parametrize(
    "kind", [None, "video/x-motion-jpeg", 'multipart/mixed; boundary="frame"', "multipart/mixed"]
)
@pytest.mark.parametrize("manner", ["plain", "pictures without parts"])
def test_whatever_the_answer_is_called(camera: HttpCamera, kind: str | None, manner: str) -> None:
    camera.part, camera.kind = PARTS[manner], kind
    assert pictures(camera.url) == JPEGS * 2


def test_a_stream_is_thinned_to_the_rate_asked_for(camera: HttpCamera) -> None:
    with open_source(camera.url, rate_hz=20.0) as source:
        times = [source.read().captured_ms for _ in range(6)]
    assert (times[-1] - times[0]) / 5 == pytest.approx(50, abs=15)


@pytest.mark.parametrize("whole", [False, True])
def test_who_only_grabs_passes_over_each_picture_once(camera: HttpCamera, whole: bool) -> None:
    if whole:
        camera.whole, camera.kind = JPEGS[0], "image/jpeg"
    with open_source(camera.url) as source:
        times = [source.grab().captured_ms for _ in range(3)]
        picture = source.retrieve()
    assert times == sorted(set(times))
    assert picture.jpeg == (JPEGS[0] if whole else JPEGS[2])


def test_one_picture_in_several_seconds_is_waited_for(
    camera: HttpCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is silence is learnt from the camera; here in tenths of a second."""
    hooks.an_http_camera_is_silent_after(monkeypatch, 0.05)
    camera.pause_s = 0.3
    assert pictures(camera.url, 4) == JPEGS[:4]


@pytest.mark.parametrize("after", ["be silent", "go on without pictures"])
def test_a_stream_without_further_pictures_is_given_up(
    camera: HttpCamera, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    hooks.an_http_camera_is_silent_after(monkeypatch, 0.3)
    camera.per_request, camera.after = 5, after
    with open_source(camera.url) as source:
        assert [source.read().jpeg for _ in range(5)] == JPEGS[:5]
        with pytest.raises(SourceError, match="fell silent"):
            source.read()


def test_a_stream_that_ends_is_a_source_that_went_away(camera: HttpCamera) -> None:
    camera.per_request = 5
    with open_source(camera.url) as source:
        assert [source.read().jpeg for _ in range(5)] == JPEGS[:5]
        with pytest.raises(SourceError, match="ended"):
            source.read()


def test_a_stream_that_drops_is_connected_again_and_again(camera: HttpCamera) -> None:
    camera.per_request = 8
    arrived = threading.Semaphore(0)
    source = open_source(camera.url)
    capture = Capture(source, wake=arrived.release, back_off=BackOff(0.01, 0.02))
    capture.is_frame_wanted = True
    capture.start()
    for _ in range(20):
        assert arrived.acquire(timeout=10)
    assert capture.stop()
    assert len(camera.asked) >= 3
    assert capture.counts().captured >= 20


def test_a_wait_for_a_picture_can_be_interrupted(camera: HttpCamera) -> None:
    camera.per_request, camera.after = 1, "be silent"
    with open_source(camera.url) as source:
        source.read()
        threading.Timer(0.05, source.interrupt).start()
        with pytest.raises(Interrupted):
            source.read()


def test_only_cut_pictures_are_a_camera_that_is_damaged(camera: HttpCamera) -> None:
    camera.part = lambda n, picture: PLAIN(n, picture[:700])
    with pytest.raises(SourceError, match="only damaged pictures: cut off"):
        open_source(camera.url).open()


@pytest.mark.parametrize("kind", ["image/jpeg", "image/jpg; x=y", "application/octet-stream"])
def test_a_snapshot_is_fetched_again_and_again_at_the_rate(camera: HttpCamera, kind: str) -> None:
    camera.whole, camera.kind = JPEGS[3], kind
    with open_source(camera.url, rate_hz=20.0) as source:
        seen = [source.read() for _ in range(5)]
        assert source.rate_hz == 20.0
    assert [picture.jpeg for picture in seen] == [JPEGS[3]] * 5
    assert len(camera.asked) == 5
    gaps_ms = [later.captured_ms - picture.captured_ms for picture, later in pairwise(seen)]
    assert sum(gaps_ms) / len(gaps_ms) > 25
    assert min(gaps_ms) < 75, "not one of them comes in time"


@pytest.mark.parametrize(
    ("kind", "manner", "after"),
    [
        (None, "pictures without parts", "close"),
        ("application/octet-stream", "pictures without parts", "close"),
        ("multipart/x-mixed-replace", "plain", "close"),
        ("image/jpeg", "pictures without parts", "close"),
        ("image/jpeg", "pictures without parts", "be silent"),
    ],
)
def test_one_picture_an_answer_is_a_snapshot_by_any_name(
    camera: HttpCamera, kind: str | None, manner: str, after: str
) -> None:
    camera.kind, camera.part, camera.after = kind, PARTS[manner], after
    camera.per_request = 1
    assert pictures(camera.url, 4, rate_hz=100.0) == [JPEGS[0]] * 4
    assert len(camera.asked) == 4


def test_a_picture_that_never_ends_is_no_snapshot_to_be_waited_for(camera: HttpCamera) -> None:
    camera.kind, camera.part = "image/jpeg", PARTS["pictures without parts"]
    assert pictures(camera.url, 3, rate_hz=100.0) == [JPEGS[0]] * 3


def test_a_snapshot_that_becomes_a_stream_is_opened_again(camera: HttpCamera) -> None:
    camera.per_request = 1
    with open_source(camera.url, rate_hz=100.0) as source:
        assert [source.read().jpeg for _ in range(2)] == [JPEGS[0]] * 2
        camera.per_request = None
        with pytest.raises(SourceError, match="sends a stream"):
            source.read()


def test_a_snapshot_may_be_a_png(camera: HttpCamera) -> None:
    camera.whole = cv2.imencode(".png", np.full((48, 64, 3), 9, np.uint8))[1].tobytes()
    camera.kind = "image/png"
    with open_source(camera.url) as source:
        pixels = source.read().pixels
    assert pixels is not None
    assert pixels.shape == (48, 64, 3)


def test_a_snapshot_that_lies_on_its_side_goes_out_upright(camera: HttpCamera) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    camera.whole, camera.kind = JPEGS[3][:2] + segment + JPEGS[3][2:], "image/jpeg"
    with open_source(camera.url) as source:
        encoded = Encoder().encode(source.read())
        assert (source.width, source.height) == (120, 160)
    assert (encoded.width, encoded.height) == (120, 160)


@pytest.mark.parametrize("name", ["clip.avi", "clip.mp4"])
def test_a_clip_over_http_plays_whole_and_over_and_over(
    camera: HttpCamera, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 50, (160, 120))
    for number in range(8):
        writer.write(np.full((120, 160, 3), 30 * number, np.uint8))
    writer.release()
    camera.whole, camera.kind = path.read_bytes(), "video/mp4"
    with open_source(camera.with_user("user", "secret")) as source:
        levels = [source.read().pixels.mean() for _ in range(16)]  # type: ignore[union-attr]
        assert source.may_repeat
        assert "secret" not in source.description
    assert levels == pytest.approx([30 * number for number in range(8)] * 2, abs=6)


def test_a_stream_of_12_megapixels_goes_out_as_small_as_is_set(camera: HttpCamera) -> None:
    large = cv2.imencode(".jpg", np.full((3000, 4000, 3), 90, np.uint8))[1].tobytes()
    camera.pictures = [large]
    with open_source(camera.url, width=640, height=480) as source:
        picture = source.read()
        assert (source.width, source.height) == (4000, 3000)
    encoded = Encoder(max_width=640, max_height=480).encode(picture)
    assert (encoded.width, encoded.height) == (640, 480)


@pytest.mark.parametrize(("status", "message"), HTTP_REFUSALS.items())
def test_each_refusal_has_its_sentence(camera: HttpCamera, status: int, message: str) -> None:
    camera.status = status
    with pytest.raises(SourceError, match=rf"stream http://127\.0\.0\.1:\d+ {message}"):
        open_source(camera.url).open()


@pytest.mark.parametrize(("kind", "body", "message"), NO_PICTURES.values(), ids=NO_PICTURES.keys())
def test_what_is_no_picture_has_its_sentence(
    camera: HttpCamera, kind: str | None, body: bytes, message: str
) -> None:
    camera.kind, camera.whole = kind, body
    with pytest.raises(SourceError, match=message):
        open_source(camera.url).open()


def test_parts_of_sound_only_are_told(camera: HttpCamera) -> None:
    camera.part, camera.per_request = part(b"Content-Type: audio/basic"), 3
    with pytest.raises(SourceError, match="sends sound only"):
        open_source(camera.url).open()


def test_nobody_there_is_told_without_the_password() -> None:
    with pytest.raises(SourceError, match="refuses the connection") as caught:
        open_source("http://user:secret@127.0.0.1:1/video").open()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("speaks", [b"RTSP/1.0 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"])
def test_what_speaks_no_http_is_told(speaks: bytes) -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(speaks)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=[server])
        thread.start()
        with pytest.raises(SourceError, match=r"answers, but not in HTTP \('(RTSP|SSH)"):
            open_source(f"http://127.0.0.1:{server.getsockname()[1]}/").open()
        thread.join()


def test_a_camera_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roommood.camera_node.sources.network.http.CONNECT_S", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(SourceError, match="does not answer within"),
    ):
        open_source(f"http://127.0.0.1:{mute.getsockname()[1]}/").open()


CHALLENGES = {
    "md5": 'Digest realm="camera", qop="auth", nonce="abc", opaque="xyz"',
    "sha256": 'Digest realm="camera", algorithm=SHA-256, qop="auth,auth-int", nonce="abc"',
}


def test_basic_is_answered_once_it_is_asked_for(camera: HttpCamera) -> None:
    camera.login = basic("user", "p@ss#word")
    camera.headers = [("WWW-Authenticate", 'Basic realm="camera"')]
    assert pictures(camera.with_user("user", "p%40ss%23word"), 2) == JPEGS[:2]
    assert camera.asked[0][1] is None


@pytest.mark.parametrize("name", CHALLENGES)
def test_digest_is_answered(camera: HttpCamera, name: str) -> None:
    camera.login = digest("user", "secret", name)
    camera.headers = [
        ("WWW-Authenticate", 'Basic realm="camera"'),
        ("WWW-Authenticate", CHALLENGES[name]),
    ]
    assert pictures(camera.with_user("user", "secret") + "?channel=1", 2) == JPEGS[:2]
    assert camera.asked[-1][1].startswith("Digest ")  # type: ignore[union-attr]


def test_each_snapshot_answers_the_digest_anew(camera: HttpCamera) -> None:
    camera.login = digest("user", "secret")
    camera.headers = [("WWW-Authenticate", CHALLENGES["md5"])]
    camera.whole, camera.kind = JPEGS[0], "image/jpeg"
    url = camera.with_user("user", "secret")
    assert pictures(url, 4, rate_hz=100.0) == [JPEGS[0]] * 4
    assert len({given for _, given in camera.asked}) == len(camera.asked) == 5


def test_a_nonce_that_is_good_for_one_request_is_answered_each_time(camera: HttpCamera) -> None:
    """And is not called stale, as it should be."""
    is_right, used = digest("user", "secret"), set[str]()

    def takes(given: str, path: str) -> bool:
        nonce = given.partition('nonce="')[2].partition('"')[0]
        is_new = bool(nonce) and nonce not in used
        used.add(nonce)
        challenge = f'Digest realm="camera", qop="auth", nonce="n{len(used)}"'
        camera.headers = [("WWW-Authenticate", challenge)]
        return is_new and is_right(given, path)

    camera.login, camera.whole, camera.kind = takes, JPEGS[0], "image/jpeg"
    assert pictures(camera.with_user("user", "secret"), 4, rate_hz=100.0) == [JPEGS[0]] * 4


def test_a_wrong_password_is_shown_once_at_each_opening(camera: HttpCamera) -> None:
    camera.login = digest("user", "secret")
    camera.headers = [("WWW-Authenticate", CHALLENGES["md5"])]
    source = open_source(camera.with_user("user", "guess"))
    for _ in range(3):
        with pytest.raises(SourceError, match="refuses this user and password"):
            source.open()
    assert sum(given is not None for _, given in camera.asked) == 3


def test_a_wrong_password_is_told_and_not_tried_twice(camera: HttpCamera) -> None:
    camera.login = basic("user", "secret")
    camera.headers = [("WWW-Authenticate", 'Basic realm="camera"')]
    with pytest.raises(SourceError, match="refuses this user and password"):
        open_source(camera.with_user("user", "guess")).open()
    assert len(camera.asked) == 2


def test_the_password_may_come_from_a_file(camera: HttpCamera, tmp_path: Path) -> None:
    camera.login = basic("user", "secret")
    file = tmp_path / "password"
    file.write_text("secret\n")
    file.chmod(0o600)
    url = camera.url.replace("http://", "http://user@")
    assert pictures(url, 1, password_file=file) == JPEGS[:1]


def test_a_redirect_is_followed(camera: HttpCamera) -> None:
    door = HttpCamera()
    door.status, door.headers = 302, [("Location", camera.url)]
    thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        assert pictures(door.with_user("user", "secret"), 2) == JPEGS[:2]
    finally:
        door.shutdown()
        door.server_close()
        thread.join()


def test_no_password_follows_a_redirect_to_somebody_else(camera: HttpCamera) -> None:
    camera.login = basic("user", "secret")
    door = HttpCamera()
    door.status, door.headers = 302, [("Location", camera.url)]
    thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with pytest.raises(SourceError, match=r"redirects to .* which wants user and password"):
            open_source(door.with_user("user", "secret")).open()
    finally:
        door.shutdown()
        door.server_close()
        thread.join()
    assert [given for _, given in camera.asked] == [None]


@pytest.mark.parametrize("place", ["file:///etc/hostname", "ftp://127.0.0.1/", "http://[", ""])
def test_a_redirect_to_something_else_is_refused(camera: HttpCamera, place: str) -> None:
    camera.status, camera.headers = 302, [("Location", place)]
    with pytest.raises(SourceError, match="which is not followed"):
        open_source(camera.url).open()


def test_a_path_is_written_as_browsers_write_it(camera: HttpCamera) -> None:
    for path in ("/küche 1.jpg?name=Büro", "/a%20b?c=d%2Fe"):
        pictures(camera.url.replace("/video", path), 1)
    written = ["/k%C3%BCche%201.jpg?name=B%C3%BCro", "/a%20b?c=d%2Fe"]
    assert [path for path, _ in camera.asked] == written


def test_redirects_in_a_circle_end(camera: HttpCamera) -> None:
    camera.status, camera.headers = 302, [("Location", "/video")]
    with pytest.raises(SourceError, match="redirects more than 5 times"):
        open_source(camera.url).open()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "camera.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=camera"]
    command += ["-days", "2", "-keyout", str(path), "-out", str(path) + ".crt"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(str(path) + ".crt").read_text())
    return path


def test_a_camera_without_encryption_that_is_asked_for_it_is_told_as_that(
    camera: HttpCamera,
) -> None:
    with pytest.raises(SourceError, match="not encrypted: use http:// for https://"):
        pictures(camera.url.replace("http://", "https://"), 1)


def test_a_camera_with_encryption_that_is_asked_for_none_is_told_as_that(
    camera: HttpCamera, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    camera.socket = context.wrap_socket(camera.socket, server_side=True)
    with pytest.raises(SourceError, match="if it is encrypted there, use https://"):
        open_source(camera.url).open()


@pytest.mark.parametrize("any_certificate", [False, True])
def test_a_certificate_of_its_own_is_taken_on_request_only(
    camera: HttpCamera, certificate: Path, any_certificate: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    camera.socket = context.wrap_socket(camera.socket, server_side=True)
    url = camera.url.replace("http://", "https://")
    if any_certificate:
        assert pictures(url, 2, any_certificate=True) == JPEGS[:2]
    else:
        with pytest.raises(SourceError, match="certificate that is not trusted"):
            open_source(url).open()


@pytest.mark.filterwarnings("ignore:.*TLSv1.* is deprecated:DeprecationWarning")
@pytest.mark.parametrize("is_safe", [True, False])
def test_older_ciphers_are_taken_and_encryption_that_is_not_safe_is_named(
    camera: HttpCamera, certificate: Path, is_safe: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("AES128-SHA:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_2 if is_safe else ssl.TLSVersion.TLSv1_1
    context.load_cert_chain(certificate)
    camera.socket = context.wrap_socket(camera.socket, server_side=True)
    url = camera.url.replace("http://", "https://")
    if is_safe:
        assert pictures(url, 2, any_certificate=True) == JPEGS[:2]
    else:
        with pytest.raises(SourceError, match="speaks no encryption that is safe"):
            open_source(url, any_certificate=True).open()
