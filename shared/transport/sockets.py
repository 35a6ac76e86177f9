"""One function per socket role; the options that the protocol's promises rest on.

Frames: a worker binds a ROUTER, a camera connects one DEALER to each worker. Reports: an
aggregator binds a ROUTER, a worker connects one DEALER to each aggregator.

With keys every socket speaks CURVE (rfc.zeromq.org/spec/26), on loopback too, and a bound one
lets in only whom the `Authenticator` of its context authorizes. Without keys, only loopback is used
unless the user says `insecure`.
"""

import errno
from socket import if_nameindex
from typing import Final

import zmq

from roommood.shared.errors import ConfigError
from roommood.shared.protocol.limits import (
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
from roommood.shared.security.keys import ClientKeys, KeyPair
from roommood.shared.transport import resolver
from roommood.shared.transport.addresses import MAX_PORT, host_of, is_loopback, is_wildcard
from roommood.shared.transport.connections import Connections
from roommood.shared.transport.monitors import LINK_EVENTS, Monitor, has_events, watch
from roommood.shared.transport.port_holder import port_holder

Router = zmq.Socket[bytes]
Dealer = zmq.Socket[bytes]

# Plain numbers: pyzmq's flags are slow to combine.
_POLLOUT: Final = int(zmq.POLLOUT)
_NOW: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
# Seconds that a name to listen at may take to be looked up.
_LOOKUP_S: Final = 5.0
_BIND_TODO: Final = "give --bind an address of this machine, or 0.0.0.0:PORT for all of them"
# Any name: a socket that has none is let past the authenticator.
_ZAP_DOMAIN: Final = b"roommood"


def bind_frames(
    context: zmq.Context[Router], address: str, *, insecure: bool, keys: KeyPair | None = None
) -> Router:
    """Where a worker receives frames. Raises ConfigError if the address cannot be bound."""
    socket = _bound(context, address, insecure, keys)
    return _bind(socket, address, MAX_JPEG_BYTES, FRAME_HWM)


def connect_frames(
    context: zmq.Context[Dealer],
    address: str,
    *,
    insecure: bool = False,
    keys: ClientKeys | None = None,
) -> tuple[Dealer, Monitor]:
    """A camera's socket to one worker, and its monitor (see `shared.transport.monitors`).

    A name is not connected to: `shared.transport.client` looks it up and gives libzmq its numbers.
    """
    socket = _connecting(context, address, insecure, keys)
    return _connect(socket, address, MAX_HEADER_BYTES * 8, FRAME_HWM)


def bind_reports(
    context: zmq.Context[Router], address: str, *, insecure: bool, keys: KeyPair | None = None
) -> Router:
    """Where an aggregator receives reports. Raises ConfigError if the address cannot be bound."""
    socket = _bound(context, address, insecure, keys)
    return _bind(socket, address, MAX_REPORT_BYTES, REPORT_HWM)


def connect_reports(
    context: zmq.Context[Dealer],
    address: str,
    *,
    insecure: bool = False,
    keys: ClientKeys | None = None,
) -> tuple[Dealer, Monitor]:
    """As `connect_frames`: a worker's socket to one aggregator."""
    socket = _connecting(context, address, insecure, keys)
    return _connect(socket, address, MAX_REPORT_BYTES, REPORT_HWM)


def is_writable(socket: Dealer) -> bool:
    """True if a message can be handed over now; asking also lets ZeroMQ notice events."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & _POLLOUT)


def receive(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """The next message, or None if none waits. Parts beyond the allowed are dropped unread."""
    if not has_events(socket):
        return None
    return _with_rest(socket, socket.recv(_NOW, copy=False))


def receive_from(
    router: Router,
    connections: Connections | None = None,
    *,
    keyed: bool = True,
    polled: bool = False,
) -> tuple[str, list[bytes]] | None:
    """As `receive`, with the public key that the sender has proved to hold; "" without keys.

    `connections` is told from which of them the message came. Without `keyed` nobody is asked for
    a key, which on a socket without keys costs an exception a message. `polled`: a poll has
    just said that something waits, so that it need not be asked again, two system calls each time.
    """
    if not (polled or has_events(router)):
        return None
    try:
        first = router.recv(_NOW, copy=False)
    except zmq.Again:
        return None
    if connections is not None:
        connections.heard(int(first.get(zmq.SRCFD)))
    return _key_of(first) if keyed else "", _with_rest(router, first)


def _key_of(message: zmq.Frame) -> str:
    try:
        return str(message.get("User-Id"))
    except zmq.ZMQError:
        return ""


def _with_rest(socket: zmq.Socket[bytes], part: zmq.Frame) -> list[bytes]:
    # A Frame knows whether more follow; to ask the socket costs as much as to read the part.
    parts = [part.bytes]
    while part.more:
        part = socket.recv(_NOW, copy=False)
        if len(parts) <= MAX_PARTS + 1:
            parts.append(part.bytes)
    return parts


def send(socket: zmq.Socket[bytes], parts: list[bytes]) -> bool:
    """False if the peer is gone or its queue is full; never blocks."""
    *most, last = parts
    try:
        for part in most:
            socket.send(part, _MORE)
        socket.send(last, _NOW)
    except zmq.ZMQError:
        return False
    return True


def close(socket: zmq.Socket[bytes], monitor: Monitor | None = None, linger_ms: int = 0) -> None:
    """Closes a socket, and its monitor if it has one; what is queued has `linger_ms` to leave."""
    if monitor is not None:
        socket.disable_monitor()
        monitor.close(0)
    socket.close(linger_ms)


def _bound(
    context: zmq.Context[Router], address: str, insecure: bool, keys: KeyPair | None
) -> Router:
    """A ROUTER with the security it needs, not bound yet."""
    _refuse_in_the_clear(address, insecure, keys)
    socket = context.socket(zmq.ROUTER)
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret.encode())
        # With the domain alone, or without an authenticator, libzmq would let anyone in.
        socket.setsockopt(zmq.ZAP_DOMAIN, _ZAP_DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    return socket


def _connecting(
    context: zmq.Context[Dealer], address: str, insecure: bool, keys: ClientKeys | None
) -> Dealer:
    """A DEALER with the security it needs, not connected yet."""
    _refuse_in_the_clear(address, insecure, keys)
    socket = context.socket(zmq.DEALER)
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.own.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.own.secret.encode())
    return socket


def _refuse_in_the_clear(address: str, insecure: bool, keys: object) -> None:
    if keys is None and not insecure and not is_loopback(address):
        raise ConfigError(
            f"{address} is not on this machine, and without keys nothing would be encrypted and "
            "anyone could take part: make keys with `roommood keys init` and give them with "
            "--keys, or say --insecure if the network is trusted"
        )


def _bind(socket: Router, address: str, largest: int, hwm: int) -> Router:
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
        socket.bind(_bindable(address))
    except zmq.ZMQError as error:
        socket.close(0)
        raise ConfigError(_why_not_bound(address, error)) from error
    except ConfigError:
        socket.close(0)
        raise
    return socket


def _bindable(address: str) -> str:
    """The number that libzmq listens at; an interface's name means something to it as well."""
    known = [name for _, name in if_nameindex()]
    if is_wildcard(address) or resolver.is_number(address) or host_of(address) in known:
        return address
    answer = resolver.look_up_within(address, _LOOKUP_S)
    if not answer.addresses:
        raise ConfigError(f"cannot listen at {address}: {answer.why}: {_BIND_TODO}")
    return answer.addresses[0]


def _why_not_bound(address: str, error: zmq.ZMQError) -> str:
    if error.errno == errno.EADDRINUSE:
        port = address.rpartition(":")[2]
        todo = f"stop that, or choose another port, for example --bind {_next_to(address)}"
        return (
            f"cannot listen at {address}: port {port} is taken by {port_holder(int(port))}: {todo}"
        )
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
        return f"cannot listen at {address}: this machine has no such address: {_BIND_TODO}"
    return f"cannot listen at {address}: {error.strerror}: choose another with --bind"


def _next_to(address: str) -> str:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return f"{host}:{int(port) + 10 if int(port) < MAX_PORT - 10 else int(port) - 10}"


def _connect(socket: Dealer, address: str, largest: int, hwm: int) -> tuple[Dealer, Monitor]:
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
    monitor = watch(socket, LINK_EVENTS)
    try:
        if resolver.is_number(address):
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
