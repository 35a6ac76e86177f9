"""What an aggregator passes on as paused, while Redis answers and while it does not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from roommood.aggregator.counting.admission import Admission
from roommood.aggregator.counting.clock_guard import ClockGuard
from roommood.aggregator.counting.housekeeping import Housekeeping
from roommood.aggregator.counting.memory_watch import MemoryWatch
from roommood.aggregator.counting.pauses import _FRESH_MS, Pauses
from roommood.aggregator.counting.peers import Peers
from roommood.aggregator.counting.redis_status import RedisStatus
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.clock import wall_ms
from roommood.shared.errors import KeyDamaged
from roommood.shared.process.metrics import Health
from roommood.shared.quiet_hours import RoomQuietHours
from tests.redis_server import RedisServer

UTC_ZONE = ZoneInfo("UTC")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def store(server: RedisServer) -> Iterator[Store]:
    store = Store(server.url)
    store.check_schema()
    yield store
    store.close()


def pauses_of(store: Store) -> Pauses:
    pauses = Pauses(store, ClockGuard(store.clock_ms, Health("aggregator")))
    pauses.read(0.0, wall_ms())
    return pauses


def in_half_an_hour(store: Store) -> float:
    """Sets quiet hours of the den that begin in half an hour; returns when they hold."""
    begin = datetime.now(UTC) + timedelta(minutes=30)
    span = f"{begin:%H:%M}-{begin + timedelta(minutes=30):%H:%M}"
    store.set_quiet_hours("den", RoomQuietHours.of(UTC_ZONE, [span]))
    return wall_ms() + 45 * 60_000


def test_quiet_hours_begin_and_end_while_redis_is_away(server: RedisServer, store: Store) -> None:
    later_ms = in_half_an_hour(store)
    health = Health("aggregator")
    house = Housekeeping(
        store, RedisStatus(store, health), ClockGuard(store.clock_ms, health),
        MemoryWatch(health), Peers(), Admission(),
    )  # fmt: skip
    house.tick(0.0, wall_ms())
    assert not house.pauses.rooms
    assert not house.pauses.are_unknown(0.0)
    server.kill()
    house.tick(2_000.0, later_ms)
    assert house.pauses.rooms == ("den",)
    assert house.pauses.are_unknown(2_000.0)
    house.tick(4_000.0, later_ms + 3_600_000)
    assert not house.pauses.rooms


def test_what_was_not_read_lately_is_unknown(store: Store) -> None:
    pauses = pauses_of(store)
    assert not pauses.are_unknown(_FRESH_MS)
    assert pauses.are_unknown(_FRESH_MS + 1.0)


@pytest.mark.parametrize("how", ["flushed", "restarted"])
def test_what_an_emptied_redis_has_lost_is_paused_again(
    server: RedisServer, store: Store, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    later_ms = in_half_an_hour(store)
    store.pause("hall")
    store.pause_camera("door")
    pauses = pauses_of(store)
    if how == "flushed":
        server.client().flushall()
    else:
        server.client().config_set("save", "")
        server.kill()
        server.start()
    store.check_schema()  # as an aggregator does as soon as it answers again
    for _ in range(2):
        pauses.read(1_000.0, wall_ms())
        assert (store.paused_rooms(), store.paused_cameras()) == (("hall",), ("door",))
    assert (pauses.rooms, pauses.cameras) == (("hall",), ("door",))
    pauses.go_on_without(later_ms)
    assert pauses.rooms == ("den", "hall")
    assert "den" in store.quiet_hours()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_what_was_resumed_stays_resumed(store: Store) -> None:
    in_half_an_hour(store)
    store.pause("hall")
    pauses = pauses_of(store)
    store.resume("hall")
    store.set_quiet_hours("den", None)
    pauses.read(1_000.0, wall_ms())
    assert store.paused_rooms() == pauses.rooms == ()
    assert store.quiet_hours() == {}


def test_a_key_that_is_damaged_leaves_the_other_pauses_in_force(
    server: RedisServer, store: Store
) -> None:
    store.pause_camera("door")
    pauses = pauses_of(store)
    server.client().set(redis_keys.QUIET_HOURS, "no hash")
    store.pause("hall")
    with pytest.raises(KeyDamaged):
        pauses.read(10_000.0, wall_ms())
    assert (pauses.rooms, pauses.cameras) == (("hall",), ("door",))
    assert pauses.are_unknown(10_000.0)
