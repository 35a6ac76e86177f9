"""One GET of a camera's address: redirects, authentication, TLS, and what came of it."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from roommood.camera_node.sources.network import answers
from roommood.camera_node.sources.network.address import Address, escaped
from roommood.camera_node.sources.network.authentication import Authentication
from roommood.camera_node.sources.network.names import require_name
from roommood.shared.errors import SourceError
from roommood.shared.process.runtime import release
from roommood.shared.security.secret_urls import redacted

CONNECT_S: Final = 5.0
_MOST_REDIRECTS: Final = 5
_CHUNK_BYTES: Final = 65_536
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}
_FAILURES: Final = (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException)


class Answer:
    """What a camera sends: the bytes of its body as they come."""

    def __init__(
        self, url: str, sock: socket.socket, response: urllib3.response.BaseHTTPResponse
    ) -> None:
        self.url, self.status = url, response.status
        kind = response.headers.get("Content-Type", "")
        self.kind = kind.partition(";")[0].strip().lower()
        self._socket, self._response = sock, response
        self._first = b""

    def headers(self, name: str) -> list[str]:
        return list(self._response.headers.getlist(name))

    def read(self) -> bytes:
        """What has come, once something has; b"" at the end. Raises OSError or the client's."""
        first, self._first = self._first, b""
        return first or self._response.read1(_CHUNK_BYTES)

    def peek(self) -> bytes:
        """The first bytes of the body, which `read` gives again."""
        self._first = self._first or self.read()
        return self._first

    def wait_at_most(self, seconds: float) -> None:
        """Of silence, in any read from now on."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(seconds)

    def interrupt(self) -> None:
        """From any thread: a read that waits ends now."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._response.close()
        with contextlib.suppress(OSError):
            self._socket.close()


class HttpClient:
    """GETs of one camera; it learns how the camera wants to be told who we are."""

    def __init__(self, address: Address, *, any_certificate: bool = False) -> None:
        self._address, self._any_certificate = address, any_certificate
        self._authentication = Authentication(address.credentials)

    def get(self, description: str) -> Answer:
        """The camera's answer with status 200. Raises SourceError, one sentence for each reason."""
        url = self._address.url
        for _ in range(_MOST_REDIRECTS + 1):
            require_name(url, description)
            try:
                answer = self._get_from(url)
            except _FAILURES as error:
                raise SourceError(f"{description} {answers.of_error(error, CONNECT_S)}") from error
            if answer.status not in _REDIRECTS:
                break
            answer.close()
            url = self._led_to(url, answer, description)
        else:
            raise SourceError(f"{description} redirects more than {_MOST_REDIRECTS} times")
        if not 200 <= answer.status < 300:
            answer.close()
            raise SourceError(f"{description} {self._refusal(answer.status, url)}")
        return answer

    def _refusal(self, status: int, url: str) -> str:
        if status == 401:
            self._authentication.forget()
        has_user = self._address.credentials is not None
        if status == 401 and has_user and not self._is_camera(url):
            return answers.elsewhere(redacted(url))
        return answers.of_status(status, has_user)

    def _get_from(self, url: str) -> Answer:
        """With a second request where the first is told to say who asks."""
        answer = self._request(url)
        if answer.status != 401 or not self._is_camera(url):
            return answer
        if self._authentication.learn(answer.headers("WWW-Authenticate")):
            answer.close()
            answer = self._request(url)
        return answer

    def _request(self, url: str) -> Answer:
        connection = self._connection(url)
        try:
            connection.connect()
            sock = connection.sock
            assert sock is not None
            target = _target_of(url)
            headers = self._headers(url, target)
            connection.request("GET", target, headers=headers, preload_content=False)
            return Answer(url, sock, connection.getresponse())
        except BaseException:
            connection.close()
            raise

    def _connection(self, url: str) -> HTTPConnection:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https":
            return HTTPConnection(host, parts.port, timeout=CONNECT_S)
        context = ssl.create_default_context()
        # As browsers: Python alone leaves out what older cameras speak.
        context.set_ciphers("DEFAULT")
        if self._any_certificate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return HTTPSConnection(
            host,
            parts.port,
            timeout=CONNECT_S,
            ssl_context=context,
            cert_reqs=context.verify_mode,
            assert_hostname=None if context.check_hostname else False,
        )

    def _headers(self, url: str, target: str) -> Mapping[str, str]:
        headers = {"User-Agent": f"roommood/{release()}", "Accept": "*/*"}
        answer = self._authentication.answer("GET", target) if self._is_camera(url) else None
        return headers if answer is None else {**headers, "Authorization": answer}

    def _is_camera(self, url: str) -> bool:
        """True where our password may be shown: to whom it was given, by no weaker a way."""
        ours, theirs = urlsplit(self._address.url), urlsplit(url)
        if ours.hostname != theirs.hostname:
            return False
        is_same = ours.scheme == theirs.scheme and _port_of(ours) == _port_of(theirs)
        return is_same or (ours.scheme == "http" and theirs.scheme == "https")

    def _led_to(self, url: str, answer: Answer, description: str) -> str:
        location = (answer.headers("Location") or [""])[0]
        # http.client reads headers as ISO 8859-1; servers write UTF-8.
        with contextlib.suppress(UnicodeError):
            location = location.encode("latin-1").decode()
        try:
            parts = urlsplit(escaped(urljoin(url, location)))
            is_web = bool(location and parts.hostname) and parts.scheme in ("http", "https")
        except ValueError:
            is_web = False
        if not is_web:
            where = f"to {redacted(location)!r}" if location else "without saying where"
            raise SourceError(f"{description} redirects {where}, which is not followed")
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _port_of(parts: SplitResult) -> int | None:
    return parts.port or _PORTS.get(parts.scheme)


def _target_of(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
