"""The fault proxy does to a connection what it says, and nothing else."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.end_to_end.site import until
from tests.faults.proxy import FaultProxy


class Echo:
    """Sends back what it gets, on a port of its own."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.ended = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(link,), daemon=True).start()

    def _answer(self, link: socket.socket) -> None:
        with link:
            try:
                while data := link.recv(65536):
                    link.sendall(data)
            except OSError:
                pass
        self.ended += 1

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy(echo.address) as proxy:
        yield proxy


@pytest.fixture
def link(proxy: FaultProxy) -> Iterator[socket.socket]:
    with connected(proxy) as link:
        yield link


def connected(proxy: FaultProxy) -> socket.socket:
    host, _, port = proxy.address.partition(":")
    link = socket.create_connection((host, int(port)), timeout=10)
    link.settimeout(10)
    return link


def asked(link: socket.socket, question: bytes) -> bytes:
    """The answer to a question of that length."""
    link.sendall(question)
    answer = b""
    while len(answer) < len(question):
        answer += link.recv(65536)
    return answer


def took_s(link: socket.socket, question: bytes) -> float:
    began = time.monotonic()
    assert asked(link, question) == question
    return time.monotonic() - began


def hears_nothing(link: socket.socket) -> bool:
    link.settimeout(0.3)
    try:
        link.recv(1)
    except TimeoutError:
        return True
    finally:
        link.settimeout(10)
    return False


def test_without_a_fault_everything_passes(proxy: FaultProxy, link: socket.socket) -> None:
    data = bytes(range(256)) * 4_000
    assert asked(link, data) == data
    assert proxy.connections == proxy.open == 1


def test_the_end_of_a_connection_is_passed_on(
    proxy: FaultProxy, link: socket.socket, echo: Echo
) -> None:
    asked(link, b"hello")
    link.shutdown(socket.SHUT_WR)
    assert link.recv(1) == b""
    until(lambda: echo.ended == 1 and proxy.open == 0, "both sides have ended")


def test_latency_puts_off_both_ways(proxy: FaultProxy, link: socket.socket) -> None:
    asked(link, b"warm")
    proxy.up.latency_s = proxy.down.latency_s = 0.15
    assert took_s(link, b"hello") >= 0.3


def test_bandwidth_is_bounded(proxy: FaultProxy, link: socket.socket) -> None:
    asked(link, b"warm")
    proxy.up.bytes_per_s = 100_000
    assert took_s(link, bytes(50_000)) >= 0.45


def test_what_is_held_comes_after_it_heals(proxy: FaultProxy, link: socket.socket) -> None:
    proxy.up.held = True
    link.sendall(b"late")
    assert hears_nothing(link)
    proxy.heal()
    assert link.recv(4) == b"late"


def test_one_direction_alone_can_be_held(
    proxy: FaultProxy, link: socket.socket, echo: Echo
) -> None:
    proxy.down.held = True
    link.sendall(b"heard")
    link.shutdown(socket.SHUT_WR)
    until(lambda: echo.ended == 1, "the question and its end have arrived")
    assert hears_nothing(link)


def test_a_reset_ends_connections_and_lets_new_ones_in(
    proxy: FaultProxy, link: socket.socket
) -> None:
    asked(link, b"hello")
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        link.recv(1)
    with connected(proxy) as another:
        assert asked(another, b"again") == b"again"


def test_whoever_is_refused_is_reset(proxy: FaultProxy) -> None:
    proxy.refuse = True
    # The reset may come before the connection is reported as made.
    with pytest.raises(ConnectionResetError), connected(proxy) as link:
        link.recv(1)


def test_a_silent_peer_takes_connections_and_says_nothing(
    proxy: FaultProxy, link: socket.socket, echo: Echo
) -> None:
    asked(link, b"hello")
    proxy.silent = True
    with connected(proxy) as another:
        another.sendall(b"anyone?")
        assert hears_nothing(another)
        assert hears_nothing(link)
        proxy.heal()
        assert another.recv(7) == b"anyone?"


def test_a_power_cut_is_not_told(proxy: FaultProxy, link: socket.socket, echo: Echo) -> None:
    asked(link, b"hello")
    proxy.forget()
    until(lambda: echo.ended == 1, "the far side is gone")
    link.sendall(b"anyone?")
    assert hears_nothing(link)


def test_an_answer_can_be_cut_off(proxy: FaultProxy, link: socket.socket, echo: Echo) -> None:
    asked(link, b"hello")
    proxy.down.cut_after = 5
    link.sendall(b"and now?")
    with pytest.raises(ConnectionResetError):
        link.recv(1)
    until(lambda: echo.ended == 1, "the far side has lost it too")


def test_the_target_may_move(proxy: FaultProxy, link: socket.socket) -> None:
    asked(link, b"hello")
    other = Echo()
    proxy.target = other.address
    proxy.reset()
    with connected(proxy) as again:
        assert asked(again, b"moved") == b"moved"
        again.close()
    until(lambda: other.ended == 1, "the new target was reached")
    other.close()


def test_a_slow_close_comes_late(proxy: FaultProxy, echo: Echo) -> None:
    proxy.close_after_s = 0.4
    with connected(proxy) as link:
        asked(link, b"hello")
        link.shutdown(socket.SHUT_WR)
        until(lambda: echo.ended == 1, "the far side has ended")
        assert proxy.open == 1
        until(lambda: proxy.open == 0, "the near side has ended")
