"""What one key of Redis holds by mistake is one room's trouble, named with its key."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis
from typer.testing import CliRunner

from roommood.aggregator.counting.store import Store
from roommood.aggregator.dashboard import models
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.stats.site import SiteReader
from roommood.deploy.cli import app
from roommood.shared.clock import wall_ms
from roommood.shared.errors import KeyDamaged
from tests.aggregator.made import delivery, face, only, result
from tests.redis_server import RedisServer

MINUTE = timedelta(minutes=1)
Damage = Callable[[redis.Redis], object]


@pytest.fixture
def filled() -> Iterator[tuple[RedisServer, redis.Redis]]:
    """Two rooms that are looked at now."""
    with RedisServer() as server, server.client() as client:
        store, now_ms = Store(server.url), wall_ms()
        store.check_schema()
        for room in ("hall", "kitchen"):
            frames = [
                delivery(
                    result(n, face(only("anger")), room=room, camera=f"{room}-1"),
                    now_ms - 2_000 + n * 100,
                )
                for n in range(20)
            ]
            assert not store.commit(frames, now_ms).errors
            store.touch_rooms({room: now_ms})
            store.write_health({f"{room}-1": {"room": room, "source": "ok"}}, {"w": {}}, now_ms)
        store.close()
        yield server, client


def bucket(client: redis.Redis, span: str) -> str:
    return str(max(client.scan_iter(f"roommood:{{hall}}:{span}:*")))


def live(field: str, value: str) -> Damage:
    return lambda client: client.hset(redis_keys.live("hall"), field, value)


def counter(field: str, value: str) -> Damage:
    def do(client: redis.Redis) -> None:
        for key in client.scan_iter("roommood:{hall}:1*"):
            client.hset(key, field, value)

    return do


def other_kind(name: Callable[[redis.Redis], str]) -> Damage:
    def do(client: redis.Redis) -> None:
        key = name(client)
        client.delete(key)
        client.set(key, "junk")

    return do


LIVE = {
    "frames_per_s": live("frames_per_s", "nan"),
    "frames": live("frames_per_s", "x"),
    "valence": live("valence", "-5"),
    "share": live("share:anger", "-5"),
    "people": live("people", "1e400"),
    "dominant": live("dominant", "\x1b[2J"),
    "live": other_kind(lambda _: redis_keys.live("hall")),
}
COUNTERS = {
    "word": counter("frames:hall-1", "x"),
    "negative": counter("observed_us:hall-1", "-5"),
    "empty": counter("face_us:hall-1", ""),
    "field": counter("us:a:b", "7"),
    "expression": counter("label_us:net:medium:joy", "7"),
    "camera": counter("frames:\x1b[2J", "7"),
}
OTHERS = {
    "score": lambda client: client.zadd(redis_keys.ROOMS, {"hall": "inf"}),
    "year": lambda client: client.zadd(redis_keys.ROOMS, {"hall": 1e30}),
    "room": lambda client: client.zadd(redis_keys.ROOMS, {"../\x1b[2J": 5}),
    "group": lambda client: client.hset(redis_keys.GROUPS, "hall", "\x1b[2J"),
    "source": lambda client: client.hset(redis_keys.camera("hall-1"), "source", "\x1b[2J"),
    "camera": other_kind(lambda _: redis_keys.camera("hall-1")),
    "hour": other_kind(lambda client: bucket(client, "1h")),
    "tens": other_kind(lambda client: bucket(client, "10s")),
}
ALL = {**{f"live {k}": v for k, v in LIVE.items()}, **COUNTERS, **OTHERS}


@pytest.mark.parametrize("damage", ALL.values(), ids=ALL)
def test_the_other_room_is_shown_whatever_one_key_holds(
    filled: tuple[RedisServer, redis.Redis], damage: Damage
) -> None:
    server, client = filled
    damage(client)
    reader = SiteReader(server.url)
    site = reader.look()
    kitchen = {now.room: now for now in site.now}["kitchen"]
    assert kitchen.people == pytest.approx(1)
    for now in site.now:
        for camera in now.cameras:
            models.CameraNow.model_validate(camera)
    names = [room.room for room in site.rooms]
    assert names == ["hall", "kitchen"]
    lately = dict(zip(names, reader.lately(names, MINUTE), strict=True))
    assert lately["kitchen"] is not None
    reader.close()
    listed = CliRunner().invoke(app, ["rooms", "--redis", server.url])
    assert listed.exit_code == 0, listed
    assert "kitchen" in listed.output
    assert "\x1b" not in listed.output


@pytest.mark.parametrize("damage", LIVE.values(), ids=LIVE)
def test_a_live_hash_out_of_bounds_has_no_figures(
    filled: tuple[RedisServer, redis.Redis], damage: Damage
) -> None:
    server, client = filled
    damage(client)
    with RoomStats(server.url) as stats:
        hall = stats.live("hall")
    assert "in Redis is damaged" in hall.away
    assert (hall.people, hall.shares) == (None, {})


@pytest.mark.parametrize("damage", COUNTERS.values(), ids=COUNTERS)
def test_who_asks_for_the_damaged_room_is_told_which_key_and_field(
    filled: tuple[RedisServer, redis.Redis], damage: Damage
) -> None:
    server, client = filled
    damage(client)
    with RoomStats(server.url) as stats:
        with pytest.raises(KeyDamaged, match=r"roommood:\{hall\}:1.*HDEL of that field"):
            stats.summary("hall", timedelta(minutes=10))
        assert stats.summary("kitchen", timedelta(minutes=10)).frames == 20


def test_of_a_key_of_another_kind_that_concerns_all_the_name_is_told(
    filled: tuple[RedisServer, redis.Redis],
) -> None:
    server, client = filled
    client.set(redis_keys.VIEWS, "junk")
    with RoomStats(server.url) as stats, pytest.raises(KeyDamaged, match="roommood:views in Redis"):
        stats.rooms()
