"""Connections of which nothing is proved yet, and which of them are one too many.

libzmq takes a stranger's first message in before it knows from whom: whole, of any number of
connections. How far a handshake with keys is shows in what this side has sent (tcp(7), TCP_INFO);
without keys anybody can shake hands, so that the first whole message counts. Time is an argument.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterator
from operator import itemgetter
from typing import Final, NamedTuple

from roommood.shared.protocol.limits import (
    MAX_HANDSHAKE_BYTES,
    MAX_UNSHAKEN_BYTES_IN_ALL,
    MAX_UNSHAKEN_IN_ALL,
    MAX_UNSHAKEN_OF_ADDRESS,
)
from roommood.shared.transport import tcp

# A stranger's bytes come as fast as the network carries them.
LOOK_EVERY_MS: Final = 20.0
# Bytes that a listening side with keys has sent before READY: the SYN, its greeting, WELCOME.
_SENT_UNSHAKEN: Final = 1 + 64 + 170


class _Stranger(NamedTuple):
    received: int
    fd: int


class Strangers:
    """By file descriptor. One is too many that sent more than a handshake takes (without keys: than
    `first`, the bytes of a peer's first message); or the most, where all of them sent more than
    MAX_UNSHAKEN_BYTES_IN_ALL; or that comes when there are MAX_UNSHAKEN_OF_ADDRESS of its address
    (/64 for IPv6). Where there are more than MAX_UNSHAKEN_IN_ALL, it is the oldest."""

    def __init__(self, *, keyed: bool, first: int) -> None:
        self._keyed = keyed
        self._most_bytes = MAX_HANDSHAKE_BYTES + (0 if keyed else first)
        self._networks: dict[int, str] = {}
        self._of_network: Counter[str] = Counter()
        self._looked_ms = float("-inf")

    def __len__(self) -> int:
        return len(self._networks)

    def __iter__(self) -> Iterator[int]:
        return iter(self._networks)

    def add(self, fd: int, peer: object, now_ms: float) -> list[int]:
        """A connection came in; those that are one too many for it, itself or others."""
        self.remove(fd)  # the number was another's, of whose end nothing was told
        network = self._networks[fd] = _network(peer)
        self._of_network[network] += 1
        overdue = []
        if self._of_network[network] > MAX_UNSHAKEN_OF_ADDRESS:
            overdue = list(self.look(now_ms))
            if self._of_network[network] > MAX_UNSHAKEN_OF_ADDRESS + len(overdue):
                return [*overdue, fd]
        # Whoever has been at it for longest: a handshake takes milliseconds.
        return overdue or list(self._networks)[: max(0, len(self) - MAX_UNSHAKEN_IN_ALL)]

    def remove(self, fd: int) -> bool:
        """It is gone, or no stranger any more; whether it was one."""
        network = self._networks.pop(fd, None)
        if network is None:
            return False
        self._of_network[network] -= 1
        if not self._of_network[network]:
            del self._of_network[network]
        return True

    def look(self, now_ms: float) -> Iterator[int]:
        """Now and then: who is no stranger any more is removed; those that are too many."""
        if now_ms - self._looked_ms < LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        left = []
        for fd in list(self._networks):
            if self._keyed and tcp.bytes_acked(fd) > _SENT_UNSHAKEN:
                self.remove(fd)
            elif (received := tcp.bytes_received(fd)) > self._most_bytes:
                yield fd
            else:
                left.append(_Stranger(received, fd))
        in_all = sum(stranger.received for stranger in left)
        for stranger in sorted(left, key=itemgetter(0), reverse=True):
            if in_all <= MAX_UNSHAKEN_BYTES_IN_ALL:
                return
            in_all -= stranger.received
            yield stranger.fd


def _network(peer: object) -> str:
    """What counts as one address: an IPv4 address, or the /64 of one of IPv6."""
    try:
        number = ipaddress.IPv6Address(str(peer[0]) if isinstance(peer, tuple) else "")
    except ValueError:
        return str(peer[0]) if isinstance(peer, tuple) else ""
    return str(number.ipv4_mapped or int(number) >> 64)
