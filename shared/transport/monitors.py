"""What ZeroMQ tells of a socket's connections, and what is done about those that fail."""

import contextlib
import logging
from collections.abc import Container, Iterator, Mapping
from enum import Enum
from typing import Any, Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from roommood.shared.process.runtime import new_id
from roommood.shared.protocol.limits import (
    BROKEN_OFF_IN_A_ROW,
    RECONNECT_MS,
    REDIAL_BROKEN_OFF_MS,
    REDIAL_MS,
)
from roommood.shared.transport import tcp
from roommood.shared.transport.addresses import is_same

Monitor = zmq.Socket[bytes]

_log = logging.getLogger(__name__)


class ConnectionEvent(Enum):
    """What the monitor of a connecting socket tells.

    REFUSED: the other side does not admit this key. UNSAFE: one side has keys and the other none.
    BROKEN_OFF: it ended the connection in the handshake, as one does that has another key than the
    one trusted here, and what is no ZeroMQ.
    """

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    RETRYING = "retrying"
    REFUSED = "refused"
    UNSAFE = "unsafe"
    BROKEN_OFF = "broken-off"


CONNECTION_EVENTS: Final = {
    zmq.Event.HANDSHAKE_SUCCEEDED: ConnectionEvent.CONNECTED,
    zmq.Event.DISCONNECTED: ConnectionEvent.DISCONNECTED,
    zmq.Event.CONNECT_RETRIED: ConnectionEvent.RETRYING,
    zmq.Event.HANDSHAKE_FAILED_AUTH: ConnectionEvent.REFUSED,
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL: ConnectionEvent.UNSAFE,
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL: ConnectionEvent.BROKEN_OFF,
}
# What to say of a peer with whom no handshake comes about.
WHY_NOT: Final = {
    ConnectionEvent.REFUSED: "handshake refused: it does not admit this key, which is not on its "
    "allow-list, or revoked",
    ConnectionEvent.UNSAFE: "handshake refused: other keys: only one side has any",
    ConnectionEvent.BROKEN_OFF: "handshake refused: other keys: it has not the key that is trusted "
    "here, or is no roommood at all",
}
# The same of one that breaks the handshake off, where no keys are used here.
BROKEN_OFF_WITHOUT_KEYS: Final = (
    "it ended the connection in the handshake: it is no roommood, or has keys where here are none"
)
# A TCP connection stands, no handshake yet: for what the kernel knows of it.
LINK_EVENTS: Final = zmq.Event.CONNECTED | sum(CONNECTION_EVENTS)
_LOOK_EVERY_MS: Final = 250.0
# How soon a peer shakes hands that does at all, at a crowded worker.
_MUTE_MS: Final = 500.0
# A plain number: with pyzmq's flags each operation costs as much as the question itself.
_POLLIN: Final = int(zmq.POLLIN)


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
    has_events(
        monitor
    )  # whoever has looked in vain is told at once of what comes: see MonitorEvents
    return monitor


def has_events(socket: zmq.Socket[bytes]) -> bool:
    """True if something waits to be received.

    Asking first is cheaper than the exception for a queue that is empty, as most often it is.
    """
    return bool(int(socket.getsockopt(zmq.EVENTS)) & _POLLIN)


class MonitorEvents:
    """What a monitor tells, by a plain `descriptor` that a poller may watch in its place.

    A poll asks each ZeroMQ socket twice how it stands, a system call each time, and a descriptor
    not at all. It becomes readable when the first message comes after a look in vain, so that
    whoever looks must read all; in any case one looks four times a second.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._looked_ms = 0.0
        self.descriptor = int(monitor.getsockopt(zmq.FD))

    def read(
        self, now_ms: float, ready: Container[object] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """All that was told since. `ready` is what a poll found readable; None: look here."""
        hinted = ready is None or self.descriptor in ready
        if not hinted and now_ms - self._looked_ms < _LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        while has_events(self._monitor):
            yield recv_monitor_message(self._monitor, zmq.NOBLOCK)


def next_event(monitor: Monitor) -> ConnectionEvent | None:
    """The next event of a watched socket, or None if there is none."""
    while has_events(monitor):
        event = recv_monitor_message(monitor, zmq.NOBLOCK)["event"]
        if event != zmq.Event.CONNECTED:
            return CONNECTION_EVENTS[zmq.Event(event)]
    return None


class Reconnector:
    """Tells what becomes of a connecting socket, and connects again where libzmq does not.

    libzmq retries what breaks off, but never what was refused or broke the protocol; a camera
    whose key is admitted a minute later would stay out for ever. It retries a dozen times a second
    also where each handshake is broken off, which costs the other side one each time: from the
    third in a row on that is left to us, too. And a connection from an address that this machine
    has lost stands until heartbeats have failed for seconds: it is ended here.
    Time is an argument. `number` is what libzmq has been given; "" for nothing yet, see `use`.
    """

    def __init__(self, socket: zmq.Socket[bytes], number: str, monitor: Monitor) -> None:
        self._socket = socket
        self.number = number
        self._numbers: tuple[str, ...] = (number,)
        self._dialled_ms = 0.0
        self._events = MonitorEvents(monitor)
        self.descriptor = self._events.descriptor
        self._redial_at_ms: float | None = None
        self._is_broken_off, self._broken_off = False, 0  # the last try, and so many in a row
        self._fd, self._from = -1, ()
        self._looked_ms = 0.0
        self.tcp_ms = float("-inf")  # when a TCP connection last came about, whatever came of it
        self._is_unanswered = False  # no handshake began or failed on it yet

    @property
    def own_address(self) -> str:
        """This machine's, of the connection that stands; "" without one."""
        return str(self._from[0]) if self._from else ""

    def is_mute(self, now_ms: float) -> bool:
        """True, once for each TCP connection, if one was made and nothing came of it."""
        is_mute = self._is_unanswered and now_ms - self.tcp_ms >= _MUTE_MS
        self._is_unanswered &= not is_mute
        return is_mute

    def use(self, numbers: tuple[str, ...]) -> bool:
        """From now on these addresses of the peer are tried in turn; True if that moves it away
        from where it was, where a connection may have stood."""
        self._numbers = numbers
        if self.number in numbers:
            return False
        self._dial(numbers[0])
        return True

    def events(
        self, now_ms: float, ready: Container[object] | None = None
    ) -> Iterator[ConnectionEvent]:
        """All that has happened since; see `MonitorEvents.read`."""
        for message in self._events.read(now_ms, ready):
            if not is_same(message["endpoint"].decode(), self.number):
                continue  # of an address that was tried before
            if message["event"] == zmq.Event.CONNECTED:
                self._fd, self.tcp_ms = message["value"], now_ms
                self._is_unanswered = True
                self._from = tcp.own_address_of(self._fd) or ()
                continue
            event = CONNECTION_EVENTS[zmq.Event(message["event"])]
            self._note(event, now_ms)
            yield event

    def _note(self, event: ConnectionEvent, now_ms: float) -> None:
        if event is ConnectionEvent.CONNECTED or event in WHY_NOT:
            self._is_unanswered = False
        if event is ConnectionEvent.DISCONNECTED:
            self._from = ()
            self._redial_at_ms = now_ms + REDIAL_MS
        elif event is ConnectionEvent.CONNECTED:
            self._redial_at_ms, self._broken_off = None, 0
        elif event is ConnectionEvent.BROKEN_OFF:
            self._is_broken_off = True
        elif event is ConnectionEvent.RETRYING:
            self._note_retry(now_ms)

    def _note_retry(self, now_ms: float) -> None:
        self._broken_off = self._broken_off + 1 if self._is_broken_off else 0
        self._is_broken_off, self._redial_at_ms = False, None
        if self._broken_off >= BROKEN_OFF_IN_A_ROW:
            self._hang_up()
            self._redial_at_ms = now_ms + REDIAL_BROKEN_OFF_MS
        elif len(self._numbers) > 1 and now_ms - self._dialled_ms >= RECONNECT_MS:
            self._dialled_ms = now_ms
            self._dial(self._next())

    def _next(self) -> str:
        place = self._numbers.index(self.number) + 1 if self.number in self._numbers else 0
        return self._numbers[place % len(self._numbers)]

    def _dial(self, number: str) -> None:
        self._hang_up()
        self.number, self._from, self._redial_at_ms = number, (), None
        self._socket.connect(number)

    def _hang_up(self) -> None:
        if self.number:
            with contextlib.suppress(zmq.ZMQError):
                self._socket.disconnect(self.number)

    def tick(self, now_ms: float) -> None:
        """Dials again what libzmq has given up, a second later, and what is broken off."""
        if now_ms - self._looked_ms >= _LOOK_EVERY_MS:
            self._looked_ms = now_ms
            self._end_if_stranded()
        if self._redial_at_ms is not None and now_ms >= self._redial_at_ms:
            self._dial(self._next())

    def _end_if_stranded(self) -> None:
        """libzmq then sees the connection end, and connects again from where it is now."""
        if not self._from or tcp.is_of_this_machine(self._from):
            return
        # The number may be another connection's by now.
        if tcp.own_address_of(self._fd) == self._from:
            tcp.shut_down(self._fd)
        self._from = ()
