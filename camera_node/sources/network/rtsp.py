"""Why an address gives no video: what FFmpeg asks for (RFC 2326), once more and in plain sight."""

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

from roommood.camera_node.sources.network import answers
from roommood.camera_node.sources.network.address import Address
from roommood.camera_node.sources.network.authentication import Authentication

_PORTS: Final = {"rtsp": 554, "rtsps": 322}
_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 64 * 1024
_MOST_TRACKS: Final = 8
# All that FFmpeg can answer.
_SPOKEN: Final = ("", "MD5", "MD5-SESS")
_UNREADABLE: Final = (
    "answers, but no video of it can be decoded: is it H.264, H.265 or MJPEG, and is the path that "
    "of a live stream?"
)
_SENDS_NOTHING: Final = (
    "answers, but then sends nothing: restart the camera, close other viewers of it, or use "
    "another stream of it"
)


def why_no_video(address: Address) -> str:
    """A sentence that goes on after the description of the source."""
    if urlsplit(address.url).scheme not in _PORTS:
        return "gives no video that FFmpeg reads: is the address that of a stream or a snapshot?"
    try:
        return _why(address)
    except (OSError, ValueError) as error:
        return answers.of_error(error, _TIMEOUT_S)


class _Reply(NamedTuple):
    status: int
    head: str
    body: str

    def header(self, name: str) -> list[str]:
        return re.findall(rf"(?im)^{name}[ \t]*:[ \t]*(.*?)[ \t]*\r?$", self.head)


class _Conversation:
    """Requests on one connection, with an answer for whoever asks who we are."""

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self._socket = sock
        self._authentication = Authentication(address.credentials)
        self._number = 0

    @property
    def algorithm(self) -> str:
        """Of the Digest that the camera asked for, if any."""
        return self._authentication.algorithm

    def ask(self, method: str, url: str, *headers: str) -> _Reply:
        """Raises OSError, or ValueError for what is no RTSP."""
        reply = self._ask(method, url, headers)
        if reply.status == 401 and self._authentication.learn(reply.header("www-authenticate")):
            reply = self._ask(method, url, headers)
        return reply

    def sends(self) -> bool:
        """Whether anything comes."""
        return bool(self._socket.recv(1))

    def _ask(self, method: str, url: str, headers: tuple[str, ...]) -> _Reply:
        self._number += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._number}", *headers]
        answer = self._authentication.answer(method, url)
        if answer is not None:
            lines.append(f"Authorization: {answer}")
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return _received(self._socket)


def _why(address: Address) -> str:
    parts = urlsplit(address.url)
    where = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
    with socket.create_connection(where, _TIMEOUT_S) as plain:
        sock = _secured(plain) if parts.scheme == "rtsps" else plain
        camera = _Conversation(sock, address)
        for method in ("OPTIONS", "DESCRIBE"):
            described = camera.ask(method, address.url, "Accept: application/sdp")
            if described.status != 200:
                return answers.of_status(described.status, address.credentials is not None)
        media = set(re.findall(r"(?m)^m=(\w+)", described.body))
        if media and "video" not in media:
            return answers.AUDIO_ONLY
        if camera.algorithm not in _SPOKEN:
            return _unspoken(camera.algorithm)
        return _why_not_played(camera, address, described)


def _why_not_played(camera: _Conversation, address: Address, described: _Reply) -> str:
    """Of a camera that tells what it has: whether it gives it, too."""
    has_user = address.credentials is not None
    base = (described.header("content-base") or [address.url])[0]
    session: list[str] = []
    try:
        for number, track in enumerate(_tracks(described.body, base)):
            channels = f"interleaved={2 * number}-{2 * number + 1}"
            reply = camera.ask(
                "SETUP", track, f"Transport: RTP/AVP/TCP;unicast;{channels}", *session
            )
            if reply.status != 200:
                return answers.of_status(reply.status, has_user)
            session = [f"Session: {name.partition(';')[0]}" for name in reply.header("session")]
        reply = camera.ask("PLAY", base, *session, "Range: npt=0.000-")
        if reply.status != 200:
            return answers.of_status(reply.status, has_user)
        return _UNREADABLE if camera.sends() else _SENDS_NOTHING
    except TimeoutError:
        return _SENDS_NOTHING


def _tracks(description: str, base: str) -> Iterator[str]:
    """The address of each medium of an SDP (RFC 4566)."""
    for media in re.split(r"(?m)^m=", description)[1 : _MOST_TRACKS + 1]:
        control = re.search(r"(?m)^a=control:(\S+)", media)
        name = control.group(1) if control else ""
        is_whole = name.lower().startswith(("rtsp:", "rtsps:"))
        yield name if is_whole else urljoin(base, name) if name[:1] == "/" else _under(base, name)


def _under(base: str, name: str) -> str:
    return f"{base.rstrip('/')}/{name}" if name and name != "*" else base


def _unspoken(algorithm: str) -> str:
    return (
        f"wants the password by Digest with {algorithm}, which FFmpeg does not speak: let it take "
        "MD5 for RTSP, in its settings"
    )


def _secured(plain: socket.socket) -> ssl.SSLSocket:
    """As FFmpeg does it: no certificate is asked for."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def _received(sock: socket.socket) -> _Reply:
    data = b""
    while (end := re.search(rb"\r?\n\r?\n", data)) is None:
        data += _more(sock, data)
    head = data[: end.start()].decode("utf-8", "replace")
    length = re.search(r"(?im)^content-length[ \t]*:[ \t]*(\d{1,6})", head)
    whole = end.end() + (int(length.group(1)) if length else 0)
    while len(data) < whole:
        data += _more(sock, data)
    # What it sends may begin before it says that it plays.
    start = re.search(r"RTSP/\S+\s+(\d{3})", head)
    if start is None:
        raise ValueError("it speaks no RTSP")
    return _Reply(int(start.group(1)), head, data[end.end() : whole].decode("utf-8", "replace"))


def _more(sock: socket.socket, data: bytes) -> bytes:
    more = sock.recv(4096)
    if not more and not data:
        raise ConnectionResetError("it ends the connection")
    if not more or len(data) > _MOST_BYTES:
        raise ValueError("it ended its answer early" if not more else "its answer is too long")
    return more
