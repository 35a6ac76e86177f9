"""What is paused, and which rooms are in their quiet hours: as Redis says, or as it said last."""

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

from roommood.aggregator.counting.clock_guard import ClockGuard
from roommood.aggregator.counting.store import Store
from roommood.shared.errors import KeyDamaged
from roommood.shared.process.logs import RateLimitedLog, event
from roommood.shared.protocol.limits import MAX_PAUSED
from roommood.shared.protocol.names import is_name
from roommood.shared.quiet_hours import is_quiet, why_unreadable

T = TypeVar("T")

_log = logging.getLogger(__name__)
# Milliseconds after which what was read is the past: it is read each second.
_FRESH_MS: Final = 5_000.0
_LOST: Final = "Redis has lost what was paused: it is paused again"
_LOST_TODO: Final = "roommood resume, for what was resumed meanwhile; keep Redis' data on a disk"


@dataclass(frozen=True, slots=True)
class _Kept:
    """What Redis keeps of it: paused rooms and cameras, and the quiet hours of rooms."""

    rooms: frozenset[str] = frozenset()
    cameras: frozenset[str] = frozenset()
    hours: dict[str, str] = field(default_factory=dict)

    def without(self, other: "_Kept") -> "_Kept":
        """What the other lacks; other hours of a room are no lack."""
        hours = {room: text for room, text in self.hours.items() if room not in other.hours}
        return _Kept(self.rooms - other.rooms, self.cameras - other.cameras, hours)

    def __or__(self, other: "_Kept") -> "_Kept":
        hours = {**other.hours, **self.hours}
        return _Kept(self.rooms | other.rooms, self.cameras | other.cameras, hours)

    def __bool__(self) -> bool:
        return bool(self.rooms or self.cameras or self.hours)


class Pauses:
    """For one aggregator.

    What vanishes as another Redis answers at the same address, or as it was emptied, was not
    resumed by anybody: it is put back.
    """

    def __init__(self, store: Store, clock: ClockGuard) -> None:
        self._store, self._clock = store, clock
        self._limited_log = RateLimitedLog(_log)
        self._kept = _Kept()
        self._origin = ""
        self._read_ms = -math.inf
        self.rooms: tuple[str, ...] = ()
        self.cameras: tuple[str, ...] = ()

    def are_unknown(self, now_ms: float) -> bool:
        """Whether Redis has not told lately (`boot_ms`): another aggregator may know better."""
        return now_ms - self._read_ms > _FRESH_MS

    def read(self, now_ms: float, wall_ms: float) -> None:
        """Raises StoreError; what one damaged key does not tell stays as it was."""
        damaged: list[KeyDamaged] = []
        before, store = self._kept, self._store
        kept = _Kept(
            _unless_damaged(lambda: frozenset(store.paused_rooms()), before.rooms, damaged),
            _unless_damaged(lambda: frozenset(store.paused_cameras()), before.cameras, damaged),
            _unless_damaged(store.quiet_hours, before.hours, damaged),
        )
        self._kept = self._with_what_was_lost(kept)
        if not damaged:
            self._read_ms = now_ms
        self._judge(wall_ms)
        if damaged:
            raise damaged[0]

    def go_on_without(self, wall_ms: float) -> None:
        """Redis is away: quiet hours begin and end all the same."""
        self._read_ms = -math.inf
        self._judge(wall_ms)

    def _judge(self, wall_ms: float) -> None:
        kept, now = self._kept, datetime.fromtimestamp(wall_ms / 1_000.0, UTC)
        # By a clock that is wrong nobody knows: then it might be.
        is_unsure = self._clock.is_wrong
        quiet = {room for room, hours in kept.hours.items() if is_unsure or is_quiet(hours, now)}
        self.rooms = self._passed_on(kept.rooms | quiet)
        self.cameras = self._passed_on(kept.cameras)
        for room in quiet:
            if why := why_unreadable(kept.hours[room]):
                self._limited_log.event(
                    "quiet for ever: its hours are unreadable", room=room, why=why
                )

    def _with_what_was_lost(self, kept: _Kept) -> _Kept:
        lost = self._kept.without(kept)
        if lost:
            self._store.check_schema()  # which an emptied Redis lacks
        origin = self._store.origin() if kept or lost else self._origin
        if lost and origin != self._origin:
            self._put_back(lost)
            kept |= lost
        self._origin = origin
        return kept

    def _put_back(self, lost: _Kept) -> None:
        event(
            _log, logging.WARNING, _LOST, rooms=sorted(lost.rooms), cameras=sorted(lost.cameras),
            quiet_hours=sorted(lost.hours), todo=_LOST_TODO,
        )  # fmt: skip
        for room in lost.rooms:
            self._store.pause(room)
        for camera in lost.cameras:
            self._store.pause_camera(camera)
        for room, hours in lost.hours.items():
            self._store.put_quiet_hours(room, hours)

    def _passed_on(self, names: Iterable[str]) -> tuple[str, ...]:
        """What an Ack can name: a worker drops one that names anything else, results and all."""
        named = sorted(filter(is_name, names))
        if more := named[MAX_PAUSED:]:
            self._limited_log.event("not paused: too many are", names=len(more), first=more[0])
        return tuple(named[:MAX_PAUSED])


def _unless_damaged(ask: Callable[[], T], before: T, damaged: list[KeyDamaged]) -> T:
    """What one key says, or what it said before it was damaged."""
    try:
        return ask()
    except KeyDamaged as error:
        damaged.append(error)
        return before
