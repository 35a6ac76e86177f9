"""Where pages listen: IPv4 and IPv6, by number and by name."""

import socket
import urllib.request

import pytest

from roommood.shared.process.listening import HttpServer, listen, netloc
from roommood.shared.process.metrics import Health, serve
from tests import ipv6_only
from tests.ports import free_port


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1"),
        ("localhost", "127.0.0.1"), ("", "127.0.0.1"),
    ],
)  # fmt: skip
def test_metrics_are_served_at_every_kind_of_address(host: str, asked: str) -> None:
    port = free_port()
    stop = serve(host, port, Health("camera"), list)
    try:
        answer = urllib.request.urlopen(f"http://{netloc(asked, port)}/healthz", timeout=5)
        assert answer.status == 200
    finally:
        stop()


def test_what_nobody_has_here_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        listen("2001:db8::7", 0)


def test_a_name_is_served_at_ipv6_where_there_is_nothing_else() -> None:
    program = "from roommood.shared.process.listening import listen; print(listen('localhost', 0))"
    assert "('::1'," in ipv6_only.run(program)


def test_a_server_of_http_takes_over_what_listens() -> None:
    listener = listen("127.0.0.1", 0)
    with HttpServer(listener, lambda *_: pytest.fail("nobody asks")) as server:
        assert server.server_port == listener.getsockname()[1]
        with socket.create_connection(listener.getsockname(), timeout=5):
            pass
    assert listener.fileno() == -1
