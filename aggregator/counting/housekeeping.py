"""What an aggregator reads from Redis and writes to it each second, beside the results."""

import dataclasses
import logging
import time
from typing import Final

from roommood.aggregator.counting.admission import MAX_ROOMS, Admission
from roommood.aggregator.counting.clock_guard import ClockGuard
from roommood.aggregator.counting.health_fields import camera_fields, worker_fields
from roommood.aggregator.counting.memory_watch import MemoryWatch
from roommood.aggregator.counting.model_reports import ModelReports
from roommood.aggregator.counting.pauses import Pauses
from roommood.aggregator.counting.peers import Peers
from roommood.aggregator.counting.redis_status import RETRY_MS, RedisStatus
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis.shards import PAUSE_TIMES
from roommood.shared.errors import SchemaMismatch, ShardAway, StoreAway, StoreError, StoreRefuses
from roommood.shared.process.logs import RateLimitedLog
from roommood.shared.protocol.messages import ModelReport, Report
from roommood.shared.security.allow_list import AllowList

_log = logging.getLogger(__name__)
_EVERY_MS: Final = 1_000.0
_ROOMS_EVERY_MS: Final = 60_000.0
_MEMORY_EVERY_MS: Final = 10_000.0


class Housekeeping:
    """Wishes and rooms are read, then what is known of rooms, health and models is written."""

    def __init__(
        self,
        store: Store,
        redis: RedisStatus,
        clock: ClockGuard,
        memory: MemoryWatch,
        peers: Peers,
        admission: Admission,
        allow_list: AllowList | None = None,
    ) -> None:
        self._store = store
        self._redis = redis
        self._clock = clock
        self._memory = memory
        self._peers = peers
        self._admission = admission
        self._allow_list = allow_list
        self._limited_log = RateLimitedLog(_log)
        self._models = ModelReports()
        self._rooms_seen: dict[str, float] = {}
        self._announced_rooms: set[str] = set()
        self._due_ms = self._rooms_due_ms = self._memory_due_ms = float("-inf")
        self._now_ms = self._wall_ms = 0.0
        self._warned = False
        self.pauses = Pauses(store, clock)

    def tell_model(self, model: ModelReport, now_ms: float) -> None:
        """A model's contract, to be written if it is one of few new ones."""
        if self._admission.knows_model(model.model, now_ms):
            self._models.tell(model, now_ms)

    def counted(self, room: str, captured_ms: float) -> None:
        """A result of this room was counted. The first one is followed by its name at once, so that
        whoever sees the one can ask for the other."""
        if room not in self._announced_rooms:
            if len(self._announced_rooms) >= MAX_ROOMS:
                self._announced_rooms.clear()
            self._announced_rooms.add(room)
            self._due_ms = min(self._due_ms, self._now_ms)
        self._rooms_seen[room] = max(self._rooms_seen.get(room, 0.0), captured_ms)

    def tick(self, now_ms: float, wall_ms: float) -> bool:
        """Does what is due at `now_ms` (`boot_ms`); returns whether anything was. Raises
        SchemaMismatch where Redis holds another version's data."""
        if now_ms < self._due_ms or not self._redis.may_answer(now_ms):
            return False
        self._now_ms, self._wall_ms = now_ms, wall_ms
        self._due_ms = now_ms + _EVERY_MS
        try:
            self._all_steps()
        except SchemaMismatch:
            raise
        except StoreError as error:
            self._redis.note(error, now_ms)
            self.pauses.go_on_without(wall_ms)
            self._due_ms = now_ms + RETRY_MS
        else:
            self._redis.note(None, now_ms)
        self._redis.note_shards()
        return True

    def _all_steps(self) -> None:
        """What lies on a Cluster's shard that is away waits; the rest is done."""
        began_s = time.monotonic()
        self._redis.check_schema()
        reading = (self._clock.compare, self._read_pauses, self._read_memory, self._read_rooms)
        for step in (*reading, self._touch_rooms, self._write_health, self._write_models):
            try:
                step()
            except (SchemaMismatch, StoreAway, StoreRefuses) as error:
                if not isinstance(error, ShardAway):
                    raise
                self._limited_log.event("housekeeping waits", why=str(error))
                took_ms = (time.monotonic() - began_s) * 1_000.0
                self._due_ms = self._now_ms + (1 + PAUSE_TIMES) * took_ms + _EVERY_MS
                if took_ms > _EVERY_MS:
                    return
            except StoreError as error:  # of one key: nobody else has to wait for it
                self._limited_log.event("not written", why=str(error))

    def _read_pauses(self) -> None:
        self.pauses.read(self._now_ms, self._wall_ms)

    def _read_memory(self) -> None:
        if self._now_ms < self._memory_due_ms:
            return
        self._memory_due_ms = self._now_ms + _MEMORY_EVERY_MS
        self._memory.look(self._store.memory())
        if self._memory.warning or self._warned:
            self._store.warn(self._memory.warning)
            self._warned = bool(self._memory.warning)

    def _read_rooms(self) -> None:
        """Other aggregators may have counted of rooms that are new to this one, and a site's list
        of cameras names rooms that nobody has counted of yet."""
        if self._now_ms < self._rooms_due_ms:
            return
        self._rooms_due_ms = self._now_ms + _ROOMS_EVERY_MS
        self._store.check_schema()  # it may have been emptied, or restored, while we are connected
        if self._allow_list:
            self._allow_list.refresh()
            self._admission.know_rooms(self._allow_list.rooms)
        self._admission.know_rooms(self._store.rooms())
        if not self._clock.is_wrong:
            self._store.end_futures(self._wall_ms)

    def _touch_rooms(self) -> None:
        self._store.touch_rooms(self._rooms_seen)
        self._rooms_seen = {}

    def _write_health(self) -> None:
        reports = [self._admitted(report) for report in self._peers.take_health()]
        cameras = camera_fields(reports)
        workers = {
            report.worker_id: worker_fields(report)
            for report in reports
            if self._admission.knows_worker(report.worker_id, self._now_ms)
        }
        self._store.write_health(cameras, workers, self._wall_ms)

    def _admitted(self, report: Report) -> Report:
        """Without the cameras that are too many new ones for now."""
        worker_id, now_ms = report.worker_id, self._now_ms
        cameras = [
            camera
            for camera in report.cameras
            if self._admission.knows_health(worker_id, camera.camera, now_ms)
        ]
        return dataclasses.replace(report, cameras=tuple(cameras))

    def _write_models(self) -> None:
        self._store.write_models(self._models.due())
        self._models.written()
