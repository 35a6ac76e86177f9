"""Host names to numbers, beside the loop: libzmq would look them up in its only I/O thread, where
one name that no server answers holds up every other connection.
"""

import ipaddress
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from roommood.shared.process.runtime import Deadline, Waker
from roommood.shared.protocol.limits import (
    IDLE_LOOKUP_S,
    MAX_LEARNED_LOOKUPS,
    MAX_LOOKUPS,
    MAX_NUMBERS,
)
from roommood.shared.transport.addresses import host_of

# RFC 6761, section 6.3: this name leads nowhere else, whatever a name server says.
_LOCALHOST: Final = ("127.0.0.1", "[::1]")
Job = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a name led to: addresses without names, in the order to try them; or why to none."""

    addresses: tuple[str, ...] = ()
    why: str = ""


def is_number(address: str) -> bool:
    """True if a parsed address has no name in it that must be looked up; 127.1 is one to libzmq."""
    try:
        ipaddress.ip_address(host_of(address).partition("%")[0])
    except ValueError:
        return False
    return True


def look_up(address: str) -> Numbers:
    """Waits for the system's resolver, which may take half a minute."""
    host, port = host_of(address), address.rpartition(":")[2]
    if host == "localhost":
        return Numbers(tuple(f"tcp://{number}:{port}" for number in _LOCALHOST))
    try:
        entries = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Numbers(why=_why(host, error))
    addresses = dict.fromkeys(_written(family, name) for family, _, _, _, name in entries)
    return Numbers(tuple(addresses)[:MAX_NUMBERS])


def _why(host: str, error: Exception) -> str:
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return f"no name server answers for {host}"
    return f"the name {host} is unknown"


def _written(family: int, name: tuple[object, ...]) -> str:
    if family != socket.AF_INET6:
        return f"tcp://{name[0]}:{name[1]}"
    # A link-local address means nothing without its interface.
    scope = f"%{name[3]}" if name[3] else ""
    return f"tcp://[{name[0]}{scope}]:{name[1]}"


class Resolver:
    """Looks names up in daemon threads, at most MAX_LOOKUPS at once, which start when needed.

    Each ends when none was for IDLE_LOOKUP_S.

    Names that others passed on have MAX_LEARNED_LOOKUPS of them, so that whatever a peer names
    holds up no configured one. Answers are taken by the thread that asks; register `fileno()` with
    its poller, and call `drain` when it is readable.
    """

    def __init__(self, look: Callable[[str], Numbers] | None = None) -> None:
        self._look = look
        self._waker = Waker()
        self._changed = threading.Condition()
        self._queues: tuple[deque[tuple[str, Job]], ...] = (deque(), deque())
        self._busy = [0, 0]
        self._threads = 0
        self._pending: set[str] = set()
        self._answers: dict[str, Numbers] = {}
        self.closed = False

    def fileno(self) -> int:
        return self._waker.fileno()

    def drain(self) -> None:
        self._waker.drain()

    def ask(self, address: str, *, learned: bool = False) -> None:
        """Begins to look up an address, unless that is under way."""

        def job() -> None:
            self._answers[address] = (self._look or look_up)(address)

        self.run(address, job, learned=learned)

    def run(self, key: str, job: Job, *, learned: bool = False) -> None:
        """Runs what may wait for the network, unless one of this key is under way."""
        with self._changed:
            if key in self._pending:
                return
            self._pending.add(key)
            self._queues[learned].append((key, job))
            if self._threads < min(MAX_LOOKUPS, len(self._pending)):
                self._threads += 1
                threading.Thread(target=self._work, name="resolver", daemon=True).start()
            self._changed.notify()

    def is_pending(self, key: str) -> bool:
        return key in self._pending

    def answer(self, address: str) -> Numbers | None:
        """What was found since, once; None while nothing was."""
        return self._answers.pop(address, None)

    def close(self) -> None:
        """Ends the threads, as far as they do not wait for a name server."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        self._waker.close()

    def _work(self) -> None:
        while True:
            idle = False
            with self._changed:
                while (taken := self._next()) is None:
                    if self.closed or idle:
                        self._threads -= 1
                        return
                    idle = not self._changed.wait(IDLE_LOOKUP_S)
                learned, (key, job) = taken
                self._busy[learned] += 1
            try:
                job()
            finally:
                with self._changed:
                    self._busy[learned] -= 1
                    self._pending.discard(key)
                    self._changed.notify()
                self._waker.wake()

    def _next(self) -> tuple[bool, tuple[str, Job]] | None:
        if self.closed:
            return None
        for learned in (False, True):
            free = not learned or self._busy[True] < MAX_LEARNED_LOOKUPS
            if self._queues[learned] and free:
                return learned, self._queues[learned].popleft()
        return None


# Seconds for which an answer that came late is good.
_LATE_ANSWER_S: Final = 60.0


class _LookUp(threading.Thread):
    """One look-up of a name, for all who wait for it."""

    def __init__(self, address: str, seconds: float) -> None:
        super().__init__(name="resolver", daemon=True)
        self._address = address
        self.patience = Deadline(seconds)
        self.numbers: Numbers | None = None

    def run(self) -> None:
        self.numbers = look_up(self._address)

    @property
    def is_stale(self) -> bool:
        """Whether its answer came so late, or has waited so long, that it may not hold any more."""
        return self.numbers is not None and self.patience.left_s < -_LATE_ANSWER_S


_under_way: dict[str, _LookUp] = {}
_changing = threading.Lock()


def look_up_within(address: str, seconds: float) -> Numbers:
    """As `look_up`, for those who may wait, but not for ever.

    A name is looked up once at a time: who asks again while no answer came in time is told so at
    once, and what came late is the answer to whoever asks next.
    """
    if is_number(address):
        return Numbers((address,))
    with _changing:
        running = _under_way.get(address)
        if running is None or running.is_stale:
            running = _LookUp(address, seconds)
            running.start()
            _under_way[address] = running
    running.join(running.patience.left_s)
    if running.numbers is None:
        why = f"no name server answered for {host_of(address)} within {seconds:g} s"
        return Numbers(why=why)
    with _changing:
        if _under_way.get(address) is running:
            del _under_way[address]
    return running.numbers
