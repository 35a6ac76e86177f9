"""All of a site at one moment, for what tells others of it: Prometheus, Home Assistant."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from roommood.aggregator.redis.client import connect, translated
from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.health import CameraHealth, WorkerHealth
from roommood.aggregator.stats.inventory import Inventory
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import KnownRoom, RoomStats

# Rooms and cameras told of: each is a dozen series, topics or entities elsewhere.
MOST_ROOMS: Final = 1_000
MOST_CAMERAS: Final = 10_000
# Health lives 10 s in Redis: what is older has gone.
CAMERA_GONE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Site:
    """What Redis says. `rooms` and `now` go together, in the order of their names."""

    rooms: Sequence[KnownRoom]
    now: Sequence[RoomNow]
    cameras: Sequence[CameraHealth]
    workers: Sequence[WorkerHealth]
    rooms_left_out: int = 0

    @property
    def workers_alive(self) -> int:
        return sum(one.silent_s < CAMERA_GONE_S for one in self.workers)


class SiteReader:
    """Reads a site; connects when first asked.

    Every method raises StoreError, StoreAway where Redis gives no answer. For one thread.
    """

    def __init__(
        self,
        url: str,
        password_file: Path | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._password_file, self._clock_s = url, password_file, clock_s
        self._redis: Any = None
        self._roll_call: Inventory | None = None
        self._stats: RoomStats | None = None

    def close(self) -> None:
        if self._redis is not None:
            self._redis.close()
        self._redis = None

    def look(self) -> Site:
        """All at this moment; at most 1,000 rooms and 10,000 cameras, the first by name."""
        with translated(self._url):
            stats, inventory = self._parts()
            every = stats.rooms()
            rooms = every[:MOST_ROOMS]
            now = stats.live_of([one.room for one in rooms])
            names = [camera.camera for room in now for camera in room.cameras]
            cameras, workers = inventory.take(names)
            return Site(rooms, now, cameras[:MOST_CAMERAS], workers, len(every) - len(rooms))

    def lately(self, rooms: Sequence[str], last: timedelta) -> list[RoomPeriod]:
        """A period up to now of each room, shares as the model saw them."""
        return self._parts()[0].raw_summaries(rooms, last)

    def _parts(self) -> tuple[RoomStats, Inventory]:
        if self._redis is None:
            self._redis = connect(self._url, self._password_file)
        # What the roll call remembers outlives a connection that broke: redis-py makes new ones.
        if self._stats is None or self._roll_call is None:
            self._stats = RoomStats(self._redis)
            self._roll_call = Inventory(self._redis, self._clock_s)
        return self._stats, self._roll_call


def is_up(camera: CameraHealth) -> bool:
    """Whether the camera was heard lately."""
    return camera.silent_s < CAMERA_GONE_S
