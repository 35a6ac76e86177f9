"""Cameras and workers are found by their indexes, without a walk, and not forgotten at once."""

from typing import Any

import pytest
import redis

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.servers import Servers
from roommood.aggregator.stats.inventory import Inventory
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.stats.site import SiteReader, is_up
from roommood.shared.clock import wall_ms
from tests.aggregator.rooms import Rooms
from tests.redis_server import RedisServer

DAY_MS = 24 * 3_600_000


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def names(inventory: Inventory, *known: str) -> tuple[list[str], list[str]]:
    cameras, workers = inventory.take(known)
    return [camera.camera for camera in cameras], [worker.worker for worker in workers]


def test_whatever_gave_health_is_found(client: Any, rooms: Rooms) -> None:
    rooms.health({"hall-1": {"room": "hall"}, "door": {}}, {"w1": {"threads": 1}})
    assert names(Inventory(Servers(client))) == (["door", "hall-1"], ["w1"])


def test_a_worker_is_found_by_its_counts_at_a_camera(client: Any, rooms: Rooms) -> None:
    rooms.health({"hall-1": {"analysed@w7": 3}}, {})
    assert names(Inventory(Servers(client))) == (["hall-1"], ["w7"])


def test_a_camera_of_a_live_room_is_asked_at_once(client: Any) -> None:
    inventory = Inventory(Servers(client))
    assert names(inventory) == ([], [])
    assert names(inventory, "new") == (["new"], [])


def test_what_is_no_name_is_not_noted(client: Any, rooms: Rooms) -> None:
    rooms.health({"<b>": {"room": "hall"}, "hall-1": {"analysed@<b>": 1}}, {})
    assert names(Inventory(Servers(client)), "Two Words") == (["hall-1"], [])


def test_one_that_fell_silent_keeps_its_last_words_for_a_day(client: Any, rooms: Rooms) -> None:
    clock = Clock()
    inventory = Inventory(Servers(client), clock)
    rooms.health({"hall-1": {"room": "hall", "silent_ms": 500}}, {})
    (camera,), _ = inventory.take(())
    assert camera.silent_s == pytest.approx(0.5, abs=1)
    client.flushall()
    clock.now_s += 3_600
    (camera,), _ = inventory.take(())
    assert camera.room == "hall"
    assert camera.silent_s == pytest.approx(3_600.5, abs=1)
    clock.now_s += 24 * 3_600
    inventory.take(())
    assert inventory.take(()) == ([], [])


def test_silence_is_reckoned_from_when_it_was_heard_and_not_from_the_look(
    client: Any, rooms: Rooms
) -> None:
    """A look each second would else take what is heard no more for heard until its key has gone."""
    clock = Clock()
    inventory = Inventory(Servers(client), clock)
    rooms.health({"hall-1": {"silent_ms": 500}}, {"w1": {}})
    for key in (redis_keys.camera("hall-1"), redis_keys.worker("w1")):
        client.pexpire(key, 3_000)
    (camera,), (worker,) = inventory.take(())
    assert (camera.silent_s, worker.silent_s) == pytest.approx((7.5, 7.0), abs=1)
    client.flushall()
    clock.now_s += 3
    (camera,), (worker,) = inventory.take(())
    assert not is_up(camera)
    assert worker.silent_s == pytest.approx(10.0, abs=1)


def test_health_that_a_clock_set_back_keeps_for_hours_is_not_taken_for_new(
    server: RedisServer, client: redis.Redis, rooms: Rooms
) -> None:
    clock = Clock()
    inventory = Inventory(Servers(client), clock)
    rooms.show("kitchen", "neutral", camera="door")
    rooms.health({"door": {"room": "kitchen", "source": "ok"}}, {"w1": {"threads": 1}})
    inventory.take(())
    for key in (redis_keys.camera("door"), redis_keys.worker("w1")):
        client.expire(key, redis_keys.HEALTH_TTL_S + 3 * 3600)
    clock.now_s += 60
    (camera,), (worker,) = inventory.take(())
    assert (camera.silent_s, worker.silent_s) == pytest.approx((60.0, 60.0), abs=1)
    with RoomStats(server.url) as stats:
        assert stats.camera_states(["kitchen"]) == {"kitchen": {"door": "silent"}}


def test_the_indexes_keep_a_day_and_the_newest(
    store: Store, client: redis.Redis, monkeypatch: Any
) -> None:
    now_ms = wall_ms()
    store.write_health({"yesterday": {}}, {"w0": {}}, now_ms - DAY_MS - 1_000)
    store.write_health({"today": {}}, {"w1": {}}, now_ms)
    assert client.zrange(redis_keys.CAMERAS, 0, -1) == ["today"]
    assert client.zrange(redis_keys.WORKERS, 0, -1) == ["w1"]
    monkeypatch.setattr(redis_keys, "INDEX_MOST", 2)
    store.write_health({"more": {}, "most": {}}, {}, now_ms + 120_000)
    assert client.zrange(redis_keys.CAMERAS, 0, -1) == ["more", "most"]


def test_an_aggregator_whose_clock_is_behind_moves_nothing_back(
    store: Store, client: redis.Redis
) -> None:
    now_ms = wall_ms()
    store.write_health({"hall-1": {}}, {}, now_ms)
    store.write_health({"hall-1": {}}, {}, now_ms - 3_600_000)
    assert client.zscore(redis_keys.CAMERAS, "hall-1") == round(now_ms)


def test_among_100_000_foreign_keys_a_look_scans_nothing(
    server: RedisServer, client: redis.Redis, rooms: Rooms
) -> None:
    for start in range(0, 100_000, 10_000):
        client.mset({f"other:{n}": n for n in range(start, start + 10_000)})
    rooms.show("kitchen", "neutral", camera="door")
    rooms.health({"hall-1": {"room": "hall"}}, {"w1": {"threads": 1}})
    client.config_resetstat()
    reader = SiteReader(server.url)
    assert [camera.camera for camera in reader.look().cameras] == ["door", "hall-1"]
    reader.look()
    reader.close()
    asked = {name.removeprefix("cmdstat_"): fields["calls"] for name, fields in commands(client)}
    assert "scan" not in asked
    assert "keys" not in asked
    assert 0 < sum(asked.values()) < 60
    list(client.scan_iter("roommood:*", count=500))
    assert dict(commands(client))["cmdstat_scan"]["calls"] > 100, "a walk is seen here"


def commands(client: redis.Redis) -> Any:
    return client.info("commandstats").items()


def test_forgetting_a_room_takes_its_cameras_out_of_the_index_and_needs_none(
    store: Store, client: redis.Redis, rooms: Rooms
) -> None:
    rooms.show("kitchen", "neutral", camera="door")
    rooms.show("hall", "neutral", camera="stairs")
    rooms.health({"door": {"room": "kitchen"}, "stairs": {"room": "hall"}}, {})
    store.forget("kitchen")
    assert client.zrange(redis_keys.CAMERAS, 0, -1) == ["stairs"]
    client.delete(redis_keys.CAMERAS, redis_keys.ROOMS)  # as an older release left it
    store.forget("hall")
    left = {redis_keys.forgotten("kitchen"), redis_keys.forgotten("hall")}
    health = {redis_keys.camera("door"), redis_keys.camera("stairs")}
    assert {*client.scan_iter("*")} - health == left
