"""One function per socket role; the options that the protocol's promises rest on.

Frames: a worker binds a ROUTER, a camera connects one DEALER to each worker. Reports: an
aggregator binds a ROUTER, a worker connects one DEALER to each aggregator.
"""

from enum import Enum
from typing import Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from shared.addresses import is_loopback
from shared.errors import ConfigError
from shared.limits import (
    CONNECT_MS,
    FRAME_HWM,
    HANDSHAKE_MS,
    HEARTBEAT_EVERY_MS,
    HEARTBEAT_TIMEOUT_MS,
    MAX_HEADER_BYTES,
    MAX_JPEG_BYTES,
    MAX_PARTS,
    MAX_REPORT_BYTES,
    RECONNECT_MS,
    REPORT_HWM,
)

Router = zmq.Socket[bytes]
Dealer = zmq.Socket[bytes]
Monitor = zmq.Socket[bytes]

_WATCHED: Final = zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.DISCONNECTED


class LinkEvent(Enum):
    """What the monitor of a connecting socket tells."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


def bind_frames(context: zmq.Context[Router], address: str, *, insecure: bool) -> Router:
    """Where a worker receives frames. Raises ConfigError if the address cannot be bound."""
    return _bind(context, address, MAX_JPEG_BYTES, FRAME_HWM, insecure=insecure)


def connect_frames(context: zmq.Context[Dealer], address: str) -> tuple[Dealer, Monitor]:
    """A camera's socket to one worker, and its monitor (see `next_event`)."""
    return _connect(context, address, MAX_HEADER_BYTES * 8, FRAME_HWM)


def bind_reports(context: zmq.Context[Router], address: str, *, insecure: bool) -> Router:
    """Where an aggregator receives reports. Raises ConfigError if the address cannot be bound."""
    return _bind(context, address, MAX_REPORT_BYTES, REPORT_HWM, insecure=insecure)


def connect_reports(context: zmq.Context[Dealer], address: str) -> tuple[Dealer, Monitor]:
    """A worker's socket to one aggregator, and its monitor."""
    return _connect(context, address, MAX_REPORT_BYTES, REPORT_HWM)


def next_event(monitor: Monitor) -> LinkEvent | None:
    """The next event of a watched socket, or None if there is none."""
    if not _has_news(monitor):
        return None
    event = recv_monitor_message(monitor, zmq.NOBLOCK)
    connected = event["event"] == zmq.Event.HANDSHAKE_SUCCEEDED
    return LinkEvent.CONNECTED if connected else LinkEvent.DISCONNECTED


def is_writable(socket: Dealer) -> bool:
    """True if a message can be handed over now; asking also lets ZeroMQ take in news."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLOUT)


def receive(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """The next message, or None if none waits. Parts beyond the allowed are dropped unread."""
    if not _has_news(socket):
        return None
    parts = [socket.recv(zmq.NOBLOCK)]
    while socket.getsockopt(zmq.RCVMORE):
        part = socket.recv(zmq.NOBLOCK)
        if len(parts) <= MAX_PARTS + 1:
            parts.append(part)
    return parts


def _has_news(socket: zmq.Socket[bytes]) -> bool:
    """Asking first is cheaper than the exception for a queue that is empty, as most often it is."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)


def send(socket: zmq.Socket[bytes], parts: list[bytes]) -> bool:
    """False if the peer is gone or its queue is full; never blocks."""
    try:
        socket.send_multipart(parts, zmq.NOBLOCK)
    except (zmq.Again, zmq.ZMQError):
        return False
    return True


def close(socket: zmq.Socket[bytes], monitor: Monitor | None = None, linger_ms: int = 0) -> None:
    """Closes a socket, and its monitor if it has one; what is queued has `linger_ms` to leave."""
    if monitor is not None:
        socket.disable_monitor()
        monitor.close(0)
    socket.close(linger_ms)


def _bind(
    context: zmq.Context[Router], address: str, largest: int, hwm: int, *, insecure: bool
) -> Router:
    if not insecure and not is_loopback(address):
        raise ConfigError(
            f"{address} can be reached from other machines and nothing would be encrypted: "
            "bind a loopback address, or say --insecure if the network is trusted"
        )
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.setsockopt(zmq.RCVHWM, hwm)
    # No heartbeats of its own: in libzmq 4.3.5 one that falls due for a peer that has gone while
    # RCVHWM held up its input aborts the process (libzmq #4841, #4364). Peers send theirs, with
    # a time to live after which this side closes; TCP asks those that do not.
    for option, value in (
        (zmq.TCP_KEEPALIVE, 1),
        (zmq.TCP_KEEPALIVE_IDLE, 10),
        (zmq.TCP_KEEPALIVE_INTVL, 5),
        (zmq.TCP_KEEPALIVE_CNT, 3),
    ):
        socket.setsockopt(option, value)
    _common(socket, largest, hwm)
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        socket.close(0)
        raise ConfigError(f"cannot listen at {address}: {error.strerror}") from error
    return socket


def _connect(
    context: zmq.Context[Dealer], address: str, largest: int, hwm: int
) -> tuple[Dealer, Monitor]:
    socket = context.socket(zmq.DEALER)
    # Without IMMEDIATE, what is queued for a dead peer reaches its successor seconds later.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 0)
    # Without a limit input is never held up, so that heartbeats are safe here (see `_bind`);
    # what comes is Credit or Acks, at most as many as were asked for.
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_EVERY_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS)
    _common(socket, largest, hwm)
    monitor = socket.get_monitor_socket(_WATCHED)
    try:
        socket.connect(address)
    except zmq.ZMQError as error:
        close(socket, monitor)
        raise ConfigError(f"cannot connect to {address}: {error.strerror}") from error
    return socket, monitor


def _common(socket: zmq.Socket[bytes], largest: int, hwm: int) -> None:
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(zmq.MAXMSGSIZE, largest)
    socket.setsockopt(zmq.SNDHWM, hwm)
    socket.setsockopt(zmq.LINGER, 0)
