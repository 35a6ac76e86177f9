"""Where pages listen, and HTTP servers on what listens already."""

import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def listen(host: str, port: int) -> socket.socket:
    """A TCP socket that listens at a number or at a name's, IPv4 before IPv6; "" is everywhere.

    `::` takes IPv4, too. Raises OSError for the last that was tried.
    """
    entries = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    failure: OSError | None = None
    for family, _, _, _, address in sorted(entries, key=lambda entry: entry[0] != socket.AF_INET):
        try:
            return _listening(family, address)
        except OSError as error:
            failure = error
    raise failure or OSError(f"{host} has no address")


def netloc(host: str, port: int) -> str:
    """Host and port as in an URL, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listening(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen()
    except OSError:
        made.close()
        raise
    return made


class HttpServer(ThreadingHTTPServer):
    """Answers what comes to a listening socket, which is its own from then on."""

    daemon_threads = True

    def __init__(
        self, listener: socket.socket, handler: Callable[..., BaseHTTPRequestHandler]
    ) -> None:
        super().__init__(listener.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_port = listener.getsockname()[1]
