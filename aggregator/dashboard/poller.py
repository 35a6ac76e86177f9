"""Follows Redis for everybody who looks: one subscription, one snapshot, shared by all."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from roommood.aggregator.dashboard.snapshot import HourCache, Snapshot
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.failures import translated
from roommood.aggregator.redis.servers import Servers
from roommood.aggregator.redis.shards import missing
from roommood.aggregator.stats.health import CameraHealth, WorkerHealth
from roommood.aggregator.stats.inventory import Inventory
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import KnownRoom, RoomStats
from roommood.shared.errors import ConfigError, ShardAway, StoreError
from roommood.shared.process.runtime import ConnectionLog

# From a change in Redis to the look at it, and from one look to the next, changes or none.
_PACE_S: Final = 0.4
_LOOK_AT_LEAST_EVERY_S: Final = 1.0
_TRY_AGAIN_S: Final = 0.5
_HEALTH_EVERY_S: Final = 2.0
_HOUR_EVERY_S: Final = 10.0
# So much of our time at most goes into health, and as much into the rooms' last hours.
_BUSY: Final = 0.1
# And into the looks at many rooms: these are then less often, and no channel is followed, whose
# messages would cost more than the looks.
_BUSY_LOOKING: Final = 0.03
_MANY_ROOMS: Final = 100
# Messages taken at once; what they say is read from the live hashes.
_MOST_MESSAGES: Final = 10_000
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)

_log = logging.getLogger(__name__)


class Poller:
    """A thread that hands each new snapshot to `publish`, from 1 to 2.5 times a second.

    A message on a room's channel makes it look at once; what it then reads are the live hashes,
    whose time to live tells their age. While Redis is away it says so, and tries again.
    """

    def __init__(
        self, url: str, password_file: Path | None, publish: Callable[[Snapshot], None]
    ) -> None:
        self._url = url
        self._servers = Servers(url, password_file)
        self._stats, self._inventory = RoomStats(self._servers), Inventory(self._servers)
        self._publish = publish
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self._snapshot = Snapshot(datetime.now(UTC), away="Redis has not been asked yet.")
        self._hours = HourCache()
        self._warning = ""
        self._log_of_redis = ConnectionLog("redis")
        self._hour_due: dict[str, float] = {}
        self._hours_from_s = self._health_from_s = 0.0
        self._health: tuple[list[CameraHealth], list[WorkerHealth]] = ([], [])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    # The thread

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with translated(self._url):
                    self._follow()
            except ShardAway:
                pass  # the node that told of changes: another one does as well
            except (StoreError, ConfigError) as error:
                self._is_away(str(error))
            except Exception:
                _log.exception("the poller failed")
                self._is_away("The dashboard could not read Redis; its log says why.")
            self._stop.wait(_TRY_AGAIN_S)
        self._servers.close()

    def _follow(self) -> None:
        """Until Redis goes away, or we end."""
        while not self._stop.is_set():
            self._follow_many()
            self._follow_few()

    def _follow_few(self) -> None:
        """A look for each change, while they are few rooms."""
        with _subscribed(self._servers.any_client()) as inbox:
            while not (self._stop.is_set() or self._are_many):
                self._look()
                self._stop.wait(_PACE_S)
                self._await_change(inbox)

    def _follow_many(self) -> None:
        """A look each second, or as often as it takes little of our time."""
        while self._are_many and not self._stop.is_set():
            used_s = time.thread_time()
            self._look()
            used_s = time.thread_time() - used_s
            self._stop.wait(max(_LOOK_AT_LEAST_EVERY_S, used_s / _BUSY_LOOKING))

    @property
    def _are_many(self) -> bool:
        return len(self._snapshot.rooms) > _MANY_ROOMS

    def _await_change(self, inbox: Any) -> None:
        message = inbox.get_message(timeout=_LOOK_AT_LEAST_EVERY_S - _PACE_S)
        for _ in range(_MOST_MESSAGES):
            if message is None:
                return
            message = inbox.get_message(timeout=0)

    def _look(self) -> None:
        known = self._stats.rooms()
        now = self._stats.live_of([room.room for room in known])
        self._take_inventory(now)
        self._read_an_hour(known)
        cameras, workers = self._health
        rooms = tuple(map(self._hours.of, known, now))
        nodes = [missing(node) for node in sorted(self._stats.away)]
        warnings = tuple(f"{warning}." for warning in (self._warning, *nodes) if warning)
        taken = datetime.now(UTC)
        paused = self._stats.paused_cameras()
        self._say(
            Snapshot(
                taken, rooms, tuple(cameras), tuple(workers),
                warnings=warnings, paused_cameras=paused,
            )
        )  # fmt: skip

    def _take_inventory(self, rooms: list[RoomNow]) -> None:
        began_s = time.monotonic()
        if began_s < self._health_from_s:
            return
        names = [camera.camera for room in rooms for camera in room.cameras]
        self._health = self._inventory.take(names)
        self._warning = self._stats.warning()
        self._health_from_s = _next(began_s, _HEALTH_EVERY_S)

    def _read_an_hour(self, known: list[KnownRoom]) -> None:
        """Of the room that waits longest for it, so that many rooms delay nothing else."""
        began_s = time.monotonic()
        if not known or began_s < self._hours_from_s:
            return
        self._hour_due = {room.room: self._hour_due.get(room.room, 0.0) for room in known}
        self._hours.keep_only(self._hour_due)
        room = min(self._hour_due, key=self._hour_due.__getitem__)
        if began_s < self._hour_due[room]:
            return
        with suppress(ConfigError, ShardAway):  # just forgotten, or on a node that is lost
            self._hours.by_room[room] = tuple(self._stats.history(room, _HOUR, _MINUTE))
        self._hour_due[room] = began_s + _HOUR_EVERY_S
        self._hours_from_s = _next(began_s, 0.0)

    def _is_away(self, why: str) -> None:
        before, taken = self._snapshot, datetime.now(UTC)
        self._log_of_redis.lost("redis", why)
        rooms = tuple(HourCache().of(room.known, RoomNow(room.name)) for room in before.rooms)
        since = before.away_since or taken
        self._say(
            Snapshot(
                taken, rooms, before.cameras, before.workers, why, since,
                paused_cameras=before.paused_cameras,
            )
        )  # fmt: skip

    def _say(self, snapshot: Snapshot) -> None:
        if not snapshot.away:
            self._log_of_redis.back("redis")
        self._snapshot = snapshot
        self._publish(snapshot)


def _next(began_s: float, every_s: float) -> float:
    """When to do it again: no earlier than keeps us idle for most of the time."""
    now_s = time.monotonic()
    return max(began_s + every_s, now_s + (now_s - began_s) / _BUSY)


@contextmanager
def _subscribed(redis: Any) -> Iterator[Any]:
    inbox = redis.pubsub(ignore_subscribe_messages=True)
    try:
        inbox.psubscribe(redis_keys.EVERYTHING)
        yield inbox
    finally:
        inbox.close()
