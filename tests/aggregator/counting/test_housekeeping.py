"""What an aggregator reads each second: the rooms that a site lists, and what is paused."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import redis

from roommood.aggregator.counting.admission import Admission
from roommood.aggregator.counting.clock_guard import ClockGuard
from roommood.aggregator.counting.housekeeping import Housekeeping
from roommood.aggregator.counting.memory_watch import MemoryWatch
from roommood.aggregator.counting.peers import Peers
from roommood.aggregator.counting.redis_status import RedisStatus
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.clock import wall_ms
from roommood.shared.errors import SchemaMismatch
from roommood.shared.process.metrics import Health
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import MAX_PAUSED, ROOMS_AT_ONCE
from roommood.shared.protocol.messages import Ack
from roommood.shared.quiet_hours import RoomQuietHours
from roommood.shared.security.allow_list import AllowList, Entry, render_allow_list
from tests.aggregator.made import HOUR_MS, delivery, result
from tests.redis_server import RedisServer

ROOMS = [f"room-{number}" for number in range(3 * ROOMS_AT_ONCE)]


@pytest.fixture
def store() -> Iterator[Store]:
    with RedisServer() as server:
        store = Store(server.url)
        yield store
        store.close()


def listed(path: Path) -> AllowList:
    entries = [
        Entry(f"camera-{place}", room, f"{place:040d}", date(2026, 1, 1))
        for place, room in enumerate(ROOMS)
    ]
    path.write_text(render_allow_list(entries))
    path.chmod(0o644)
    return AllowList(path)


def house_of(store: Store, admission: Admission, allow_list: AllowList | None) -> Housekeeping:
    health = Health("aggregator")
    house = Housekeeping(
        store, RedisStatus(store, health), ClockGuard(store.clock_ms, health),
        MemoryWatch(health), Peers(), admission, allow_list,
    )  # fmt: skip
    house.tick(0.0, HOUR_MS)
    return house


def counted_at_once(store: Store, allow_list: AllowList | None) -> int:
    admission = Admission()
    house_of(store, admission, allow_list)
    deliveries = [delivery(result(room=room)) for room in ROOMS]
    return [admission.waits_for(each, HOUR_MS, 0.0) for each in deliveries].count("")


def test_a_room_that_the_site_lists_is_counted_of_at_once(store: Store, tmp_path: Path) -> None:
    assert counted_at_once(store, listed(tmp_path / "cameras.toml")) == len(ROOMS)
    assert counted_at_once(store, None) == ROOMS_AT_ONCE


def test_whatever_stands_among_the_pauses_workers_can_read_the_ack_that_names_them(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.pause("kitchen")
    store.pause_camera("no name\x07")
    for number in range(MAX_PAUSED):
        store.pause(f"room-{number}")
    store.pause("x" * 64)
    house = house_of(store, Admission(), None)
    ack = Ack("a", 1.0, paused_rooms=house.pauses.rooms, paused_cameras=house.pauses.cameras)
    assert wire.decode_ack(wire.encode_ack(ack)) == ack
    assert house.pauses.rooms[0] == "kitchen"
    assert len(house.pauses.rooms) == MAX_PAUSED
    assert "not paused: too many are" in [record.message for record in caplog.records]


def test_a_room_whose_hours_cannot_be_read_is_closed_and_that_is_said(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store._servers.on_copies(
        redis_keys.QUIET_HOURS, lambda client, key: client.hset(key, "den", "Nowhere; 08:00-09:00")
    )
    assert house_of(store, Admission(), None).pauses.rooms == ("den",)
    assert [record.message for record in caplog.records] == [
        "quiet for ever: its hours are unreadable"
    ]


@pytest.mark.parametrize(("off_ms", "closed"), [(0.0, ()), (-3.6e6, ("den",))])
def test_a_room_with_quiet_hours_is_closed_while_the_clock_is_wrong(
    store: Store, off_ms: float, closed: tuple[str, ...]
) -> None:
    in_hours = datetime.now(UTC) + timedelta(hours=12)
    span = f"{in_hours:%H:%M}-{in_hours + timedelta(minutes=5):%H:%M}"
    store.set_quiet_hours("den", RoomQuietHours.of(ZoneInfo("UTC"), [span]))
    health = Health("aggregator")
    clock = ClockGuard(store.clock_ms, health, lambda: wall_ms() + off_ms)
    house = Housekeeping(
        store, RedisStatus(store, health), clock, MemoryWatch(health), Peers(), Admission()
    )
    assert house.pauses.are_unknown(0.0)
    house.tick(0.0, wall_ms() + off_ms)
    assert house.pauses.rooms == closed
    assert not house.pauses.are_unknown(0.0)


def test_what_redis_has_not_told_is_unknown(store: Store) -> None:
    store.pause("den")
    with RedisServer() as gone:
        url = gone.url
    silent = Store(url)
    house = house_of(silent, Admission(), None)
    silent.close()
    assert house.pauses.are_unknown(0.0)
    assert not house_of(store, Admission(), None).pauses.are_unknown(0.0)


def test_a_room_is_known_as_soon_as_something_was_counted_of_it(store: Store) -> None:
    house = house_of(store, Admission(), None)
    house.counted("den", HOUR_MS)
    assert house.tick(1.0, HOUR_MS)
    assert store.rooms() == ["den"]
    house.counted("den", HOUR_MS)
    assert not house.tick(2.0, HOUR_MS), "when it was last heard of is written once a second"
    house.counted("hall", HOUR_MS)
    assert house.tick(3.0, HOUR_MS)
    assert store.rooms() == ["den", "hall"]


@pytest.mark.parametrize(("off_ms", "last_ms"), [(0.0, 0.0), (-3.6e6, 3 * 3.6e6)])
def test_a_room_that_was_last_seen_in_the_future_comes_back_unless_our_own_clock_is_wrong(
    server: RedisServer, off_ms: float, last_ms: float
) -> None:
    """Redis' clock and all others were three hours ahead, and have been set back."""
    store = Store(server.url)
    now_ms = round(store.clock_ms())
    store.touch_rooms({"kitchen": now_ms + 3 * 3.6e6})
    health = Health("aggregator")
    clock = ClockGuard(store.clock_ms, health, lambda: wall_ms() + off_ms)
    house = Housekeeping(
        store, RedisStatus(store, health), clock, MemoryWatch(health), Peers(), Admission()
    )
    house.tick(0.0, now_ms + off_ms)
    store.close()
    with server.client() as client:
        noted_ms = client.zscore(redis_keys.ROOMS, "kitchen")
    assert noted_ms == pytest.approx(now_ms + last_ms, abs=1)


def test_a_redis_that_is_emptied_while_we_are_connected_is_claimed_again(
    server: RedisServer, client: redis.Redis
) -> None:
    store = Store(server.url)
    house = house_of(store, Admission(), None)
    client.flushall()
    house.tick(61_000.0, HOUR_MS + 61_000.0)
    assert client.get(redis_keys.SCHEMA) == redis_keys.SCHEMA_VERSION
    client.set(redis_keys.SCHEMA, "99")
    with pytest.raises(SchemaMismatch):
        house.tick(122_000.0, HOUR_MS + 122_000.0)
    store.close()
