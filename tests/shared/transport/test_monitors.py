"""A connection that libzmq has given up is dialled again."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import zmq

from roommood.shared.clock import boot_ms
from roommood.shared.protocol.limits import (
    BROKEN_OFF_IN_A_ROW,
    REDIAL_BROKEN_OFF_MS,
    REDIAL_MS,
)
from roommood.shared.transport import monitors, tcp
from roommood.shared.transport.monitors import ConnectionEvent, Reconnector
from roommood.shared.transport.sockets import bind_frames, close, connect_frames, receive, send
from tests.shared.peers import free_address, until

Context = zmq.Context[zmq.Socket[bytes]]


class Garbler:
    """Passes a TCP connection on; once told to, in place of what comes back, nonsense."""

    def __init__(self, target: str) -> None:
        self._target = int(target.rpartition(":")[2])
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.garble_once = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            for ends in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        with source:
            try:
                while data := source.recv(65_536):
                    if down and self.garble_once.is_set():
                        self.garble_once.clear()
                        data = b"\xff" * 40
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


@pytest.fixture
def context() -> Iterator[Context]:
    context: Context = zmq.Context()
    yield context
    context.destroy(0)


class Followed:
    """A reconnector that is turned as a loop would, and all that it was told."""

    def __init__(
        self, reconnector: Reconnector, monitor: zmq.Socket[bytes], redial: bool = True
    ) -> None:
        self.seen: list[ConnectionEvent] = []
        self._reconnector = reconnector
        self._redial = redial
        self._poller = zmq.Poller()
        self._poller.register(monitor, zmq.POLLIN)

    def until(self, is_so: Callable[[list[ConnectionEvent]], bool]) -> None:
        until(lambda: is_so(self.seen), self._tick, self._poller)

    def _tick(self) -> None:
        self.seen.extend(self._reconnector.events(boot_ms()))
        if self._redial:
            self._reconnector.tick(boot_ms())


def comes_back_from_nonsense(context: Context, redial: bool) -> bool:
    """Connects, gets an answer that is no ZeroMQ; True if the connection is made again."""
    router = bind_frames(context, free_address(), insecure=False)
    garbler = Garbler(router.getsockopt_string(zmq.LAST_ENDPOINT))
    peer, monitor = connect_frames(context, garbler.address)
    followed = Followed(Reconnector(peer, garbler.address, monitor), monitor, redial)
    followed.until(lambda seen: ConnectionEvent.CONNECTED in seen)
    assert send(peer, [b"hello"])
    assert router.poll(20_000)
    (routing_id, _) = receive(router) or []
    garbler.garble_once.set()
    assert send(router, [routing_id, b"credit"])
    followed.until(lambda seen: ConnectionEvent.DISCONNECTED in seen)
    enough_ms = boot_ms() + (20_000 if redial else 2 * REDIAL_MS)
    followed.until(lambda seen: seen.count(ConnectionEvent.CONNECTED) > 1 or boot_ms() > enough_ms)
    close(peer, monitor)
    close(router)
    garbler.close()
    return followed.seen.count(ConnectionEvent.CONNECTED) > 1


def test_a_connection_that_brought_nonsense_is_made_again(context: Context) -> None:
    assert comes_back_from_nonsense(context, redial=True)


def test_libzmq_alone_would_give_it_up_for_ever(context: Context) -> None:
    """The control."""
    assert not comes_back_from_nonsense(context, redial=False)


def test_what_libzmq_tries_again_by_itself_is_left_to_it(context: Context) -> None:
    """Where nobody listens, the endpoint is not opened anew: that would begin its wait again."""

    dialled: list[str] = []

    class Counting:
        def connect(self, address: str) -> None:
            dialled.append(address)

    address = free_address()
    peer, monitor = connect_frames(context, address)
    reconnector = Reconnector(Counting(), address, monitor)  # type: ignore[arg-type]
    Followed(reconnector, monitor).until(lambda seen: seen.count(ConnectionEvent.RETRYING) > 25)
    assert dialled == []
    close(peer, monitor)


def told_by(descriptor: int) -> bool:
    return bool(zmq.zmq_poll([(descriptor, zmq.POLLIN)], 20_000))


def test_a_plain_descriptor_tells_each_time_that_there_is_news(context: Context) -> None:
    address = free_address()
    router = bind_frames(context, address, insecure=False)
    peer, monitor = connect_frames(context, address)
    reconnector = Reconnector(peer, address, monitor)
    ready = {reconnector.descriptor}
    seen: list[ConnectionEvent] = []
    while ConnectionEvent.CONNECTED not in seen:
        assert told_by(reconnector.descriptor)
        seen += reconnector.events(boot_ms(), ready)
    close(router)
    while ConnectionEvent.RETRYING not in seen:
        assert told_by(reconnector.descriptor)
        seen += reconnector.events(boot_ms(), ready)
    assert ConnectionEvent.DISCONNECTED in seen
    close(peer, monitor)


def test_news_that_the_descriptor_does_not_tell_are_seen_four_times_a_second(
    context: Context,
) -> None:
    """Nobody listens, so that the socket tells again and again that it tries."""
    address = free_address()
    peer, monitor = connect_frames(context, address)
    reconnector = Reconnector(peer, address, monitor)
    now_ms = boot_ms()
    list(reconnector.events(now_ms))
    assert monitor.poll(20_000)
    assert not list(reconnector.events(now_ms + 249, ready=()))
    assert list(reconnector.events(now_ms + 250, ready=()))
    close(peer, monitor)


@pytest.mark.parametrize("gone", [True, False])
def test_a_connection_from_an_address_that_the_machine_has_lost_is_made_again_at_once(
    context: Context, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """Heartbeats would find out after seconds. With the address still there nothing is ended."""
    address = free_address()
    router = bind_frames(context, address, insecure=False)
    peer, monitor = connect_frames(context, address)
    reconnector = Reconnector(peer, address, monitor)
    followed = Followed(reconnector, monitor)
    followed.until(lambda seen: ConnectionEvent.CONNECTED in seen)
    lost = tcp.own_address_of(reconnector._fd)
    there = tcp.is_of_this_machine
    monkeypatch.setattr(tcp, "is_of_this_machine", lambda value: there(value) and not gone)
    soon_ms = boot_ms() + (20_000 if gone else 1_000)
    followed.until(lambda seen: seen.count(ConnectionEvent.CONNECTED) > 1 or boot_ms() > soon_ms)
    assert (ConnectionEvent.DISCONNECTED in followed.seen) is gone
    assert (tcp.own_address_of(reconnector._fd) == lost) is not gone
    close(peer, monitor)
    close(router)


def test_the_kernel_knows_which_addresses_are_this_machines() -> None:
    assert tcp.is_of_this_machine(("127.0.0.1", 0))
    assert not tcp.is_of_this_machine(("192.0.2.1", 0))
    assert tcp.is_of_this_machine(("::ffff:127.0.0.1", 0, 0, 0))
    assert not tcp.is_of_this_machine(("::ffff:192.0.2.1", 0, 0, 0))


class BreaksOff:
    """Accepts each connection and ends it once it has been spoken to, as one with other keys."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self._server.accept()[0] as peer:
                    peer.recv(1)


def tries(reconnector: Reconnector, monitor: zmq.Socket[bytes], now_ms: float, most: int) -> int:
    """How many handshakes are broken off, up to `most`, while its clock stands still and it is
    otherwise left alone for a second at a time."""
    broken_off = 0
    reconnector.tick(now_ms)
    while broken_off < most and monitor.poll(1_000):
        seen = list(reconnector.events(now_ms))
        broken_off += seen.count(ConnectionEvent.BROKEN_OFF)
    return broken_off


def test_who_breaks_every_handshake_off_is_asked_twice_a_second_from_the_third_on(
    context: Context,
) -> None:
    other = BreaksOff()
    peer, monitor = connect_frames(context, other.address)
    reconnector = Reconnector(peer, other.address, monitor)
    assert tries(reconnector, monitor, 0.0, most=9) == BROKEN_OFF_IN_A_ROW
    assert tries(reconnector, monitor, REDIAL_BROKEN_OFF_MS - 1, most=9) == 0
    assert tries(reconnector, monitor, REDIAL_BROKEN_OFF_MS, most=9) == 1
    assert tries(reconnector, monitor, 2 * REDIAL_BROKEN_OFF_MS, most=9) == 1
    close(peer, monitor)
    other.close()


def test_libzmq_alone_would_ask_on_and_on(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(monitors, "BROKEN_OFF_IN_A_ROW", 1_000)
    other = BreaksOff()
    peer, monitor = connect_frames(context, other.address)
    assert tries(Reconnector(peer, other.address, monitor), monitor, 0.0, most=9) == 9
    close(peer, monitor)
    other.close()


def test_whom_it_reaches_at_last_it_comes_back_to_at_once(context: Context) -> None:
    other = BreaksOff()
    peer, monitor = connect_frames(context, other.address)
    reconnector = Reconnector(peer, other.address, monitor)
    assert tries(reconnector, monitor, 0.0, most=9) == BROKEN_OFF_IN_A_ROW
    other.close()
    router = bind_frames(context, other.address, insecure=False)
    followed = Followed(reconnector, monitor)
    followed.until(lambda seen: ConnectionEvent.CONNECTED in seen)
    close(router)
    followed.until(lambda seen: seen.count(ConnectionEvent.RETRYING) > 5)
    close(peer, monitor)
