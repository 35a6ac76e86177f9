"""Cameras and workers are found though Redis keeps no list of them, and not forgotten at once."""

from typing import Any

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.inventory import Inventory
from tests.aggregator.rooms import Rooms


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def names(inventory: Inventory, *known: str) -> tuple[list[str], list[str]]:
    cameras, workers = inventory.take(known)
    return [one.camera for one in cameras], [one.worker for one in workers]


def test_the_walk_finds_health_hashes_and_cameras_that_once_sent(client: Any, rooms: Rooms) -> None:
    rooms.show("kitchen", "neutral", camera="door")
    rooms.health({"hall-1": {"room": "hall"}}, {"w1": {"threads": 1}})
    assert names(Inventory(client)) == (["door", "hall-1"], ["w1"])


def test_a_worker_is_found_by_its_counts_at_a_camera(client: Any, rooms: Rooms) -> None:
    rooms.health({"hall-1": {"analysed@w7": 3}}, {})
    assert names(Inventory(client)) == (["hall-1"], ["w7"])


def test_a_camera_of_a_live_room_is_asked_at_once(client: Any) -> None:
    inventory = Inventory(client)
    assert names(inventory) == ([], [])
    assert names(inventory, "new") == (["new"], [])


def test_what_is_no_name_is_not_noted(client: Any) -> None:
    client.hset(redis_keys.camera("<b>"), "room", "hall")
    client.hset(redis_keys.camera("hall-1"), "analysed@<b>", "1")
    assert names(Inventory(client), "Two Words") == (["hall-1"], [])


def test_one_that_fell_silent_keeps_its_last_words_for_a_day(client: Any, rooms: Rooms) -> None:
    clock = Clock()
    inventory = Inventory(client, clock)
    rooms.health({"hall-1": {"room": "hall", "silent_ms": 500}}, {})
    (camera,), _ = inventory.take(())
    assert camera.silent_s == 0.5
    client.flushall()
    clock.now_s += 3_600
    (camera,), _ = inventory.take(())
    assert (camera.room, camera.silent_s) == ("hall", 3_600.5)
    clock.now_s += 24 * 3_600
    inventory.take(())
    assert inventory.take(()) == ([], [])


def test_many_keys_are_walked_through_in_steps(client: Any, rooms: Rooms) -> None:
    rooms.health({"hall-1": {"room": "hall"}}, {})
    with client.pipeline() as pipe:
        for number in range(12_000):
            pipe.set(f"{redis_keys.SCHEMA}:{number}", "")
        pipe.execute()
    inventory = Inventory(client)
    steps = [names(inventory)[0] for _ in range(4)]
    assert steps[-1] == ["hall-1"]
