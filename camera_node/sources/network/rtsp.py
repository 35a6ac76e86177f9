"""Why an address gives no video: one plain DESCRIBE (RFC 2326), where FFmpeg says nothing."""

import re
import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

from roommood.camera_node.sources.network import answers
from roommood.camera_node.sources.network.address import Address
from roommood.camera_node.sources.network.authentication import Authentication

_PORTS: Final = {"rtsp": 554, "rtsps": 322}
_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 64 * 1024
_UNREADABLE: Final = (
    "answers, but no video of it can be decoded: is it H.264, H.265 or MJPEG, and is the path that "
    "of a live stream?"
)


def why_no_video(address: Address) -> str:
    """A sentence that goes on after the description of the source."""
    if urlsplit(address.url).scheme not in _PORTS:
        return "gives no video that FFmpeg reads: is the address that of a stream or a snapshot?"
    try:
        status, body = _describe(address)
    except (OSError, ValueError) as error:
        return answers.of_error(error, _TIMEOUT_S)
    if status != 200:
        return answers.of_status(status, address.credentials is not None)
    media = set(re.findall(r"(?m)^m=(\w+)", body))
    return answers.AUDIO_ONLY if media and "video" not in media else _UNREADABLE


def _describe(address: Address) -> tuple[int, str]:
    """Status and body. Raises OSError, or ValueError for what is no RTSP."""
    parts = urlsplit(address.url)
    where = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
    authentication = Authentication(address.credentials)
    with socket.create_connection(where, _TIMEOUT_S) as plain:
        sock = _secured(plain) if parts.scheme == "rtsps" else plain
        status, headers, body = _ask(sock, address.url, 1, authentication)
        if status == 401 and authentication.learn(headers):
            status, _, body = _ask(sock, address.url, 2, authentication)
    return status, body


def _secured(plain: socket.socket) -> ssl.SSLSocket:
    """As FFmpeg does it: no certificate is asked for."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def _ask(
    sock: socket.socket, url: str, number: int, authentication: Authentication
) -> tuple[int, list[str], str]:
    lines = [f"DESCRIBE {url} RTSP/1.0", f"CSeq: {number}", "Accept: application/sdp"]
    answer = authentication.answer("DESCRIBE", url)
    if answer is not None:
        lines.append(f"Authorization: {answer}")
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    head, body = _received(sock)
    start = re.match(r"RTSP/\S+\s+(\d{3})", head)
    if start is None:
        raise ValueError("it speaks no RTSP")
    challenges = re.findall(r"(?im)^www-authenticate[ \t]*:[ \t]*(.*?)[ \t]*\r?$", head)
    return int(start.group(1)), challenges, body


def _received(sock: socket.socket) -> tuple[str, str]:
    data = b""
    while (end := re.search(rb"\r?\n\r?\n", data)) is None:
        data += _more(sock, data)
    head = data[: end.start()].decode("utf-8", "replace")
    length = re.search(r"(?im)^content-length[ \t]*:[ \t]*(\d{1,6})", head)
    whole = end.end() + (int(length.group(1)) if length else 0)
    while len(data) < whole:
        data += _more(sock, data)
    return head, data[end.end() : whole].decode("utf-8", "replace")


def _more(sock: socket.socket, data: bytes) -> bytes:
    more = sock.recv(4096)
    if not more and not data:
        raise ConnectionResetError("it ends the connection")
    if not more or len(data) > _MOST_BYTES:
        raise ValueError("it ended its answer early" if not more else "its answer is too long")
    return more
