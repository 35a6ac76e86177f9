"""The statistics in Redis, to be read from Python.

    from datetime import timedelta
    from roommood.aggregator.stats.room_stats import RoomStats

    with RoomStats("redis://127.0.0.1:6379/0") as stats:
        for hour in stats.history("kitchen", last=timedelta(days=1), by=timedelta(hours=1)):
            print(hour.start, hour.coverage, hour.people, hour.dominant)

Reads only, with commands that a reader of the shipped ACL file may use.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.keys import RESOLUTIONS, Resolution
from roommood.aggregator.redis.servers import Command, Servers, raise_first
from roommood.aggregator.redis.url import DEFAULT_URL
from roommood.aggregator.stats.calendar import Span, require_spans
from roommood.aggregator.stats.figures import (
    Counters,
    RoomPeriod,
    add_up,
    room_period,
)
from roommood.aggregator.stats.live import RoomNow, room_now
from roommood.aggregator.stats.retention import (
    buckets_of,
    resolution_for_history,
    resolution_for_spans,
    resolution_for_summary,
    seconds,
    shortest_kept,
    starts,
)
from roommood.aggregator.stats.stored import READ_AT_ONCE, StoredCounters, hgetall, pttl, state_of
from roommood.shared import clock
from roommood.shared.errors import ConfigError, StoreError
from roommood.shared.protocol.names import parse_room
from roommood.shared.quiet_hours import is_quiet


@dataclass(frozen=True, slots=True)
class KnownRoom:
    """A room of which something was counted. `last_seen` is when results last came (UTC).

    `paused` by hand; `is_quiet`: these are its `quiet_hours` (time zone and spans, "" for none).
    `group` is the one in which it is shown, `apart` whether its cameras see different people.
    """

    room: str
    last_seen: datetime
    paused: bool
    group: str = ""
    quiet_hours: str = ""
    is_quiet: bool = False
    apart: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether its cameras are closed on purpose."""
        return self.paused or self.is_quiet


@dataclass(frozen=True, slots=True)
class Periods:
    """Consecutive periods of a room, to be gone through once; `count` is how many there are.

    Going through them reads Redis, and raises StoreAway or StoreError where it fails.
    """

    count: int
    _each: Iterator[RoomPeriod]

    def __iter__(self) -> Iterator[RoomPeriod]:
        return self._each


class RoomStats:
    """Rooms, now and then. Every method raises StoreAway or StoreError where Redis fails, and
    ConfigError for a room that is not known or a time that is not kept.

    With a Redis Cluster of which some nodes give no answer, those methods that tell of many rooms
    tell of the others, and `away` names the nodes.
    """

    def __init__(
        self,
        redis: Any = DEFAULT_URL,
        password_file: Path | str | None = None,
        now_ms: Callable[[], float] = clock.wall_ms,
    ) -> None:
        """`redis` is a URL as in `aggregator.redis.url`, a client with decode_responses, or
        `Servers` that others use too."""
        file = Path(password_file).expanduser() if password_file else None
        self._servers = redis if isinstance(redis, Servers) else Servers(redis, file)
        self._stored = StoredCounters(self._servers)
        self._now_ms = now_ms

    def __enter__(self) -> "RoomStats":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._servers.close()

    @property
    def away(self) -> frozenset[str]:
        """Nodes of a Redis Cluster, as host:port, that gave no answer when last asked."""
        return self._servers.away

    def warning(self) -> str:
        """What an aggregator found amiss with Redis within the last minute; "" where nothing is."""
        texts = self._servers.from_copies(redis_keys.WARNING, lambda client, key: client.get(key))
        return next(filter(None, texts), "")

    def rooms(self) -> list[KnownRoom]:
        """By name."""
        last_seen_ms = self._stored.last_seen_ms(self._now_ms())
        paused, set_for_rooms = self._stored.listed(redis_keys.PAUSED), self._stored.set_for_rooms
        groups, hours = set_for_rooms(redis_keys.GROUPS), set_for_rooms(redis_keys.QUIET_HOURS)
        apart, now = self._stored.rooms_apart(), datetime.fromtimestamp(self._now_ms() / 1000, UTC)
        return [
            KnownRoom(
                room,
                datetime.fromtimestamp(ms / 1000, UTC),
                room in paused,
                groups.get(room, ""),
                hours.get(room, ""),
                room in hours and is_quiet(hours[room], now),
                room in apart,
            )
            for room, ms in sorted(last_seen_ms.items())
        ]

    def paused_cameras(self) -> frozenset[str]:
        """Those that are paused by themselves, whatever their room is."""
        return self._stored.listed(redis_keys.PAUSED_CAMERAS)

    def camera_states(self, rooms: Iterable[str]) -> dict[str, dict[str, str]]:
        """By room, the cameras that gave frames in this hour or the last, and how each is now:
        ok, silent, unknown, or what it says of its source (frozen, black, reconnecting: ...).

        A room whose Redis node gives no answer, or whose counters are damaged, is not there.
        """
        hour, names = RESOLUTIONS[-1], list(rooms)
        newest = int(self._now_ms() // 1000 // hour.length_s) * hour.length_s
        both = range(newest - hour.length_s, newest + 1, hour.length_s)
        each = zip(names, self._stored.sums(names, hour, [both]), strict=True)
        cameras = {room: _cameras_of(rows[0]) for room, rows in each if rows is not None}
        keys = [redis_keys.camera(camera) for of_room in cameras.values() for camera in of_room]
        replies = self._servers.ask_living(
            [
                Command(key, call)
                for key in keys
                for call in (lambda client, key: client.hget(key, "source"), pttl)
            ]
        )
        answers = zip(replies[::2], replies[1::2], strict=True)
        return {
            room: {camera: state_of(*next(answers)) for camera in cameras[room]} for room in cameras
        }

    def live(self, room: str) -> RoomNow:
        """The room over about the last 4 s; `silent` where nothing came for 10 s."""
        self._require(room)
        return self.live_of([room])[0]

    def live_rooms(self) -> list[RoomNow]:
        """All known rooms, by name."""
        return self.live_of([known.room for known in self.rooms()])

    def history(self, room: str, last: timedelta, by: timedelta | None = None) -> list[RoomPeriod]:
        """Consecutive periods of `by`, oldest first; the last one is still under way.

        Periods begin at whole multiples of `by` since 1970 (UTC). `by` is a multiple of 10 s,
        of 1 min beyond 6 h, of 1 h beyond 7 d; without it the shortest of these that is kept.
        Periods without a frame are there, empty.
        """
        return list(self.periods(room, last, by))

    def periods(self, room: str, last: timedelta, by: timedelta | None = None) -> Periods:
        """The same as `history`, read as one goes along: for more than one wants in memory."""
        self._require(room)
        by = shortest_kept(last) if by is None else by
        resolution = resolution_for_history(last, by)
        by_s, now_s = round(by.total_seconds()), self._now_ms() / 1000
        each = starts(last, by_s, now_s)
        buckets = [range(start, start + by_s, resolution.length_s) for start in each]
        return Periods(len(each), self._read_periods(room, resolution, buckets, now_s))

    def summary(self, room: str, last: timedelta) -> RoomPeriod:
        """One period up to now. It begins with a whole bucket: up to 10 s early for `last` up
        to 5 h, 1 min up to 33 h, 1 h beyond.
        """
        self._require(room)
        resolution = resolution_for_summary(last)
        now_s = self._now_ms() / 1000
        start = int((now_s - last.total_seconds()) // resolution.length_s) * resolution.length_s
        hashes = self._stored.buckets(
            room, resolution, range(start, int(now_s) + 1, resolution.length_s)
        )
        counters, parts = add_up(hashes), [add_up([fields]) for fields in hashes]
        return room_period(
            room, counters, start, now_s, now_s, self._stored.matrices_of([counters]), parts,
            apart=room in self._stored.rooms_apart(),
        )  # fmt: skip

    def periods_of(self, room: str, spans: Sequence[Span]) -> list[RoomPeriod]:
        """One period for each span, as days by somebody's clock are.

        Borders go to the nearest bucket that is kept for as long: `start` and `end` of each
        period say which. That is the hour beyond 7 d, which matters where a zone's clock is off
        by half of one.
        """
        self._require(room)
        require_spans(spans)
        if not spans:
            return []
        now_s = self._now_ms() / 1000
        resolution = resolution_for_spans(spans, now_s)
        buckets = [buckets_of(period, resolution, now_s) for period in spans]
        return list(self._read_periods(room, resolution, buckets, now_s))

    def raw_summaries(self, rooms: Sequence[str], last: timedelta) -> list[RoomPeriod | None]:
        """`summary` of many known rooms at once, without correction, which takes 3 ms a room.

        None for a room whose Redis node gives no answer, or whose counters are damaged.
        """
        resolution = resolution_for_summary(last)
        now_s = self._now_ms() / 1000
        start = int((now_s - last.total_seconds()) // resolution.length_s) * resolution.length_s
        buckets = range(start, int(now_s) + 1, resolution.length_s)
        each, apart = self._stored.sums(rooms, resolution, [buckets]), self._stored.rooms_apart()
        return [
            None
            if rows is None
            else room_period(room, rows[0], start, now_s, now_s, apart=room in apart)
            for room, rows in zip(rooms, each, strict=True)
        ]

    def raw_histories(
        self, rooms: Sequence[str], last: timedelta, by: timedelta
    ) -> list[list[RoomPeriod] | None]:
        """`history` of many known rooms at once, without correction; None as above."""
        resolution, by_s, now_s = (
            resolution_for_history(last, by),
            seconds("by", by),
            self._now_ms() / 1000,
        )
        rows_s = starts(last, by_s, now_s)
        steps = [range(start, start + by_s, resolution.length_s) for start in rows_s]
        apart = self._stored.rooms_apart()
        return [
            None
            if rows is None
            else [
                room_period(room, counters, start, start + by_s, now_s, apart=room in apart)
                for counters, start in zip(rows, rows_s, strict=True)
            ]
            for room, rows in zip(rooms, self._stored.sums(rooms, resolution, steps), strict=True)
        ]

    def _read_periods(
        self, room: str, resolution: Resolution, periods: Sequence[range], now_s: float
    ) -> Iterator[RoomPeriod]:
        """One for each range of buckets, several of which are read at once."""
        apart = room in self._stored.rooms_apart()
        for some in _batches(periods):
            hashes = iter(
                self._stored.buckets(room, resolution, [start for each in some for start in each])
            )
            split = [list(islice(hashes, len(each))) for each in some]
            rows = [add_up(part) for part in split]
            known = self._stored.matrices_of(rows)
            for counters, buckets, each in zip(rows, split, some, strict=True):
                parts = [add_up([fields]) for fields in buckets]
                yield room_period(
                    room, counters, each.start, each.stop, now_s, known, parts, apart=apart
                )

    def _require(self, room: str) -> None:
        name = parse_room(room)
        scores = self._servers.on_copies(
            redis_keys.ROOMS, lambda client, key: client.zscore(key, name)
        )
        if any(isinstance(score, float) for score in scores):
            return
        raise_first(scores)  # a copy of the list that gives no answer may name it
        known = ", ".join(each.room for each in self.rooms()) or "none yet"
        raise ConfigError(f"no room {room!r} in Redis; known rooms: {known}")

    def live_of(self, rooms: Sequence[str]) -> list[RoomNow]:
        """These rooms, in one round trip; one that is not known is silent."""
        commands = [
            Command(redis_keys.live(room), call) for room in rooms for call in (hgetall, pttl)
        ]
        replies = self._servers.ask_living(commands)
        answers, apart = (
            zip(rooms, replies[::2], replies[1::2], strict=True),
            self._stored.rooms_apart(),
        )
        return [_room_now(room, live, ttl_ms, room in apart) for room, live, ttl_ms in answers]


def _room_now(room: str, live: Any, ttl_ms: Any, apart: bool) -> RoomNow:
    for reply in (live, ttl_ms):
        if isinstance(reply, StoreError):
            return RoomNow(room, away=str(reply))
    return room_now(room, live, ttl_ms, apart)


def _batches(periods: Iterable[range]) -> Iterator[list[range]]:
    """Consecutive ones, of so many buckets together as are read at once."""
    batch: list[range] = []
    for period in periods:
        if batch and sum(map(len, batch)) + len(period) > READ_AT_ONCE:
            yield batch
            batch = []
        batch.append(period)
    if batch:
        yield batch


def _cameras_of(counters: Counters) -> list[str]:
    fields = (name.partition(":") for name in counters)
    return sorted(camera for kind, _, camera in fields if kind == "frames")
