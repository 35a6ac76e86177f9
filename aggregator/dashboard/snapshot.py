"""All that the dashboard knows at one moment, the same for everybody who looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.health import CameraHealth, WorkerHealth
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.problems import Problem, problems
from roommood.aggregator.stats.room_stats import KnownRoom


@dataclass(frozen=True, slots=True)
class Room:
    """A known room, as it is now, and its last hour minute by minute (empty: not read yet)."""

    known: KnownRoom
    now: RoomNow
    hour: tuple[RoomPeriod, ...] = ()

    @property
    def name(self) -> str:
        return self.known.room

    @property
    def coverage(self) -> float | None:
        """Part of the last hour that was observed, 0..1."""
        observed = [minute.coverage for minute in self.hour]
        return sum(observed) / len(observed) if observed else None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`away` says why Redis gives no answer; rooms then have no figures. "" while it does.

    `warnings` say what else is amiss with Redis, such as a node of a Cluster that is lost.
    """

    taken: datetime
    rooms: tuple[Room, ...] = ()
    cameras: tuple[CameraHealth, ...] = ()
    workers: tuple[WorkerHealth, ...] = ()
    away: str = ""
    away_since: datetime | None = None
    warnings: tuple[str, ...] = ()
    paused_cameras: frozenset[str] = frozenset()

    def is_unknown(self, room: Room) -> bool:
        """Whether Redis does not tell how this room is."""
        return bool(self.away or room.now.away)

    def room(self, name: str) -> Room | None:
        return next((room for room in self.rooms if room.name == name), None)

    @property
    def problems(self) -> list[Problem]:
        """What is wrong now; nothing is known of it while Redis is away."""
        if self.away:
            return []
        closed = [room.name for room in self.rooms if room.known.is_closed]
        return problems(self.cameras, self.workers, closed, self.paused_cameras)

    def cameras_of(self, room: str) -> list[CameraHealth]:
        return [camera for camera in self.cameras if camera.room == room]


@dataclass(slots=True)
class HourCache:
    """The last hour of each room, which is read now and then."""

    by_room: dict[str, tuple[RoomPeriod, ...]] = field(default_factory=dict)

    def of(self, known: KnownRoom, now: RoomNow) -> Room:
        return Room(known, now, self.by_room.get(known.room, ()))

    def keep_only(self, rooms: Mapping[str, object]) -> None:
        self.by_room = {room: hour for room, hour in self.by_room.items() if room in rooms}
