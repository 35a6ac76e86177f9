"""All of a site at one moment, for what tells others of it: Prometheus, Home Assistant."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from roommood.aggregator.redis.servers import Servers
from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.health import CameraHealth, WorkerHealth
from roommood.aggregator.stats.inventory import Inventory
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import KnownRoom, RoomStats
from roommood.shared.process.logs import event

_log = logging.getLogger(__name__)

# Rooms and cameras told of: each is a dozen series, topics or entities elsewhere.
MOST_ROOMS: Final = 1_000
MOST_CAMERAS: Final = 10_000
# Health lives 10 s in Redis: what is older has gone.
CAMERA_GONE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Site:
    """What Redis says. `rooms` and `now` go together, in the order of their names.

    `away` names the nodes of a Redis Cluster that give no answer: what they keep is missing.
    """

    rooms: Sequence[KnownRoom]
    now: Sequence[RoomNow]
    cameras: Sequence[CameraHealth]
    workers: Sequence[WorkerHealth]
    rooms_left_out: int = 0
    away: frozenset[str] = frozenset()
    paused_cameras: frozenset[str] = frozenset()

    @property
    def workers_alive(self) -> int:
        return sum(worker.silent_s < CAMERA_GONE_S for worker in self.workers)


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
        """Raises ConfigError for a URL or file that cannot be used."""
        self._servers = Servers(url, password_file)
        self._stats = RoomStats(self._servers)
        self._inventory = Inventory(self._servers, clock_s)
        self._leaves_out = False

    def close(self) -> None:
        self._servers.close()

    def look(self) -> Site:
        """All at this moment; at most 1,000 rooms and 10,000 cameras, the first by name."""
        every = self._stats.rooms()
        rooms = every[:MOST_ROOMS]
        now = self._stats.live_of([room.room for room in rooms])
        names = [camera.camera for room in now for camera in room.cameras]
        cameras, workers = self._inventory.take(names)
        left_out = len(every) - len(rooms)
        self._note_left_out(left_out, len(cameras[MOST_CAMERAS:]))
        paused = self._stats.paused_cameras()
        return Site(
            rooms, now, cameras[:MOST_CAMERAS], workers, left_out, self._servers.away, paused
        )

    def _note_left_out(self, rooms: int, cameras: int) -> None:
        """Once, since else those who look for them elsewhere never learn why they are missing."""
        if not self._leaves_out and (rooms or cameras):
            most = f"{MOST_ROOMS} rooms and {MOST_CAMERAS} cameras"
            event(_log, logging.ERROR, "left out", rooms=rooms, cameras=cameras, most=most)
        self._leaves_out = bool(rooms or cameras)

    def lately(self, rooms: Sequence[str], last: timedelta) -> list[RoomPeriod | None]:
        """A period up to now of each room, shares as the model saw them; None where not known."""
        return self._stats.raw_summaries(rooms, last)


def is_up(camera: CameraHealth) -> bool:
    """Whether the camera was heard lately."""
    return camera.silent_s < CAMERA_GONE_S
