"""The preview's page over HTTP: to this machine, or with a password, and to few at a time."""

import hmac
import ipaddress
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler
from importlib import resources
from pathlib import Path
from typing import Any, Final

from roommood.camera_node.mask_file import as_toml, save
from roommood.camera_node.preview.viewer import Preview
from roommood.shared.errors import ConfigError, RoommoodError, SourceError
from roommood.shared.process.listening import HttpServer, listen
from roommood.shared.security.page_password import given_password, read_page_password
from roommood.shared.transport.addresses import host_of, is_loopback, parse_address

_MOST_CONNECTIONS: Final = 4
_MOST_BODY_BYTES: Final = 64 * 1024
# After a wrong password; with four connections at once that is four guesses a second.
_PENALTY_S: Final = 1.0
_PAGE: Final = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Access:
    """Who may look. Raises ConfigError where strangers could without a password.

    Attributes:
        bind: host:port.
        password_file: its first line is the password; the user's name does not matter.
        save_to: settings file into which the page may save masks; None: it may not.
    """

    bind: str
    password_file: Path | None = None
    save_to: Path | None = None

    def __post_init__(self) -> None:
        if self.password_file is None and not is_loopback(parse_address(self.bind)):
            raise ConfigError(
                f"{self.bind} can be reached from other machines, and the page shows the room: "
                "give --password-file, or keep 127.0.0.1 and use ssh -L"
            )

    @property
    def host(self) -> str:
        host = host_of(parse_address(self.bind))
        return "" if host == "*" else host

    @property
    def port(self) -> int:
        return int(self.bind.rpartition(":")[2])

    @cached_property
    def password(self) -> str | None:
        """Raises ConfigError for a file that is no secret."""
        return read_page_password(self.password_file)

    def lets_in(self, authorization: str | None) -> bool:
        """Whether an Authorization header holds the password, or none is asked for."""
        if self.password is None:
            return True
        given = given_password(authorization or "")
        return given is not None and hmac.compare_digest(given.encode(), self.password.encode())

    def is_ours(self, host_header: str) -> bool:
        """Whether a Host header names this machine; a stranger's page that had its own name
        pointed at us (DNS rebinding) cannot say an address or one of these names."""
        host = host_header.rpartition(":")[0] if ":" in host_header else host_header
        if host_header.startswith("["):
            host = host_header[1:].partition("]")[0]
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            own = socket.gethostname().lower()
            names = {"localhost", self.host, own, f"{own}.local"}
            return host.lower() in names - {""}
        return address.is_loopback or not is_loopback(parse_address(self.bind))


def serve(access: Access, preview: Preview) -> tuple[int, Callable[[], None]]:
    """Serves from threads of its own; returns the port, and what stops it. Raises ConfigError."""
    _ = access.password
    attributes = {"access": access, "preview": preview}
    handler = type("Handler", (_Handler,), attributes)
    try:
        server = _Server(listen(access.host, access.port), handler)
    except OSError as error:
        raise ConfigError(f"cannot serve the preview at {access.bind}: {error}") from error
    serving = {"poll_interval": 0.1}
    threading.Thread(
        target=server.serve_forever, kwargs=serving, name="preview", daemon=True
    ).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return int(server.server_port), stop


class _Server(HttpServer):
    """A few connections at a time; further ones wait, unaccepted."""

    def __init__(self, *args: Any) -> None:
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(*args)

    def handle_error(self, *_: object) -> None:
        """A browser that has gone is nothing to be told."""
        if not isinstance(sys.exc_info()[1], OSError):
            _log.exception("a request failed")

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(timeout=5.0):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Handler(BaseHTTPRequestHandler):
    access: Access
    preview: Preview
    server_version, sys_version = "roommood", ""
    timeout = 10

    def do_GET(self) -> None:
        if not self._may():
            return
        if self.path == "/frame":
            self._frame()
        elif self.path == "/state":
            self._answer_json(200, self._state())
        elif self.path in _PAGE:
            name, kind = _PAGE[self.path]
            body = resources.files(__package__).joinpath("page", name).read_bytes()
            self._answer(200, kind, body)
        else:
            self._answer(404, "text/plain; charset=utf-8", b"not here\n")

    def do_POST(self) -> None:
        if not (self._may() and self._comes_from_the_page()):
            return
        try:
            if self.path == "/masks":
                self.preview.set_masks(self._body().get("masks"))
            elif self.path == "/save" and self.access.save_to is not None:
                save(self.access.save_to, self.preview.masks)
            else:
                self._answer(404, "text/plain; charset=utf-8", b"not here\n")
                return
        except (RoommoodError, ValueError, RecursionError) as error:
            self._answer_json(400, {"error": str(error)})
            return
        self._answer_json(200, self._state())

    # Who asks

    def _may(self) -> bool:
        if not self.access.is_ours(self.headers.get("Host", "")):
            self._answer(421, "text/plain; charset=utf-8", b"this is another machine\n")
            return False
        if self.access.lets_in(self.headers.get("Authorization")):
            return True
        if self.headers.get("Authorization"):
            time.sleep(_PENALTY_S)
        ask = {"WWW-Authenticate": 'Basic realm="roommood preview", charset="UTF-8"'}
        self._answer(401, "text/plain; charset=utf-8", b"the password, please\n", ask)
        return False

    def _comes_from_the_page(self) -> bool:
        """Not from a page of somebody else in the same browser."""
        origin, host = self.headers.get("Origin"), self.headers.get("Host")
        is_json = self.headers.get("Content-Type", "") == "application/json"
        if is_json and origin in (f"http://{host}", f"https://{host}"):
            return True
        self._answer(403, "text/plain; charset=utf-8", b"only from the page itself\n")
        return False

    # What is answered

    def _frame(self) -> None:
        try:
            view = self.preview.view()
        except SourceError as error:
            self._answer_json(503, {"error": str(error)})
            return
        faces = "" if view.faces is None else str(view.faces)
        size = {"X-Size": f"{view.width}x{view.height}", "X-Faces": faces}
        self._answer(200, "image/jpeg", view.jpeg, size)

    def _state(self) -> dict[str, Any]:
        preview, save_to = self.preview, self.access.save_to
        return {
            "source": preview.description,
            "rotation": preview.rotation,
            "masks": preview.masks,
            "toml": as_toml(preview.masks),
            "finds_faces": preview.finds_faces,
            "save_to": None if save_to is None else save_to.name,
        }

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 < length <= _MOST_BODY_BYTES:
            raise ConfigError(f"{length} bytes of masks: {_MOST_BODY_BYTES} are read")
        body = json.loads(self.rfile.read(length))
        if not isinstance(body, dict):
            raise ConfigError("masks are to come as an object")
        return body

    def _answer_json(self, status: int, body: dict[str, Any]) -> None:
        self._answer(status, "application/json", json.dumps(body).encode())

    def _answer(
        self, status: int, kind: str, body: bytes, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        lengths = {"Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in {**lengths, **_HEADERS, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        _log.debug(format, *args)
