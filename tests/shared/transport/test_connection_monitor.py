"""Strangers at a bound socket, whatever its component does."""

import contextlib
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import zmq

from roommood.shared.process.metrics import Health
from roommood.shared.process.runtime import Waker
from roommood.shared.process.settings import WorkerSettings
from roommood.shared.process.settings.load import load
from roommood.shared.protocol.limits import MAX_HANDSHAKE_BYTES
from roommood.shared.transport.listener import Listener
from roommood.shared.transport.sockets import bind_frames, receive_from
from tests.end_to_end.site import until
from tests.hostile import zmtp
from tests.shared.peers import free_address


@pytest.fixture
def waker() -> Iterator[Waker]:
    waker = Waker()
    yield waker
    waker.close()


@pytest.fixture
def listener(waker: Waker) -> Iterator[Listener]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    settings = load(WorkerSettings, None, {"bind": free_address()})
    listener = Listener(context, bind_frames, settings, None, None, 1_000, waker.wake)
    yield listener
    listener.close(0)
    context.destroy(0)


def port_of(listener: Listener) -> int:
    return int(listener.router.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])


def peer_of(listener: Listener) -> zmtp.Peer:
    return zmtp.Peer(f"127.0.0.1:{port_of(listener)}")


def test_strangers_are_cut_while_their_component_waits_for_something_else(
    listener: Listener,
) -> None:
    """Nobody receives a message here, or ticks."""
    with peer_of(listener) as quiet, peer_of(listener) as greedy:
        quiet.shake_hands()
        greedy.shake_hands()
        greedy.say(zmtp.header(1 << 20) + bytes(MAX_HANDSHAKE_BYTES + 2_000))
        until(greedy.is_closed, "it is cut")
        assert not quiet.is_closed()
    until(
        lambda: {sample.value for sample in listener.samples("worker")} == {1.0, 2.0},
        "both counted",
    )


def is_woken(waker: Waker) -> bool:
    return bool(select.select([waker.fileno()], [], [], 0)[0])


def receive(listener: Listener) -> bytes:
    until(lambda: listener.router.poll(0), "a message has come")
    message = receive_from(listener.router, listener.connections, keyed=False)
    assert message is not None
    return message[1][-1]


def test_for_who_ends_no_message_a_tick_is_asked_for_whoever_sleeps(
    listener: Listener, waker: Waker
) -> None:
    with peer_of(listener) as endless:
        endless.shake_hands().send(b"well met")
        assert receive(listener) == b"well met"
        part = zmtp.frame(bytes(1 << 20), more=True)
        until(lambda: endless.say(part) and is_woken(waker), "a tick is asked for")
        listener.tick(Health("worker"))
        until(endless.is_closed, "it is cut")
    assert {s.labels["reason"] for s in listener.samples("worker")} >= {"endless"}


# A greeting of ZMTP 3.0. What is none may be taken for ZMTP 1.0, and of such a peer libzmq ends the
# process now and then when its context ends (zmtp_engine.cpp: "Resource temporarily unavailable").
_OTHER_MECHANISM = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"BOGUS".ljust(20, b"\0") + bytes(32)


def test_who_is_gone_is_looked_for_only_where_a_line_is_said(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def look(port: int) -> str:
        looked.append(port)
        return "somebody"

    monkeypatch.setattr("roommood.shared.transport.connection_monitor.lately_gone", look)

    def ended() -> float:
        return sum(sample.value for sample in listener.samples("worker"))

    for number in range(50):
        with socket.create_connection(("127.0.0.1", port_of(listener))) as connection:
            connection.sendall(_OTHER_MECHANISM)
        until(lambda number=number: ended() > number, "its end is counted")  # type: ignore[misc]
    assert len(looked) <= 5


OLD_PEERS = 40
# A length of 32, as ZMTP 1.0 begins; what is due then is the name of the peer.
_OLD_LENGTH, _OLD_NAME = b"\x20", b"\0" + bytes(31)
CLOSES = """
import sys, zmq
from types import SimpleNamespace
from roommood.shared.transport.connection_monitor import ConnectionMonitor
from roommood.shared.transport.listener import Listener
from roommood.shared.transport.sockets import bind_frames
{control}
context = zmq.Context()
settings = SimpleNamespace(bind="tcp://127.0.0.1:0", insecure=True)
listener = Listener(context, bind_frames, settings, None, None)
print(listener.router.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2], flush=True)
sys.stdin.readline()
listener.close(0)
context.term()
"""


def ends_with(control: str, after_ms: int) -> tuple[int, bytes]:
    """How a process ends whose socket closes while old peers tell their names one after another,
    some milliseconds after it was told to."""
    with subprocess.Popen(
        [sys.executable, "-c", CLOSES.format(control=control)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process, contextlib.ExitStack() as stack:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        port = int(process.stdout.readline())
        peers = []
        for _ in range(OLD_PEERS):
            peers.append(stack.enter_context(socket.create_connection(("127.0.0.1", port))))
            peers[-1].sendall(_OLD_LENGTH)
        for peer in peers:  # libzmq has read the first bytes: it has told its own name
            assert peer.recv(12)
        process.stdin.write(b"\n")
        process.stdin.flush()
        time.sleep(after_ms / 1000)
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.sendall(_OLD_NAME)
        return process.wait(30), process.stderr.read()


def test_peers_of_an_old_protocol_do_not_end_a_process_whose_socket_closes() -> None:
    for number in range(10):
        assert ends_with("", after_ms=number % 5) == (0, b"")


@pytest.mark.skipif(zmq.zmq_version_info() > (4, 3, 5), reason="libzmq may have mended it")
def test_left_alone_they_would_now_and_then() -> None:
    """The control."""
    control = "ConnectionMonitor._end_strangers = lambda self: None"
    codes = (ends_with(control, after_ms=number % 5)[0] for number in range(200))
    assert -signal.SIGABRT in codes
