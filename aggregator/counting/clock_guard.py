"""An aggregator whose clock is not Redis', or was not set yet, counts nothing: it would book into
the wrong hours."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from roommood.shared.clock import boot_ms, wall_ms
from roommood.shared.errors import ShardAway, StoreAway, StoreError
from roommood.shared.process.logs import event
from roommood.shared.process.metrics import Health

_log = logging.getLogger(__name__)
# Milliseconds that this machine's wall clock may differ from Redis'.
MAX_OFF_MS: Final = 60_000.0
# No release is older: a clock before that was not set yet, as one without a battery starts in 1970.
_NO_EARLIER_MS: Final = datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1_000
# Milliseconds by which the wall clock was set since it was compared: it is compared again at once.
_STEP_MS: Final = 1_000.0
_TODO: Final = "let both machines keep time by NTP (timedatectl set-ntp true)"


class ClockGuard:
    """Compares the wall clock with Redis', and says so when they differ by more than a minute, and
    when both may be as wrong."""

    def __init__(
        self,
        redis_clock_ms: Callable[[], float],
        health: Health,
        wall_ms: Callable[[], float] = wall_ms,
        boot_ms: Callable[[], float] = boot_ms,
    ) -> None:
        """`redis_clock_ms` asks Redis for its time, and raises StoreError where it does not say."""
        self._redis_clock_ms = redis_clock_ms
        self._health = health
        self._wall_ms, self._boot_ms = wall_ms, boot_ms
        self._set_ms: float | None = None
        self._may_ask = True
        self._is_wrong = False
        self.off_ms = 0.0

    @property
    def is_wrong(self) -> bool:
        """Whether it was when last looked at."""
        return self._is_wrong

    def may_count(self) -> bool:
        """Whether results may be counted by this machine's clock, now."""
        if self._set_ms is None or abs(self._offset_ms() - self._set_ms) > _STEP_MS:
            try:
                self.compare()
            except StoreError:
                return False
        return not self._is_wrong

    def compare(self) -> None:
        """Asks Redis. Raises StoreError where it gives no answer."""
        before_ms, began_ms = self._wall_ms(), self._boot_ms()
        theirs_ms = self._theirs_ms() if self._may_ask else None
        took_ms = self._boot_ms() - began_ms
        self._set_ms = before_ms - began_ms
        if theirs_ms is not None:
            self._note_off(before_ms - theirs_ms, took_ms)
        self._judge(before_ms)

    def _theirs_ms(self) -> float | None:
        try:
            return self._redis_clock_ms()
        except (StoreAway, ShardAway):
            raise
        except StoreError as error:
            self._may_ask = False
            event(_log, logging.WARNING, "clock not compared with Redis'", why=str(error))
            return None

    def _note_off(self, off_ms: float, took_ms: float) -> None:
        """Redis read its clock at some moment of `took_ms`: what that explains is not off."""
        self.off_ms = off_ms if off_ms > 0 else min(0.0, off_ms + took_ms)
        self._health.detail["redis_clock_off_s"] = round(self.off_ms / 1000, 1)

    def _judge(self, now_ms: float) -> None:
        why, off_s = self._why_wrong(now_ms), round(self.off_ms / 1000, 1)
        was_wrong, self._is_wrong = self._is_wrong, bool(why)
        self._health.fail("clock", f"{why}: nothing is counted; {_TODO}" if why else "")
        if why and not was_wrong:
            event(
                _log, logging.WARNING, "clock wrong, nothing is counted",
                why=why, off_s=off_s, todo=_TODO,
            )  # fmt: skip
        elif was_wrong and not why:
            event(_log, logging.INFO, "clock right again", off_s=off_s)

    def _why_wrong(self, now_ms: float) -> str:
        """ "" if it is not."""
        if now_ms < _NO_EARLIER_MS:
            day = datetime.fromtimestamp(now_ms / 1000, UTC).date()
            return f"this machine's clock says {day}: it was not set yet"
        if abs(self.off_ms) <= MAX_OFF_MS:
            return ""
        off_s = round(self.off_ms / 1000, 1)
        return f"this machine's clock is {abs(off_s)} s {_direction(off_s)} Redis'"

    def _offset_ms(self) -> float:
        """What the wall clock is ahead of the clock that never steps: it changes as that is set."""
        return self._wall_ms() - self._boot_ms()


def _direction(off_s: float) -> str:
    return "ahead of" if off_s > 0 else "behind"
