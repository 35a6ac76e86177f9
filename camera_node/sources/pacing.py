"""When the next picture is due, for sources that set their own pace or come too fast."""

import contextlib
import math
import threading
from collections.abc import Callable

from roommood.camera_node.sources.picture import Interrupted, Source
from roommood.shared.clock import boot_ms
from roommood.shared.errors import SourceError


class Pacer:
    """Ticks at a fixed rate without drift; a tick that comes late does not hurry the next."""

    def __init__(self, rate_hz: float, clock: Callable[[], float] = boot_ms) -> None:
        self._interval_ms = 1000.0 / rate_hz
        self._clock = clock
        self._due_ms = -math.inf
        # A lock that is held until `interrupt`: waiting for an Event costs several times as much.
        self._held = threading.Lock()
        self._held.acquire()

    def now_ms(self) -> float:
        return self._clock()

    def wait_until(self, due_ms: float) -> float:
        """Waits for a time in ms; the time then. Raises Interrupted."""
        if self._held.acquire(timeout=max(0.0, min(due_ms - self._clock(), 1e9)) / 1000.0):
            self._held.release()
            raise Interrupted("the wait for the next picture was interrupted")
        return self._clock()

    def wait(self) -> float:
        """Waits for the next tick; its time in ms. Raises Interrupted."""
        now_ms = self.wait_until(self._due_ms)
        late = now_ms - self._due_ms > self._interval_ms
        self._due_ms = (now_ms if late else self._due_ms) + self._interval_ms
        return now_ms

    def interrupt(self) -> None:
        with contextlib.suppress(RuntimeError):  # not held any more
            self._held.release()


class PacedSource(Source):
    """A source that sets its own pace: a picture is due at each tick."""

    _pacer: Pacer | None = None

    def close(self) -> None:
        self._pacer = None

    def interrupt(self) -> None:
        pacer = self._pacer
        if pacer is not None:
            pacer.interrupt()

    def _wait(self) -> float:
        """The next tick's time, in ms, when it has come. Raises SourceError if not open."""
        return self._paced().wait()

    def _paced(self) -> Pacer:
        if self._pacer is None:
            raise SourceError(f"{self.description} is not open")
        return self._pacer


class Thinner:
    """Lets pictures through at a lower rate than they come, evenly on average."""

    def __init__(self, rate_hz: float | None) -> None:
        self._interval_ms = 0.0 if rate_hz is None else 1000.0 / rate_hz
        self._due_ms = -math.inf

    def is_due(self, at_ms: float) -> bool:
        """True if the picture of this time, in ms, is to be let through."""
        if at_ms < self._due_ms - self._interval_ms / 4:
            return False
        late = at_ms - self._due_ms > self._interval_ms
        self._due_ms = (at_ms if late else self._due_ms) + self._interval_ms
        return True

    def given(self, at_ms: float) -> None:
        """A picture was let through though it was not due: the next is due an interval later."""
        self._due_ms = at_ms + self._interval_ms
