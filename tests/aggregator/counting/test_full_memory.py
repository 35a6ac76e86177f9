"""A Redis whose memory is full refuses to count, and still pauses and forgets."""

import logging
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import redis

from roommood.aggregator.counting.admission import Admission
from roommood.aggregator.counting.clock_guard import ClockGuard
from roommood.aggregator.counting.housekeeping import Housekeeping
from roommood.aggregator.counting.memory_watch import MemoryWatch, RedisMemory
from roommood.aggregator.counting.outcomes import Outcome
from roommood.aggregator.counting.peers import Peers
from roommood.aggregator.counting.redis_status import RedisStatus
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.deploy.keys.redis_users import write_redis_access
from roommood.shared.errors import StoreError
from roommood.shared.process.metrics import Health
from roommood.shared.quiet_hours import RoomQuietHours
from tests.aggregator.made import HOUR_MS, delivery, face, result
from tests.redis_server import RedisServer, free_port

MIB = 1 << 20


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[Store, redis.Redis]]:
    """The shipped rights, `noeviction`, and not a byte left; a room was counted before."""
    access = write_redis_access(tmp_path)
    with access.acl.open("a") as acl:
        acl.write("user admin on >admin ~* &* +@all\n")
    with RedisServer(
        login="admin:admin", aclfile=str(access.acl), port=str(free_port()),
        maxmemory_policy="noeviction", appendonly="yes",
    ) as server, server.client() as admin:  # fmt: skip
        url = server.url.replace("unix://", "unix://writer@")
        store = Store(url, access.writer_password)
        store.check_schema()
        store.commit([delivery(result(n, face())) for n in range(100)], HOUR_MS)
        store.touch_rooms({"kitchen": HOUR_MS})
        store.pause("hall")
        admin.config_set("maxmemory", admin.info("memory")["used_memory"] - 100_000)
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            admin.set("roommood:anything", "more")
        yield store, admin
        store.close()


Full = tuple[Store, redis.Redis]


def test_nothing_is_counted(full: Full) -> None:
    report = full[0].commit([delivery(result(200, face()))], HOUR_MS)
    assert report.outcomes == (Outcome.UNSETTLED,)


def test_a_room_can_be_paused_and_resumed(full: Full) -> None:
    store, _ = full
    store.pause("kitchen")
    store.pause("kitchen")
    assert store.paused_rooms() == ("hall", "kitchen")
    store.resume("hall")
    assert store.paused_rooms() == ("kitchen",)


def test_a_camera_can_be_paused_and_a_rooms_quiet_hours_set(full: Full) -> None:
    store, admin = full
    store.pause_camera("kitchen-1")
    assert store.paused_cameras() == ("kitchen-1",)
    for begin in ("22:00", "21:00"):
        hours = RoomQuietHours.of(ZoneInfo("UTC"), [f"{begin}-06:30"])
        store.set_quiet_hours("kitchen", hours)
        assert admin.hgetall(redis_keys.QUIET_HOURS) == {"kitchen": str(hours)}


def test_a_room_can_be_forgotten_and_what_is_on_its_way_is_refused(full: Full) -> None:
    store, admin = full
    assert store.forget("kitchen", HOUR_MS + 1) > 0
    assert set(admin.scan_iter("*kitchen*")) == {redis_keys.forgotten("kitchen")}
    assert admin.ttl(redis_keys.forgotten("kitchen")) > 6 * 3600 - 5
    assert admin.zscore(redis_keys.ROOMS, "kitchen") is None
    late = store.commit([delivery(result(300, face()), HOUR_MS)], HOUR_MS + 10)
    assert late.outcomes == (Outcome.FORGOTTEN,)


def test_an_aggregator_that_starts_then_reads_what_is_paused(full: Full) -> None:
    store, _ = full
    store.check_schema()
    assert store.paused_rooms() == ("hall",)


@pytest.mark.parametrize("command", ["pause", "forget", "set_quiet_hours"])
def test_without_a_first_write_that_needs_no_memory_all_are_refused(
    full: Full, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    counting = "roommood.aggregator.counting"
    add = "return redis.call('SADD', KEYS[1], ARGV[1])"
    monkeypatch.setattr(f"{counting}.operator_settings.PAUSE", add)
    plain = "return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])"
    monkeypatch.setattr(f"{counting}.store.SET", plain)
    field = "return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])"
    monkeypatch.setattr(f"{counting}.operator_settings.SET_FIELD", field)
    hours = RoomQuietHours.of(ZoneInfo("UTC"), ["22:00-06:30"])
    arguments = ["kitchen", hours] if command == "set_quiet_hours" else ["kitchen"]
    with pytest.raises(StoreError, match="maxmemory"):
        getattr(full[0], command)(*arguments)


# Before it is full


def test_the_writer_may_ask_how_full_it_is(full: Full) -> None:
    memory = full[0].memory()
    assert memory.limit > MIB / 2
    assert memory.share > 1.0


def test_it_is_told_once_when_it_is_nearly_full_and_once_when_there_is_room_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    health = Health("aggregator")
    watch = MemoryWatch(health)
    logged = []
    for used in (10, 79, 80, 90, 100, 77, 74, 70, 81):
        watch.look(RedisMemory(used * MIB, 100 * MIB))
        logged.append(len(caplog.records))
    assert logged == [0, 0, 1, 1, 1, 1, 2, 2, 3]
    assert caplog.records[0].message == "redis memory nearly full"
    assert health.detail["redis_memory"] == {"used_mib": 81, "limit_mib": 100, "nearly_full": True}


def test_whoever_looks_at_the_page_is_told_also_when_it_is_full(full: Full) -> None:
    store, admin = full
    watch = MemoryWatch(Health("aggregator"))
    watch.look(store.memory())
    assert "memory is nearly full" in watch.warning
    store.warn(watch.warning)
    assert admin.get(redis_keys.WARNING) == watch.warning
    assert admin.ttl(redis_keys.WARNING) > 30
    store.warn("")
    assert not admin.exists(redis_keys.WARNING)


def test_a_user_who_may_not_ask_is_told_once_and_all_else_goes_on(
    full: Full, caplog: pytest.LogCaptureFixture
) -> None:
    store, admin = full
    admin.config_set("maxmemory", 0)
    admin.acl_setuser("writer", enabled=True, commands=["-info", "-time"])
    health = Health("aggregator")
    redis_status, peers, admission = RedisStatus(store, health), Peers(), Admission()
    clock, memory = ClockGuard(store.clock_ms, health), MemoryWatch(health)
    house = Housekeeping(store, redis_status, clock, memory, peers, admission)
    for second in range(30):
        assert house.tick(second * 1_000.0, HOUR_MS)
    assert (redis_status.away, health.ready, clock.may_count()) == (False, True, True)
    assert [record.message for record in caplog.records] == ["clock not compared with Redis'"]
    assert house.pauses.rooms == ("hall",)


def test_without_a_limit_it_is_never_full(caplog: pytest.LogCaptureFixture) -> None:
    MemoryWatch(Health("aggregator")).look(RedisMemory(1 << 40, 0))
    assert not caplog.records
