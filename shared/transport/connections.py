"""The open connections of a bound socket, and which of them are cut.

libzmq bounds the size of one part, not the number of parts: a message that never ends is kept
whole in memory, past every high-water mark. And it closes a peer that does not finish its
handshake, but never one that finishes it and then says nothing. So this side watches how much
each connection has sent since its last whole message (the kernel's own count, tcp(7), TCP_INFO),
and for how long it has been mute, and shuts its TCP connection down; libzmq sees a peer gone.
Honest peers say something every second. Time is an argument.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from roommood.shared.protocol.limits import (
    MAX_UNFINISHED_BYTES,
    MAX_UNFINISHED_BYTES_IN_ALL,
    MUTE_MS,
)
from roommood.shared.transport import tcp

_LOOK_EVERY_MS: Final = 250.0


@dataclass(slots=True)
class _Connection:
    peer: object
    heard_ms: float
    heard: bool = False
    received: int = 0
    unfinished: int = 0


class Connections:
    """What is known of each connection, by file descriptor. One is cut because it is

    `endless`: more than MAX_UNFINISHED_BYTES came without a whole message, or more than
    MAX_UNFINISHED_BYTES_IN_ALL from all of them, of which it sent the most; or
    `mute`: MUTE_MS have passed without one.
    """

    def __init__(self) -> None:
        self._open: dict[int, _Connection] = {}
        self._looked_ms = 0.0

    def __len__(self) -> int:
        return len(self._open)

    def accepted(self, fd: int, now_ms: float) -> None:
        """A connection came in."""
        self._open[fd] = _Connection(tcp.peer_of(fd), now_ms)

    def peer(self, fd: int) -> str:
        """Who is at the other end; "" where it was gone before that was asked."""
        connection = self._open.get(fd)
        peer = connection.peer if connection is not None else None
        return str(peer[0]).removeprefix("::ffff:") if isinstance(peer, tuple) else ""

    def own_addresses(self) -> Iterator[str]:
        """At which addresses of this machine the peers of open connections came in."""
        own = (tcp.own_address_of(fd) for fd in list(self._open))
        return (str(one[0]) for one in own if one)

    def closed(self, fd: int) -> None:
        """A connection ended, by whomever."""
        self._open.pop(fd, None)

    def heard(self, fd: int) -> None:
        """A whole message came from this connection."""
        connection = self._open.get(fd)
        if connection is not None:
            connection.heard = True

    def cut(self, now_ms: float) -> list[str]:
        """Looks at all of them now and then, and returns the reason of each that was cut.

        To be told before of all that closed.
        """
        if now_ms - self._looked_ms < _LOOK_EVERY_MS:
            return []
        self._looked_ms = now_ms
        for fd, connection in self._open.items():
            _look_at(fd, connection, now_ms)
        reasons = []
        in_all = sum(connection.unfinished for connection in self._open.values())
        for fd, one in sorted(self._open.items(), key=lambda item: -item[1].unfinished):
            endless = one.unfinished > MAX_UNFINISHED_BYTES or in_all > MAX_UNFINISHED_BYTES_IN_ALL
            if endless or now_ms - one.heard_ms > MUTE_MS:
                in_all -= one.unfinished
                self._cut(fd, one)
                reasons.append("endless" if endless else "mute")
        return reasons

    def _cut(self, fd: int, connection: _Connection) -> None:
        # The number may be another connection's by now, of which nothing was told yet.
        if tcp.peer_of(fd) == connection.peer:
            tcp.shut_down(fd)
        self.closed(fd)


def _look_at(fd: int, connection: _Connection, now_ms: float) -> None:
    received = tcp.bytes_received(fd)
    if connection.heard:
        connection.heard = False
        connection.heard_ms = now_ms
        connection.received = received
    connection.unfinished = max(0, received - connection.received)
