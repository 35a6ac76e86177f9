"""How every component starts, is told to stop, and is woken from another thread."""

import contextlib
import functools
import gc
import hashlib
import logging
import resource
import secrets
import signal
import socket
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from types import FrameType
from typing import Final

from roommood.shared.process.logs import event
from roommood.shared.protocol.limits import UNREACHED_AGAIN_MS

# Exit codes beside those of `shared.errors`: a drain that ran out of time lost something.
EXIT_DRAIN_INCOMPLETE: Final = 3
# What macOS takes where it says that there is no limit, and then refuses that (setrlimit(2)).
_MACOS_OPEN_MAX: Final = 10_240

_log = logging.getLogger(__name__)


def new_id() -> str:
    """A random id of one start of one process, 16 hexadecimal digits."""
    return secrets.token_hex(8)


@functools.cache
def release() -> str:
    """The installed version, as in `pyproject.toml`, with a digest of the files that a wheel has
    brought: "0.1.0+5f0c2a17". What was built of another source has another one."""
    try:
        installed = distribution("roommood")
    except PackageNotFoundError:
        return "unknown"
    # Each row has a file's own hash; what was compiled here has none.
    rows = (installed.read_text("RECORD") or "").splitlines()
    files = sorted(row for row in rows if row.startswith("roommood/") and ",sha256=" in row)
    digest = hashlib.sha256("\n".join(files).encode()).hexdigest()[:8]
    return f"{installed.version}+{digest}" if files else installed.version


class Waker:
    """Wakes a poll from another thread: register `fileno()` for reading, then `drain()`."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._woken = False

    def fileno(self) -> int:
        return self._reader.fileno()

    def write_fileno(self) -> int:
        return self._writer.fileno()

    def wake(self) -> None:
        """Safe from any thread; many wakes before one drain are one."""
        if self._woken:
            return
        self._woken = True
        with contextlib.suppress(BlockingIOError, OSError):
            self._writer.send(b"\0")

    def drain(self) -> None:
        """To be called before looking at what one may have been woken for.

        The flag falls after the bytes are read: a wake in between sends none, and needs none.
        """
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(4096)
        self._woken = False

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class Shutdown:
    """Whether this process was asked to stop: once (drain), or twice (at once)."""

    def __init__(self) -> None:
        self.waker = Waker()
        self.requested = False
        self.forced = False
        self.signal_number = 0

    def request(self) -> None:
        self.forced = self.requested
        self.requested = True
        self.waker.wake()

    @property
    def forced_exit_code(self) -> int:
        return 128 + self.signal_number

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and self.requested:
            return  # a terminal that closes sends it twice
        self.signal_number = number
        self.request()


def forbid_core_dumps() -> None:
    """From now on no crash writes this process' memory, with frames and keys in it, to a disk.

    The limit is inherited. systemd-coredump and apport keep to it, though the kernel hands them
    the memory all the same (core(5)).
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def allow_many_descriptors() -> None:
    """As many open files as the system allows this process: each peer of a large site is one, and
    the customary limit of 1,024 would keep the next camera out."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (most, max(soft, _MACOS_OPEN_MAX)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
            return


@contextlib.contextmanager
def shutdown_on_signals() -> Iterator[Shutdown]:
    """SIGTERM, SIGINT and a terminal that closes request a shutdown while inside; one of the first
    two that comes later forces it. Under nohup a terminal may close.

    The handlers only set flags and wake the poll; the previous handlers come back at the end.
    Core dumps are forbidden from here on, and many peers allowed.
    """
    forbid_core_dumps()
    allow_many_descriptors()
    shutdown = Shutdown()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, shutdown._handle) for number in numbers}
    # What was loaded until now stays; the garbage collector need not look through it again.
    gc.freeze()
    before_fd = signal.set_wakeup_fd(shutdown.waker.write_fileno(), warn_on_full_buffer=False)
    try:
        yield shutdown
    finally:
        signal.set_wakeup_fd(before_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        shutdown.waker.close()


class Deadline:
    """A point in time on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        return self.left_s <= 0

    @property
    def left_s(self) -> float:
        return self._end - time.monotonic()


_AGAIN_S: Final = UNREACHED_AGAIN_MS / 1_000


@dataclass(frozen=True, slots=True)
class _Line:
    """When and why it was last told that a peer is away; how soon another reason may be."""

    why: str
    at: float
    pause_s: float = 10.0

    def is_due_again(self, why: str, now: float) -> bool:
        return now - self.at >= (_AGAIN_S if why == self.why else self.pause_s)


class ConnectionLog:
    """One line when a peer is lost, has left or is back, however often it is tried.

    While it is away another one where the reason is another by now, after 10 s and then twice as
    long each time, and each five minutes in any case.
    Remembers the latest few thousand peers, since peers choose their names, and writes at most
    a thousand lines at once and ten a second: a line that comes later tells how many were not.
    """

    _MOST: Final = 4_096
    _LINES: Final = 1_000
    _LINES_A_SECOND: Final = 10
    _LEFT: Final = float("inf")

    def __init__(self, kind: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never step."""
        self._kind = kind
        self._clock = clock
        self._lines_left = float(self._LINES)
        self._filled_at = clock()
        self._held_back = 0
        self._lost_at: dict[str, float | None] = {}
        self._last_lines: dict[str, _Line] = {}

    def lost(self, peer: str, why: str = "") -> None:
        """To be called at each try in vain, with its reason."""
        why, now = why or "no answer", self._clock()
        if self._lost_at.get(peer) is not None:
            self._still_away(peer, why, now)
            return
        self._note(peer, now)
        self._last_lines[peer] = _Line(why, now)
        self._say(logging.WARNING, "lost", peer, why=why)

    def _still_away(self, peer: str, why: str, now: float) -> None:
        last, since = self._last_lines.get(peer), self._lost_at[peer]
        if last is None or since is None or not last.is_due_again(why, now):
            return
        self._last_lines[peer] = _Line(why, now, min(last.pause_s * 2, _AGAIN_S))
        self._say(logging.WARNING, "still away", peer, why=why, away_s=round(now - since))

    def back(self, peer: str) -> None:
        if peer in self._lost_at and self._lost_at[peer] is None:
            return
        since = self._lost_at.get(peer)
        self._note(peer, None)
        if since is None or since == self._LEFT:
            self._say(logging.INFO, "found", peer)
        else:
            away_s = self._clock() - since
            self._say(logging.INFO, "back", peer, away_s=round(away_s, 2))

    def lost_are(self, peers: Collection[str], why: str = "") -> None:
        """These are lost at this moment; all others that were are back."""
        for peer in peers:
            self.lost(peer, why)
        lost = [
            component
            for component, at in self._lost_at.items()
            if at is not None and at != self._LEFT
        ]
        for peer in set(lost) - set(peers):
            self.back(peer)

    def left(self, peer: str) -> None:
        """It went in good order, so that it is not missed."""
        if self._lost_at.get(peer) != self._LEFT:
            self._note(peer, self._LEFT)
            self._say(logging.INFO, "left", peer)

    def forget(self, peer: str) -> None:
        self._lost_at.pop(peer, None)
        self._last_lines.pop(peer, None)

    def _say(self, level: int, what: str, peer: str, **fields: object) -> None:
        now = self._clock()
        earned = (now - self._filled_at) * self._LINES_A_SECOND
        self._lines_left, self._filled_at = min(self._LINES, self._lines_left + earned), now
        if self._lines_left < 1:
            self._held_back += 1
            return
        self._lines_left -= 1
        held_back, self._held_back = self._held_back, 0
        more = {"held_back": held_back} if held_back else {}
        event(_log, level, f"{self._kind} {what}", peer=peer, **fields, **more)

    def _note(self, peer: str, lost_at: float | None) -> None:
        self.forget(peer)
        self._lost_at[peer] = lost_at
        if len(self._lost_at) > self._MOST:
            self.forget(next(iter(self._lost_at)))
