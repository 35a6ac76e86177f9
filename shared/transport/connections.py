"""The open connections of a bound socket, and which of them are cut.

libzmq bounds the size of one part, not the number of parts: a message that never ends is kept
whole in memory, past every high-water mark. And it closes a peer that does not finish its
handshake, but never one that finishes it and then says nothing. So this side watches how much
each connection has sent since its last whole message (the kernel's own count, tcp(7), TCP_INFO),
and for how long it has been mute, and shuts its TCP connection down; libzmq sees a peer gone.
Honest peers say something every second.

Nor does it bound what comes before a handshake: a stranger's first message is taken in whole, of
any number of connections. How far a handshake is shows in what this side has sent (TCP_INFO
again). Time is an argument.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from roommood.shared.process.memory import give_back_freed_memory
from roommood.shared.protocol.limits import (
    MAX_HANDSHAKE_BYTES,
    MAX_UNFINISHED_BYTES,
    MAX_UNFINISHED_BYTES_IN_ALL,
    MAX_UNSHAKEN_IN_ALL,
    MAX_UNSHAKEN_OF_ADDRESS,
    MUTE_MS,
)
from roommood.shared.transport import tcp

_LOOK_EVERY_MS: Final = 250.0
# While somebody has not shaken hands: a stranger's bytes come as fast as the network carries them.
_LOOK_AT_STRANGERS_EVERY_MS: Final = 20.0
# After a cut; libzmq frees what it held for a connection when it sees it end.
_GIVE_BACK_AFTER_MS: Final = 1_000.0
# Bytes that a listening side with keys has sent before READY: the SYN, its greeting, WELCOME.
_SENT_UNSHAKEN: Final = 1 + 64 + 170


@dataclass(slots=True)
class _Connection:
    peer: object
    heard_ms: float
    network: str
    heard: bool = False
    received: int = 0
    unfinished: int = 0


class Connections:
    """What is known of each connection, by file descriptor. One is cut because it is

    `endless`: more than MAX_UNFINISHED_BYTES came without a whole message, or more than
    MAX_UNFINISHED_BYTES_IN_ALL from all of them, of which it sent the most; or
    `mute`: MUTE_MS have passed without one; or
    `crowd`: it has not shaken hands, and sent more than a handshake takes, or there are more than
    MAX_UNSHAKEN_OF_ADDRESS of its address (/64 for IPv6), or MAX_UNSHAKEN_IN_ALL. Without keys
    a handshake proves nothing: there its first whole message counts, of any length.
    """

    def __init__(self, *, keyed: bool = False) -> None:
        self._keyed = keyed
        self._open: dict[int, _Connection] = {}
        self._unshaken: dict[int, _Connection] = {}
        self._looked_ms = self._looked_at_strangers_ms = 0.0
        self._freed = False
        self._give_back_ms = float("inf")

    def __len__(self) -> int:
        return len(self._open)

    def next_look_ms(self) -> float:
        """Within how many milliseconds `cut` wants to look again."""
        return _LOOK_AT_STRANGERS_EVERY_MS if self._unshaken else _LOOK_EVERY_MS

    def accepted(self, fd: int, now_ms: float) -> list[str]:
        """A connection came in; the reason of each that was cut for it, itself or another."""
        peer = tcp.peer_of(fd)
        connection = _Connection(peer, now_ms, _network(peer))
        self._open[fd] = self._unshaken[fd] = connection
        if self._of_network(connection) > MAX_UNSHAKEN_OF_ADDRESS:
            self._look_at_strangers(now_ms)
            if self._of_network(connection) > MAX_UNSHAKEN_OF_ADDRESS:
                return [self._cut(fd, connection, "crowd")]
        if len(self._unshaken) > MAX_UNSHAKEN_IN_ALL:
            # Whoever has been at it for longest: a handshake takes milliseconds.
            oldest = next(iter(self._unshaken))
            return [self._cut(oldest, self._unshaken[oldest], "crowd")]
        return []

    def _of_network(self, connection: _Connection) -> int:
        return sum(other.network == connection.network for other in self._unshaken.values())

    def peer(self, fd: int) -> str:
        """Who is at the other end; "" where it was gone before that was asked."""
        connection = self._open.get(fd)
        peer = connection.peer if connection is not None else None
        return str(peer[0]).removeprefix("::ffff:") if isinstance(peer, tuple) else ""

    def own_addresses(self) -> Iterator[str]:
        """At which addresses of this machine the peers of open connections came in."""
        own = (tcp.own_address_of(fd) for fd in list(self._open))
        return (str(address[0]) for address in own if address)

    def closed(self, fd: int) -> None:
        """A connection ended, by whomever."""
        self._open.pop(fd, None)
        self._freed |= self._unshaken.pop(fd, None) is not None

    def heard(self, fd: int) -> None:
        """A whole message came from this connection."""
        connection = self._open.get(fd)
        if connection is not None:
            connection.heard = True
            self._unshaken.pop(fd, None)

    def cut(self, now_ms: float) -> list[str]:
        """Looks at all of them now and then, and returns the reason of each that was cut.

        To be told before of all that closed.
        """
        reasons = self._look_at_strangers(now_ms)
        self._give_back(now_ms)
        if now_ms - self._looked_ms < _LOOK_EVERY_MS:
            return reasons
        self._looked_ms = now_ms
        for fd, connection in self._open.items():
            _look_at(fd, connection, now_ms)
        in_all = sum(connection.unfinished for connection in self._open.values())
        for fd, connection in sorted(self._open.items(), key=lambda item: -item[1].unfinished):
            endless = (
                connection.unfinished > MAX_UNFINISHED_BYTES or in_all > MAX_UNFINISHED_BYTES_IN_ALL
            )
            if endless or now_ms - connection.heard_ms > MUTE_MS:
                in_all -= connection.unfinished
                reasons.append(self._cut(fd, connection, "endless" if endless else "mute"))
        return reasons

    def _look_at_strangers(self, now_ms: float) -> list[str]:
        looked_ms = now_ms - self._looked_at_strangers_ms
        if not self._keyed or looked_ms < _LOOK_AT_STRANGERS_EVERY_MS:
            return []
        self._looked_at_strangers_ms = now_ms
        reasons = []
        for fd, connection in list(self._unshaken.items()):
            if tcp.bytes_acked(fd) > _SENT_UNSHAKEN:
                del self._unshaken[fd]
            elif tcp.bytes_received(fd) > MAX_HANDSHAKE_BYTES:
                reasons.append(self._cut(fd, connection, "crowd"))
        return reasons

    def _cut(self, fd: int, connection: _Connection, why: str) -> str:
        # The number may be another connection's by now, of which nothing was told yet.
        if tcp.peer_of(fd) == connection.peer:
            tcp.shut_down(fd)
        self.closed(fd)
        self._freed = True
        return why

    def _give_back(self, now_ms: float) -> None:
        """Some time after a connection was cut, or ended before its handshake."""
        if self._freed:
            self._freed = False
            self._give_back_ms = min(self._give_back_ms, now_ms + _GIVE_BACK_AFTER_MS)
        if now_ms >= self._give_back_ms:
            self._give_back_ms = float("inf")
            give_back_freed_memory()


def _network(peer: object) -> str:
    """What counts as one address: an IPv4 address, or the /64 of one of IPv6."""
    try:
        number = ipaddress.IPv6Address(str(peer[0]) if isinstance(peer, tuple) else "")
    except ValueError:
        return str(peer[0]) if isinstance(peer, tuple) else ""
    return str(number.ipv4_mapped or int(number) >> 64)


def _look_at(fd: int, connection: _Connection, now_ms: float) -> None:
    received = tcp.bytes_received(fd)
    if connection.heard:
        connection.heard = False
        connection.heard_ms = now_ms
        connection.received = received
    connection.unfinished = max(0, received - connection.received)
