"""Why a broker is not reached, in words that say what to do; against real ones."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from roommood.aggregator.mqtt.unreached import why_not_reached
from tests.aggregator.mqtt.bridges import Bridge, Elsewhere
from tests.end_to_end.site import until
from tests.mosquitto import Mosquitto
from tests.ports import free_port
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def secured() -> Iterator[Mosquitto]:
    with Mosquitto(secured=True) as running:
        yield running


def test_a_certificate_of_an_unknown_authority_is_said_as_that(secured: Mosquitto) -> None:
    reason = why_not_reached("localhost", secured.port, ssl.create_default_context())
    assert "certificate is not trusted: self-signed" in reason
    assert "--ca-file" in reason


def test_a_certificate_for_another_name_is_said_as_that(secured: Mosquitto) -> None:
    trusting = ssl.create_default_context(cafile=secured.ca_file)
    reason = why_not_reached("127.1", secured.port, trusting)
    assert "certificate is for another name: Hostname mismatch" in reason


def test_a_certificate_that_has_expired_is_said_as_that_and_the_time_here_with_it() -> None:
    with Mosquitto(secured=True) as expired:
        expired.certificate("broker", days=-1)
        expired.kill()
        expired.start()
        trusting = ssl.create_default_context(cafile=expired.ca_file)
        reason = why_not_reached("localhost", expired.port, trusting)
    assert "certificate does not hold now: certificate has expired; here it is 20" in reason
    assert "--ca-file" not in reason


def test_a_broker_without_tls_is_said_as_that() -> None:
    with Mosquitto() as plain:
        reason = why_not_reached("localhost", plain.port, ssl.create_default_context())
    assert f"no TLS at port {plain.port}" in reason


def test_a_port_where_nobody_listens_is_said_as_that() -> None:
    assert why_not_reached("127.0.0.1", free_port(), None) == "Connection refused"


@pytest.mark.parametrize(
    ("first_bytes", "why"),
    [
        (None, "no answer within 5 s"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as a broker does"),
        (b"", "one that wants TLS is reached by mqtts://"),
        (b"\x20\x02\x00\x05", 'why="Not authorized"'),
    ],
)
def test_what_listens_at_the_brokers_port_and_is_none_is_told_as_that(
    first_bytes: bytes | None, why: str, tmp_path: Path
) -> None:
    """None: it accepts and is silent; else these bytes, and an end."""
    held: list[socket.socket] = []

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                link = listening.accept()[0]
                held.append(link)
                if first_bytes is not None:
                    link.recv(100)
                    link.sendall(first_bytes)
                    link.close()

    with RedisServer() as server, socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        there = Elsewhere(f"mqtt://127.0.0.1:{listening.getsockname()[1]}", tmp_path)
        with Bridge(there, server, "--insecure") as bridge:
            until(lambda: why in bridge.log.read_text(), "it is told")
            assert bridge.end() == 0
    for link in held:
        link.close()
