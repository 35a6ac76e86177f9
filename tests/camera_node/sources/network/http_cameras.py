"""Cameras over HTTP on loopback: each manner is what some real camera does."""

import base64
import hashlib
import http.server
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from roommood.shared.opencv import cv2

COUNT: Final = 12
END: Final = b"\r\n"
# Sound that happens to hold what a JPEG begins with.
SOUND: Final = b"\0\1\2" * 200 + b"\xff\xd8\xff\xe0" + bytes(200)


def jpeg(level: int) -> bytes:
    pixels = np.full((120, 160, 3), level, np.uint8)
    cv2.circle(pixels, (80, 60), 30, (0, 0, 255), -1)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


JPEGS: Final = [jpeg(20 * n) for n in range(COUNT)]
Part = Callable[[int, bytes], bytes]


def part(*headers: bytes, boundary: bytes = b"frame", end: bytes = END) -> Part:
    """A boundary, headers in which %d is the picture's length, the picture."""

    def made(_: int, picture: bytes) -> bytes:
        length = b"%d" % len(picture)
        lines = [b"--" + boundary, *(line.replace(b"%d", length) for line in headers), b""]
        return end.join(lines) + end + picture + end

    return made


JPEG_TYPE, LENGTH = b"Content-Type: image/jpeg", b"Content-Length: %d"
PLAIN = part(JPEG_TYPE, LENGTH)


def among(other: bytes, each: int = 4) -> Part:
    """Plain parts, and after each few of them another."""
    return lambda n, picture: PLAIN(n, picture) + (other if n % each == each - 1 else b"")


def no_first_boundary(_: int, picture: bytes) -> bytes:
    return b"\r\n".join([JPEG_TYPE, LENGTH % len(picture), b"", picture, b"--frame", b""])


def padded(n: int, picture: bytes) -> bytes:
    return PLAIN(n, picture + bytes(500))


# All of these give JPEGS in turn, byte for byte.
PARTS: Final[dict[str, Part]] = {
    "plain": PLAIN,
    "no length": part(JPEG_TYPE),
    "no type": part(LENGTH),
    "no headers": part(),
    "line feeds only": part(JPEG_TYPE, LENGTH, end=b"\n"),
    "names in lower case": part(b"content-type: image/jpeg", b"content-length: %d"),
    "image/jpg": part(b"Content-Type: image/jpg", LENGTH),
    "image/jpeg; charset=binary": part(JPEG_TYPE + b"; charset=binary", LENGTH),
    "length 0": part(JPEG_TYPE, b"Content-Length: 0"),
    "length too small": part(JPEG_TYPE, b"Content-Length: 100"),
    "length too large": part(JPEG_TYPE, b"Content-Length: 9%d"),
    "another boundary than announced": part(JPEG_TYPE, LENGTH, boundary=b"other"),
    "no first boundary": no_first_boundary,
    "pictures without parts": lambda _, picture: picture,
    "zeros after each picture": padded,
    "sound among them": among(part(b"Content-Type: audio/basic")(0, SOUND)),
    "text among them": among(part(b"Content-Type: text/plain")(0, b"motion=1 \xff\xd8\xff")),
    "PNG among them": among(part(b"Content-Type: image/png")(0, b"\x89PNG\xff\xd8\xff")),
    "empty parts among them": among(b"--frame\r\n" + JPEG_TYPE + b"\r\n\r\n\r\n"),
    "cut pictures among them": among(PLAIN(0, JPEGS[0][:700])),
}


class HttpCamera(http.server.ThreadingHTTPServer):
    """Sends its pictures in turn, by `part`: `per_request` of them, or for ever; then closes, or is
    silent, or goes on without pictures (`after`)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.part: Part = PLAIN
        self.pictures = JPEGS
        self.kind: str | None = "multipart/x-mixed-replace; boundary=frame"
        self.chunked = False
        self.per_request: int | None = None
        self.after = "close"
        self.pause_s = 0.005
        self.status = 200
        self.headers: list[tuple[str, str]] = []
        self.whole: bytes | None = None
        self.login: Callable[[str, str], bool] | None = None
        self.asked: list[tuple[str, str | None]] = []
        self.stopping = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/video"

    def with_user(self, user: str, password: str) -> str:
        return self.url.replace("http://", f"http://{user}:{password}@")

    def handle_error(self, *_: object) -> None:
        """A reader that goes away is no news."""


class _Request(http.server.BaseHTTPRequestHandler):
    server: HttpCamera
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        camera = self.server
        given = self.headers.get("Authorization")
        camera.asked.append((self.path, given))
        if camera.login is not None and not camera.login(given or "", self.path):
            self._answer(401, camera.headers, b"")
        elif camera.whole is not None or camera.status != 200:
            self._answer(camera.status, camera.headers, camera.whole or b"")
        else:
            self._stream()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        if self.server.kind and status == 200:
            self.send_header("Content-Type", self.server.kind)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        camera, self.close_connection = self.server, True
        self.send_response(200)
        if camera.kind:
            self.send_header("Content-Type", camera.kind)
        if camera.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in self._numbers():
            self._send(camera.part(number, camera.pictures[number % len(camera.pictures)]))
            camera.stopping.wait(camera.pause_s)
        while camera.after != "close" and not camera.stopping.wait(0.02):
            if camera.after == "go on without pictures":
                self._send(b"--frame\r\n\r\n")

    def _numbers(self) -> Iterator[int]:
        for number in itertools.count():
            if self.server.stopping.is_set() or number == self.server.per_request:
                return
            yield number

    def _send(self, data: bytes) -> None:
        if self.server.chunked and data:
            data = b"%x\r\n" % len(data) + data + b"\r\n"
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def basic(user: str, password: str) -> Callable[[str, str], bool]:
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return lambda given, _: given == expected


def digest(user: str, password: str, name: str = "md5") -> Callable[[str, str], bool]:
    """RFC 7616 from the server's side, with qop=auth."""

    def hashed(*parts: str) -> str:
        return hashlib.new(name, ":".join(parts).encode()).hexdigest()

    def is_right(given: str, path: str) -> bool:
        sent = dict(re.findall(r'(\w+)="?([^",]*)"?', given.removeprefix("Digest ")))
        secret, expected = hashed(user, "camera", password), hashed("GET", path)
        middle = [sent.get(key, "") for key in ("nonce", "nc", "cnonce", "qop")]
        return sent.get("uri") == path and sent.get("response") == hashed(secret, *middle, expected)

    return is_right
