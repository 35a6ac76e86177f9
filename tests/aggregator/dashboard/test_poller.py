"""The poller against a real Redis: what changes is told soon, and what is gone is told as gone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from roommood.aggregator.counting.store import Store
from roommood.aggregator.dashboard.poller import Poller
from roommood.aggregator.dashboard.snapshot import Room, Snapshot
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.clock import wall_ms
from tests.aggregator.dashboard.served import PASSWORD, as_user
from tests.aggregator.made import delivery, face, result
from tests.aggregator.rooms import Rooms
from tests.end_to_end.site import until
from tests.redis_cluster import Cluster
from tests.redis_server import RedisServer


class Heard:
    """All snapshots that a poller handed out, with when it did."""

    def __init__(self) -> None:
        self.all: list[tuple[float, Snapshot]] = []

    def take(self, snapshot: Snapshot) -> None:
        self.all.append((time.monotonic(), snapshot))

    @property
    def last(self) -> Snapshot | None:
        return self.all[-1][1] if self.all else None

    def room(self, name: str) -> Room | None:
        return self.last.room(name) if self.last and not self.last.away else None

    @property
    def away(self) -> str:
        return self.last.away if self.last else ""


@contextmanager
def following(url: str, password_file: Path | None = None) -> Iterator[Heard]:
    heard = Heard()
    poller = Poller(url, password_file, heard.take)
    poller.start()
    try:
        yield heard
    finally:
        poller.stop()


def test_a_change_is_told_within_a_second(server: RedisServer, rooms: Rooms) -> None:
    rooms.show("kitchen", "neutral")
    with following(server.url) as heard:
        until(lambda: heard.room("kitchen"), "the room is there")
        waits = [_until_told(rooms, heard, people) for people in (3, 6, 9, 12, 15)]
    assert sorted(waits)[2] < 1.0, waits


def _until_told(rooms: Rooms, heard: Heard, people: int) -> float:
    """Seconds from a change of the room in Redis, by more people, until it is told."""
    began_s = time.monotonic()
    rooms.show("hall", "happiness", people=people, camera=f"hall-{people}")

    def is_told() -> bool:
        room = heard.room("hall")
        return room is not None and (room.now.people or 0) > people - 1

    until(is_told, "the change is told")
    return time.monotonic() - began_s


def test_a_room_that_falls_silent_is_told_without_a_message(
    server: RedisServer, rooms: Rooms
) -> None:
    rooms.show("kitchen", "neutral")
    with following(server.url) as heard:
        until(lambda: (room := heard.room("kitchen")) and not room.now.silent, "it is there")
        rooms.fall_silent("kitchen")
        assert until(lambda: (room := heard.room("kitchen")) and room.now.silent, "it is silent")


def test_the_last_hour_of_each_room_is_read(server: RedisServer, rooms: Rooms) -> None:
    for room in ("kitchen", "hall"):
        rooms.show(room, "neutral")
    with following(server.url) as heard:
        for name in ("kitchen", "hall"):
            room = until(partial(_with_hour, heard, name), "its hour is read")
            assert (len(room.hour), sum(minute.frames for minute in room.hour)) == (60, 1)
            assert 0 < room.coverage < 0.1


def _with_hour(heard: Heard, name: str) -> Room | None:
    room = heard.room(name)
    return room if room and room.hour else None


def test_while_redis_is_away_no_room_has_figures() -> None:
    with RedisServer(appendonly="yes") as server:
        rooms = Rooms(server)
        rooms.show("kitchen", "neutral")
        with server.client() as client:
            client.sadd(redis_keys.PAUSED_CAMERAS, "door")
        with following(server.url) as heard:
            until(lambda: heard.room("kitchen"), "the room is there")
            server.kill()
            until(lambda: heard.away, "Redis is away")
            assert heard.last is not None
            assert heard.last.paused_cameras == {"door"}
            assert [room.name for room in heard.last.rooms] == ["kitchen"]
            assert heard.last.rooms[0].now.silent
            assert heard.last.away_since is not None
            server.start()
            until(lambda: heard.room("kitchen"), "Redis is back")
            server.freeze()
            try:
                until(lambda: heard.away, "a frozen Redis is away too")
            finally:
                server.thaw()
            until(lambda: heard.room("kitchen"), "Redis is back")
        rooms.close()


def test_a_user_who_may_not_read_is_told_so(shared_server: RedisServer, tmp_path: Path) -> None:
    """The control of the tests that run with a reader's rights: Redis does enforce rights."""
    with shared_server.client() as client:
        user = ("nobody", "reset", "on", f">{PASSWORD}", "+@connection")
        client.execute_command("ACL", "SETUSER", *user)
    url, _, password_file = as_user(shared_server, "nobody", tmp_path)
    with following(url, Path(password_file)) as heard:
        assert until(lambda: "does not let us in" in heard.away, "it is let in nowhere")


@pytest.mark.timeout(120)
def test_with_a_node_of_its_cluster_down_the_page_names_it_and_shows_the_others() -> None:
    names = [f"room-{number}" for number in range(9)]
    with Cluster() as cluster:
        store, now_ms = Store(cluster.url), wall_ms()
        frames = [delivery(result(0, face(), room=room), now_ms - 100) for room in names]
        assert not store.commit(frames, now_ms).errors
        store.touch_rooms(dict.fromkeys(names, now_ms))
        store.close()
        with following(cluster.url) as heard:
            until(lambda: heard.room(names[0]), "the rooms are there")
            cluster.nodes[1].kill()
            lost = {room for room in names if cluster.node_of(room) == 1}
            until(lambda: unknown(heard) == lost, "the lost node's rooms are unknown")
            assert heard.last is not None
            assert heard.last.away == ""
            assert f"127.0.0.1:{cluster.ports[1]} gives no answer" in heard.last.warnings[0]
            assert [room.name for room in heard.last.rooms] == names
            cluster.nodes[1].start()
            until(lambda: unknown(heard) == set(), "all are known again", 60.0)


def unknown(heard: Heard) -> set[str]:
    last = heard.last
    return {room.name for room in last.rooms if last.is_unknown(room)} if last else set()
