"""What ZeroMQ tells of a socket's connections, and what is done about those that fail."""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from shared.clock import boot_ms
from shared.connections import Connections
from shared.limits import REDIAL_MS
from shared.logs import Complaints
from shared.metrics import Fact
from shared.runtime import new_id

Monitor = zmq.Socket[bytes]

_log = logging.getLogger(__name__)


class LinkEvent(Enum):
    """What the monitor of a connecting socket tells.

    REFUSED: the other side does not admit this key. UNSAFE: it has another key than the one
    trusted here, or one side has keys and the other none.
    """

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    RETRYING = "retrying"
    REFUSED = "refused"
    UNSAFE = "unsafe"


LINK_EVENTS: Final = {
    zmq.Event.HANDSHAKE_SUCCEEDED: LinkEvent.CONNECTED,
    zmq.Event.DISCONNECTED: LinkEvent.DISCONNECTED,
    zmq.Event.CONNECT_RETRIED: LinkEvent.RETRYING,
    zmq.Event.HANDSHAKE_FAILED_AUTH: LinkEvent.REFUSED,
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL: LinkEvent.UNSAFE,
}
# What to say of a peer with whom no handshake comes about.
WHY_NOT: Final = {
    LinkEvent.REFUSED: "it does not admit this key: was it added to its allow-list, or revoked?",
    LinkEvent.UNSAFE: "it has other keys than those trusted here, or only one side has keys",
}
_DOOR_EVENTS: Final = (
    zmq.Event.ACCEPTED
    | zmq.Event.HANDSHAKE_FAILED_AUTH
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.DISCONNECTED
)
_PROTOCOL_REASONS: Final[Mapping[int, str]] = {
    int(zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC): "not-encrypted-for-us",
    int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH): "other-security",
}


def watch(socket: zmq.Socket[bytes], events: int) -> Monitor:
    """Where the events of a socket can be read; they are never lost.

    Without a limit, since libzmq's I/O thread would wait for a reader that is late.
    """
    address = f"inproc://monitor-{new_id()}"
    socket.monitor(address, events)
    monitor: Monitor = socket.context.socket(zmq.PAIR)
    monitor.setsockopt(zmq.RCVHWM, 0)
    monitor.setsockopt(zmq.LINGER, 0)
    monitor.connect(address)
    return monitor


def has_news(socket: zmq.Socket[bytes]) -> bool:
    """True if something waits to be received.

    Asking first is cheaper than the exception for a queue that is empty, as most often it is.
    """
    return bool(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)


def next_event(monitor: Monitor) -> LinkEvent | None:
    """The next event of a watched socket, or None if there is none."""
    if not has_news(monitor):
        return None
    return LINK_EVENTS[zmq.Event(recv_monitor_message(monitor, zmq.NOBLOCK)["event"])]


class Dialler:
    """Connects again where libzmq has given up.

    libzmq retries what breaks off, but never what was refused or broke the protocol; a camera
    whose key is admitted a minute later would stay out for ever. Time is an argument.
    """

    def __init__(self, socket: zmq.Socket[bytes], address: str) -> None:
        self._socket = socket
        self._address = address
        self._given_up_ms: float | None = None

    def note(self, news: LinkEvent, now_ms: float) -> None:
        """Takes in every event of the socket's monitor, in order."""
        if news is LinkEvent.DISCONNECTED:
            self._given_up_ms = now_ms
        elif news in (LinkEvent.RETRYING, LinkEvent.CONNECTED):
            self._given_up_ms = None

    def turn(self, now_ms: float) -> None:
        """Dials again, a second after libzmq was last seen to have given up."""
        if self._given_up_ms is None or now_ms - self._given_up_ms < REDIAL_MS:
            return
        self._given_up_ms = None
        with contextlib.suppress(zmq.ZMQError):
            self._socket.disconnect(self._address)
        self._socket.connect(self._address)


class Door:
    """Counts, by reason, the connections to a bound socket that did not come to anything.

    `unknown-key`: not admitted. `other-security`: it has no keys, or keys where none are used.
    `not-encrypted-for-us`: it trusts another key. `broken-off`: silent too long, or gone.
    `protocol`: no ZeroMQ. `mute`, `endless`: cut, see `Connections`, which wants to be told of
    each message. `closed`: connections that ended, also the good ones.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = watch(socket, _DOOR_EVENTS)
        self.connections = Connections()
        self.counts: Counter[str] = Counter()
        self._complaints = Complaints(_log)

    def turn(self) -> None:
        """Takes in what the socket's monitor tells; register `socket` with the poller."""
        while has_news(self.socket):
            self._take(recv_monitor_message(self.socket, zmq.NOBLOCK))
        for reason in self.connections.cut(boot_ms()):
            self._note(reason)

    def _take(self, told: Mapping[str, Any]) -> None:
        event, value = told["event"], told["value"]
        if event == zmq.Event.ACCEPTED:
            self.connections.accepted(value, boot_ms())
            return
        if event == zmq.Event.DISCONNECTED:
            self.connections.closed(value)
        self._note(_reason(event, value))

    def _note(self, reason: str) -> None:
        self.counts[reason] += 1
        # Who has an unknown key is logged by the authenticator, with its address.
        if reason not in ("closed", "unknown-key"):
            self._complaints.event("connection failed", why=reason)

    def facts(self, component: str) -> Iterator[Fact]:
        """The metric of a component's connections that ended, by reason."""
        for reason, count in Counter(self.counts).items():
            name = f"roommood_{component}_connections_ended_total"
            yield Fact(name, "Connections that ended, by reason.", count, {"reason": reason})


def _reason(event: zmq.Event, value: int) -> str:
    if event == zmq.Event.DISCONNECTED:
        return "closed"
    if event == zmq.Event.HANDSHAKE_FAILED_AUTH:
        return "unknown-key"
    if event == zmq.Event.HANDSHAKE_FAILED_NO_DETAIL:
        return "broken-off"
    return _PROTOCOL_REASONS.get(value, "protocol")
