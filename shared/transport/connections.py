"""The open connections of a bound socket, and which of them are cut.

libzmq bounds the size of one part, not the number of parts: a message that never ends is kept
whole in memory, past every high-water mark. And it closes a peer that does not finish its
handshake, but never one that finishes it and then says nothing. So this side watches how much
each connection has sent since its last whole message (the kernel's own count, tcp(7), TCP_INFO),
and for how long it has been mute, and shuts its TCP connection down; libzmq sees a peer gone.
Honest peers say something every second.

Somebody who waits for something else has heard nothing of honest peers either. So a thread of its
own looks, as often as that takes, and only whoever receives messages cuts, after it has received.
To ask the kernel of a thousand connections takes milliseconds: it is done each second, and sooner
where this process has come to hold more, as it does while it takes in what does not end.

What comes before a handshake is bounded in `shared.transport.strangers`. Time is an argument.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from roommood.shared.process.memory import give_back_freed_memory, resident_bytes
from roommood.shared.protocol.limits import (
    MAX_JPEG_BYTES,
    MAX_UNFINISHED_BYTES,
    MAX_UNFINISHED_BYTES_IN_ALL,
    MUTE_MS,
)
from roommood.shared.transport import strangers, tcp

_LOOK_EVERY_MS: Final = 1_000.0
# How often the memory of this process is asked for, and by how much it may have grown.
_MEMORY_EVERY_MS: Final = 250.0
_GROWN_BYTES: Final = MAX_JPEG_BYTES
# Who sends this much between two looks is looked at as often as strangers: loopback carries a
# gigabyte a second.
_FAST_BYTES: Final = MAX_JPEG_BYTES
# After a cut; libzmq frees what it held for a connection when it sees it end.
_GIVE_BACK_AFTER_MS: Final = 300.0


@dataclass(slots=True)
class _Connection:
    peer: object
    heard_ms: float
    heard: bool = False
    received: int = 0
    finished: int = 0
    unfinished: int = 0


class Connections:
    """What is known of each connection, by file descriptor. One is cut because it is

    `endless`: more than MAX_UNFINISHED_BYTES came without a whole message, or more than
    MAX_UNFINISHED_BYTES_IN_ALL from all of them, of which it sent the most; or
    `mute`: MUTE_MS have passed without one; or
    `crowd`: it is a stranger, and one too many, see `Strangers`.

    Whoever receives messages says what it `heard`, and has those `cut` that are `overdue`; another
    thread tells of connections that were `accepted` or `closed`, and has all looked at, whatever
    the first waits for.
    """

    def __init__(
        self,
        *,
        keyed: bool = False,
        first: int = MAX_JPEG_BYTES,
        memory: Callable[[], int] = resident_bytes,
    ) -> None:
        self._open: dict[int, _Connection] = {}
        self._strangers = strangers.Strangers(keyed=keyed, first=first)
        self._heard: deque[int] = deque()
        self._lock = threading.Lock()
        self._fast: list[int] = []
        self._looked_ms = self._weighed_ms = 0.0
        self._memory, self._least_held = memory, 0
        self.overdue = False
        self._freed = False
        self._give_back_ms = float("inf")

    def __len__(self) -> int:
        return len(self._open)

    def next_look_ms(self, now_ms: float) -> float:
        """Within how many milliseconds `look` is to be called again."""
        if self._strangers or self._fast:
            return strangers.LOOK_EVERY_MS
        return max(0.0, self._weighed_ms + _MEMORY_EVERY_MS - now_ms)

    def accepted(self, fd: int, now_ms: float) -> list[str]:
        """A connection came in; the reason of each that was cut for it, itself or another."""
        with self._lock:
            peer = tcp.peer_of(fd)
            self._open[fd] = _Connection(peer, now_ms)
            return self._cut_all(self._strangers.add(fd, peer, now_ms))

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
        with self._lock:
            self._forget(fd)

    def heard(self, fd: int) -> None:
        """A whole message came from this connection. Never waits."""
        self._heard.append(fd)

    def take_heard(self) -> list[int]:
        """What was heard since. To be taken before it is looked for who was accepted: a message
        may be received before that its connection was accepted is known here."""
        with self._lock:
            return [self._heard.popleft() for _ in range(len(self._heard))]

    def look(self, now_ms: float, heard: Iterable[int]) -> list[str]:
        """Cuts strangers that are too many, but none of those `heard`; the reason of each. Whether
        anybody else is `overdue` is seen, and left to `cut`."""
        with self._lock:
            self._note_heard(heard, now_ms)
            reasons = self._cut_all(self._strangers.look(now_ms))
            self._look_at_known(now_ms)
        self._give_back(now_ms)
        return reasons

    def _look_at_known(self, now_ms: float) -> None:
        if self._is_time_for_all(now_ms):
            self._looked_ms = now_ms
            self._fast = [fd for fd in self._open if self._look_at(fd) > _FAST_BYTES]
        elif self._fast:
            for fd in self._open.keys() & self._fast:
                self._look_at(fd)
        else:
            return
        self.overdue = any(self._find_overdue(now_ms))

    def _is_time_for_all(self, now_ms: float) -> bool:
        if now_ms - self._weighed_ms < _MEMORY_EVERY_MS:
            return False
        self._weighed_ms, held = now_ms, self._memory()
        has_grown = held - self._least_held > _GROWN_BYTES
        is_due = has_grown or now_ms - self._looked_ms >= _LOOK_EVERY_MS
        self._least_held = held if is_due else min(held, self._least_held)
        return is_due

    def _look_at(self, fd: int) -> int:
        """How many bytes came since the last look."""
        connection, received = self._open[fd], tcp.bytes_received(fd)
        new = received - connection.received
        connection.received = received
        if connection.heard:
            connection.heard, connection.finished = False, received
        unfinished = received - connection.finished
        connection.unfinished = unfinished if unfinished > 0 else 0
        return new

    def cut(self, now_ms: float) -> list[str]:
        """Ends who is endless or mute, as of what was heard; the reason of each. To be called by
        whoever receives, after it has received."""
        if not self.overdue:
            return []
        with self._lock:
            self._note_heard(self._heard, now_ms)
            overdue = list(self._find_overdue(now_ms))
            for fd, _ in overdue:
                self._cut(fd)
            self.overdue = False
        return [reason for _, reason in overdue]

    def end_strangers(self) -> int:
        """Shuts down whoever has sent no message yet; how many are still to be told as `closed`."""
        with self._lock:
            self._note_heard(self._heard, self._looked_ms)
            for fd in self._strangers:
                self._shut_down(fd)
            return len(self._strangers)

    def _note_heard(self, heard: Iterable[int], now_ms: float) -> None:
        for fd in heard:
            self._strangers.remove(fd)
            if connection := self._open.get(fd):
                connection.heard, connection.heard_ms, connection.unfinished = True, now_ms, 0

    def _find_overdue(self, now_ms: float) -> Iterator[tuple[int, str]]:
        in_all = sum(connection.unfinished for connection in self._open.values())
        may_be_endless = in_all > MAX_UNFINISHED_BYTES
        suspects = [
            (fd, connection)
            for fd, connection in self._open.items()
            if may_be_endless or now_ms - connection.heard_ms > MUTE_MS
        ]
        for fd, connection in sorted(suspects, key=lambda item: -item[1].unfinished):
            unfinished = connection.unfinished
            endless = unfinished > MAX_UNFINISHED_BYTES or in_all > MAX_UNFINISHED_BYTES_IN_ALL
            if endless or now_ms - connection.heard_ms > MUTE_MS:
                in_all -= unfinished
                yield fd, "endless" if endless else "mute"

    def _cut_all(self, fds: Iterable[int]) -> list[str]:
        cut = []
        for fd in fds:  # each before the next is looked at
            self._cut(fd)
            cut.append("crowd")
        return cut

    def _cut(self, fd: int) -> None:
        self._shut_down(fd)
        self._forget(fd)
        self._freed = True

    def _shut_down(self, fd: int) -> None:
        # The number may be another connection's by now, of which nothing was told yet, or have been
        # some other socket's of this process already when it was first looked at.
        connection = self._open.get(fd)
        if connection and connection.peer is not None and tcp.peer_of(fd) == connection.peer:
            tcp.shut_down(fd)

    def _forget(self, fd: int) -> None:
        self._open.pop(fd, None)
        self._freed |= self._strangers.remove(fd)

    def _give_back(self, now_ms: float) -> None:
        """Some time after a connection was cut, or ended before its handshake."""
        if self._freed:
            self._freed = False
            self._give_back_ms = min(self._give_back_ms, now_ms + _GIVE_BACK_AFTER_MS)
        if now_ms >= self._give_back_ms:
            self._give_back_ms = float("inf")
            give_back_freed_memory()
