"""The thread that keeps a source flowing and holds only the newest picture.

A picture that nobody wants is grabbed and let go, neither decoded nor copied. Every picture ends in
exactly one count: `captured == taken + skipped + unchanged + (1 if one waits)`.
"""

import logging
import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from roommood.camera_node.back_off import BackOff
from roommood.camera_node.demand import Demand
from roommood.camera_node.interval import Interval
from roommood.camera_node.shape import MaskedShape
from roommood.camera_node.sources.picture import (
    Damage,
    EndOfSource,
    Grabbed,
    Interrupted,
    Picture,
    Source,
    unexpected,
)
from roommood.camera_node.stillness import Stillness
from roommood.shared.clock import boot_ms
from roommood.shared.errors import PictureError, SourceError
from roommood.shared.protocol.limits import MAX_STATUS_CHARS

# Milliseconds of pictures after which a lost source is steady: its next pause is the shortest.
_STEADY_MS: Final = 10_000.0
# Milliseconds by which a look at whether the camera is frozen or dark may wait.
_SOON_MS: Final = 100.0
# Seconds between two looks at the quiet hours while the camera is off.
_REST_S: Final = 1.0
_BACK_OFF: Final = BackOff()
_log = logging.getLogger("camera_node")


@dataclass(frozen=True, slots=True)
class CaptureCounts:
    """Pictures since the start; they add up to `captured`, and `waiting` is 0 or 1."""

    captured: int = 0
    taken: int = 0
    skipped: int = 0
    unchanged: int = 0
    waiting: int = 0


class Capture:
    """Reads a source on its own thread; whoever sends takes the newest picture, at most once.

    While `is_frame_wanted` is true each new picture is retrieved, and `wake` called for it from the
    capture thread. Else few are: one a second to see whether the camera is frozen or dark.
    `take_newest` makes it true where it finds none; whoever has enough makes it false.
    While the camera is paused or in quiet hours the source is closed and its light is off.
    """

    def __init__(
        self,
        source: Source,
        *,
        wake: Callable[[], None] = lambda: None,
        is_quiet: Callable[[], bool] = lambda: False,
        retry_at_start: bool = False,
        is_masked: bool = False,
        back_off: BackOff = _BACK_OFF,
        clock: Callable[[], float] = boot_ms,
    ) -> None:
        self.source = source
        self._is_frame_wanted, self._demand = False, Demand()
        self.error: BaseException | None = None
        self._wake, self._is_quiet, self._clock = wake, is_quiet, clock
        self._retry_at_start, self._back_off = retry_at_start, back_off
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        # For each picture the lock itself is taken: a Condition costs ten times as much.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._stopping = self._paused = self._is_open = False
        self._newest: Picture | None = None
        self._captured = self._taken = self._skipped = self._unchanged = 0
        self._status, self._attempts = "starting", 0
        self.stillness = Stillness(source.description, source.may_repeat)
        self._damage = Damage(source.description)
        self._lost_ms: float | None = None
        self._wanted_from_ms, self._back_ms = math.inf, -math.inf
        self._interval, self._shape = Interval(), MaskedShape(is_masked=is_masked)

    def start(self) -> None:
        """Opens the source and starts the thread.

        Raises SourceError if the source cannot be opened, unless `retry_at_start` was given
        or it is not to be open now.
        """
        if not self._rest_reason():
            try:
                self._open()
                self._status = "ok"
            except SourceError as error:
                if not self._retry_at_start:
                    raise
                self._lose(error)
        self._thread.start()

    def stop(self, deadline_s: float = 2.0) -> bool:
        """Ends the thread and closes the source. False if a read still blocks at the deadline."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self.source.interrupt()
        if self._thread.ident is not None:
            self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def pause(self) -> None:
        """From now on no picture is given out; the source is closed as soon as its read ends."""
        with self._changed:
            self._paused = True
            self._skip_newest()
            self._changed.notify_all()
        self.source.interrupt()

    def resume(self) -> None:
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    @property
    def is_frame_wanted(self) -> bool:
        is_asked = self._is_frame_wanted or self._clock() >= self._wanted_from_ms
        return is_asked and self.stillness.problem != "frozen"  # which nobody sends

    @is_frame_wanted.setter
    def is_frame_wanted(self, is_wanted: bool) -> None:
        self._is_frame_wanted = is_wanted
        if is_wanted:
            self._demand.asked(self._clock())

    def want_from(self, at_ms: float) -> None:
        """From then on, by the clock, one is wanted too; infinite: not any more."""
        self._wanted_from_ms = at_ms

    def take_newest(self) -> Picture | None:
        """The newest picture, if it was not given out before; if there is none, one is wanted."""
        with self._lock:
            picture, self._newest = self._newest, None
            if picture is None:
                self.is_frame_wanted = True
            else:
                self._taken += 1
                self._demand.given(self._clock())
            return picture

    def count_unsent(self) -> None:
        """A picture taken was not sent after all: it counts as skipped, not as taken."""
        with self._changed:
            self._taken -= 1
            self._skipped += 1

    def count_unchanged(self) -> None:
        """A picture taken was held back, since it shows nothing new."""
        with self._changed:
            self._taken -= 1
            self._unchanged += 1

    def newest_age_ms(self) -> float | None:
        """Milliseconds since the waiting picture was captured; None if none waits."""
        with self._changed:
            newest = self._newest
            return None if newest is None else max(0.0, self._clock() - newest.captured_ms)

    def counts(self) -> CaptureCounts:
        """All counts of one moment."""
        with self._changed:
            counted = self._captured, self._taken, self._skipped, self._unchanged
            return CaptureCounts(*counted, waiting=int(self._newest is not None))

    @property
    def status(self) -> str:
        """ok, paused, quiet, ended, starting, stopped, or reconnecting/failed and why; instead
        of ok also frozen, black or blank and for how long. Printable, 200 characters at most.
        """
        status = (self.stillness.status or "ok") if self._status == "ok" else self._status
        return "".join(c if c.isprintable() else " " for c in status[:MAX_STATUS_CHARS])

    @property
    def is_finished(self) -> bool:
        """True once no further picture will come: the source has ended, failed or was stopped."""
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def rate_hz(self) -> float:
        """Pictures a second lately: nominal until two have come, 0 while the source is closed."""
        with self._changed:
            if not self._is_open:
                return 0.0
            return self._interval.rate_hz(self._clock()) or self.source.rate_hz

    def _run(self) -> None:
        try:
            while not self._stopping:
                if reason := self._rest_reason():
                    self._rest(reason)
                elif self._is_open:
                    self._capture_one()
                else:
                    self._reopen()
            self._status = "stopped"
        except EndOfSource:
            self._status = "ended"
        except BaseException as error:  # ours, not the source's: the node ends, and says so
            self.error, self._status = error, f"failed: {error!r}"
            _log.exception("%s failed", self.source.description)
        finally:
            self._close()
            if not self._stopping:
                self._wake()

    def _rest_reason(self) -> str:
        if self._paused:
            return "paused"
        return "quiet" if self._is_quiet() else ""

    def _rest(self, reason: str) -> None:
        self._close()
        self._attempts = 0
        with self._changed:
            self._skip_newest()
            self._status = reason
            if not self._stopping and self._rest_reason():
                self._changed.wait(_REST_S)

    def _capture_one(self) -> None:
        try:
            grabbed, picture = self._next()
        except EndOfSource:
            raise
        except Interrupted:
            self._close()
        except Exception as error:
            self._lose(error if isinstance(error, SourceError) else unexpected(error))
        else:
            self._keep(grabbed, picture)

    def _next(self) -> tuple[Grabbed, Picture | None]:
        """The next picture that is not damaged, retrieved if anybody is to see it."""
        while True:
            try:
                grabbed = self.source.grab()
                if not self._is_to_be_seen(grabbed):
                    return grabbed, None
                picture = self._shape.checked(self.source.retrieve())
            except PictureError as error:
                self._damage.note(error)
            else:
                self._damage.is_over()
                return grabbed, picture

    def _is_to_be_seen(self, grabbed: Grabbed) -> bool:
        if self.is_frame_wanted or self._lost_ms is not None or self._damage.in_a_row:
            return True
        now_ms = self._clock()
        is_one_due_soon = 0 <= self._wanted_from_ms - now_ms < _SOON_MS  # which does for both
        if not is_one_due_soon and self.stillness.is_due(grabbed.captured_ms, grabbed.is_key):
            return True
        return self._demand.is_likely(now_ms, self._interval.average_ms)

    def _keep(self, grabbed: Grabbed, picture: Picture | None) -> None:
        with self._lock:
            if self._stopping or self._rest_reason():
                return
            self._skip_newest()
            self._captured += 1
            self._newest = picture
            self._skipped += picture is None
            self._interval.note(grabbed.captured_ms, self._clock())
        if picture is None:
            return
        self._note_return()
        self._status = "ok"
        if self.is_frame_wanted:
            self._wake()
        self.stillness.look(picture)

    def _reopen(self) -> None:
        with self._changed:
            if self._lost_ms is not None:
                pause_s = self._back_off.delay_s(self._attempts, random.random())
                self._attempts += 1
                self._changed.wait_for(lambda: self._stopping or self._paused, pause_s)
        if self._stopping or self._rest_reason():
            return
        try:
            self._open()
        except SourceError as error:
            self._lose(error)

    def _open(self) -> None:
        """Raises SourceError, whatever the source raises."""
        try:
            self.source.open()
        except Exception as error:
            self._let_go()
            if isinstance(error, SourceError):
                raise
            raise unexpected(error) from error
        self._is_open = True
        self.stillness.may_repeat = self.source.may_repeat

    def _lose(self, error: SourceError) -> None:
        self._close()
        self._status = f"reconnecting: {error}"
        if self._lost_ms is not None:
            return
        self._lost_ms = self._clock()
        if self._lost_ms - self._back_ms > _STEADY_MS:
            self._attempts = 0
        _log.warning("%s is lost: %s (trying again)", self.source.description, error)
        _log.debug("where %s was lost", self.source.description, exc_info=True)

    def _note_return(self) -> None:
        if self._lost_ms is None:
            return
        self._back_ms = self._clock()
        away_s = (self._back_ms - self._lost_ms) / 1000.0
        self._lost_ms = None
        _log.info("%s is back after %.1f s", self.source.description, away_s)

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._interval.forget()
            self._damage.is_over()
            self.stillness.forget()
            self._let_go()

    def _let_go(self) -> None:
        try:
            self.source.close()
        except Exception as error:
            _log.warning("%s cannot be closed: %r", self.source.description, error)

    def _skip_newest(self) -> None:
        if self._newest is not None:
            self._newest = None
            self._skipped += 1
