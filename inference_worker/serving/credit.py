"""How many frames may be under way to a worker, so that none waits and no thread idles."""

from roommood.inference_worker.serving.ledger import Ledger
from roommood.shared.protocol.limits import MAX_WAIT_MS

# Weight of the newest analysis in the moving average of their length.
_ALPHA = 0.2
# Milliseconds by which a frame should come early: arriving late costs idle time, early age.
_EARLY_MS = 3.0
_SHORT_MS = 10.0
_SHORTEST_PACE_MS = 2.0
_LONGEST_PACE_MS = 50.0
# Milliseconds after which a frame that was asked for is not expected at each moment any more.
_QUIET_MS = 100.0


class CreditControl:
    """Decides when one more frame may be asked for, from what the ledger says is under way. Times
    are `boot_ms`.

    Under way may be as many frames as threads are free, or will be within the time a frame
    takes to come. A slow camera may hold a credit for long: the overcommit is the number of credits
    on which nobody counts. It grows by one while a thread idles although some camera could be
    asked, shrinks by one when a frame had to wait, and ends with the credits that it stands for:
    once the slow camera's frame has come, the next one is counted on again. `soon`: so many of
    the frames asked for are expected before one that would be asked for now; those are counted on
    in any case, else the later one would wait for the analysis of the earlier.

    Where an analysis takes no longer than _SHORT_MS, one frame more a thread may wait for its end:
    whoever serves the threads need then not wake for each thing that happens (`is_supplied`).
    """

    def __init__(self, threads: int, ledger: Ledger) -> None:
        self._threads = threads
        self._ledger = ledger
        self.analysis_ms = 0.0
        self.overcommit = 0
        self._granted_ms = 0.0
        self._pace_ms = _SHORTEST_PACE_MS

    # What happened

    def granted(self, now_ms: float) -> None:
        self._granted_ms = now_ms

    def fetched(self, fetch_ms: float) -> None:
        """A frame came this long after it was asked for; the ledger has received it."""
        self.overcommit = min(self.overcommit, self._ledger.asked)
        pace = min(max(2.0 * fetch_ms, _SHORTEST_PACE_MS), _LONGEST_PACE_MS)
        self._pace_ms += _ALPHA * (pace - self._pace_ms)

    def waited(self, waited_ms: float) -> None:
        """A frame came this long before a thread began with it."""
        if waited_ms > MAX_WAIT_MS:
            self.overcommit = max(0, self.overcommit - 1)

    def took(self, analysis_ms: float) -> None:
        """An analysis took so long."""
        first = self.analysis_ms == 0.0
        self.analysis_ms = (
            analysis_ms if first else self.analysis_ms + _ALPHA * (analysis_ms - self.analysis_ms)
        )

    # What follows

    @property
    def idle_threads(self) -> int:
        idle = self._threads - len(self._ledger.running)
        return idle if idle > 0 else 0

    def may_grant(self, fetch_ms: float, now_ms: float, soon: int = 0) -> bool:
        """True if a frame that takes `fetch_ms` to come would find a free thread, or one that is
        free in no time.

        The overcommit makes up for cameras that do not answer, never for frames that wait.
        """
        in_hand = self._threads if self._is_short else 0
        left = self.idle_threads + in_hand - self._counted_on(soon)
        if left > 0:
            return True
        began_ms = now_ms + fetch_ms + _EARLY_MS - self.analysis_ms
        return left + sum(began <= began_ms for began in self._ledger.running.values()) > 0

    def may_grow(self, now_ms: float, soon: int = 0) -> bool:
        """True, and one more overcommit, if a thread idles because those asked do not answer."""
        coming = self._ledger.waiting + soon
        starved = coming < self.idle_threads <= self._counted_on(soon)
        if not starved or now_ms - self._granted_ms < self._pace_ms:
            return False
        self.overcommit += 1
        return True

    def _counted_on(self, soon: int) -> int:
        return self._ledger.waiting + max(0, soon, self._ledger.asked - self.overcommit)

    @property
    def is_supplied(self) -> bool:
        """True while each thread has its next frame at hand, and is about to begin with it."""
        return self._is_short and self._ledger.waiting >= self._threads

    def is_quiet(self, now_ms: float) -> bool:
        """True where no frame waits, and none was asked for lately, but where its camera chooses
        when to send it."""
        return not self._ledger.waiting and now_ms - self._granted_ms >= _QUIET_MS

    @property
    def _is_short(self) -> bool:
        return 0 < self.analysis_ms <= _SHORT_MS

    def ready_ms(self, now_ms: float) -> float:
        """Milliseconds until a thread is expected to be free."""
        if self.idle_threads:
            return 0.0
        return max(0.0, min(self._ledger.running.values()) + self.analysis_ms - now_ms)

    def next_look_ms(self, fetch_ms: float, now_ms: float) -> float:
        """Milliseconds until `may_grant` or `may_grow` may say otherwise by time alone."""
        passed_ms = now_ms + fetch_ms + _EARLY_MS - self.analysis_ms
        looks = [began - passed_ms for began in self._ledger.running.values()]
        if self.idle_threads:
            looks.append(self._granted_ms + self._pace_ms - now_ms)
        return min([look for look in looks if look > 0], default=_LONGEST_PACE_MS)
