"""A whole site read at once, with a reader's rights."""

from datetime import timedelta
from pathlib import Path

import pytest
import redis

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.site import MOST_ROOMS, SiteReader, is_up
from roommood.shared.clock import wall_ms
from roommood.shared.errors import StoreAway, StoreError
from tests.aggregator.made import delivery, face, result
from tests.redis_server import RedisServer

MINUTE = timedelta(minutes=1)


@pytest.fixture
def fed(server: RedisServer, store: Store) -> RedisServer:
    """A kitchen that is watched, and an attic with a camera that went away an hour ago."""
    now_ms = wall_ms()
    frames = [delivery(result(n, face()), now_ms - 9_000 + n * 1000) for n in range(9)]
    old = result(0, face(), room="attic", camera="old")
    assert not store.commit([*frames, delivery(old, now_ms - 3.6e6)], now_ms).errors
    store.touch_rooms({"kitchen": now_ms, "attic": now_ms - 3.6e6})
    store.write_health({"old": {"room": "attic"}}, {}, now_ms - 3.6e6)
    with server.client() as client:
        client.delete(redis_keys.camera("old"))
    store.write_health({"door": {"room": "kitchen", "silent_ms": 0.0}}, {"w1": {}}, now_ms)
    return server


def test_rooms_cameras_and_workers_are_found(fed: RedisServer) -> None:
    reader = SiteReader(fed.url)
    site = reader.look()
    assert [(room.room, now.silent) for room, now in zip(site.rooms, site.now, strict=True)] == [
        ("attic", True),
        ("kitchen", False),
    ]
    assert {camera.camera: is_up(camera) for camera in site.cameras}["door"]
    assert site.workers_alive == 1
    attic, kitchen = reader.lately(["attic", "kitchen"], MINUTE)
    assert attic is not None
    assert kitchen is not None
    assert attic.people is None
    assert kitchen.people == pytest.approx(1.0)
    reader.close()


def test_a_camera_that_went_away_before_we_looked_becomes_known_as_silent(
    fed: RedisServer,
) -> None:
    now_s = [0.0]
    reader = SiteReader(fed.url, clock_s=lambda: now_s[0])
    reader.look()
    now_s[0] = 11.0
    cameras = {camera.camera: is_up(camera) for camera in reader.look().cameras}
    assert cameras == {"door": True, "old": False}


def test_a_readers_rights_suffice_and_others_do_not(
    fed: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("pw")
    password.chmod(0o600)
    url = fed.url.replace("unix://", "unix://reader@")
    for keys, may in ((["roommood:*"], True), (["other:*"], False)):
        client.acl_setuser(
            "reader",
            enabled=True,
            reset=True,
            passwords=["+pw"],
            keys=keys,
            categories=["+@read", "+@connection", "-@dangerous"],
        )
        reader = SiteReader(url, password)
        if may:
            assert len(reader.look().rooms) == 2
            assert len(reader.lately(["kitchen"], MINUTE)) == 1
        else:
            with pytest.raises(StoreError, match="does not let us in"):
                reader.look()
        reader.close()


def test_it_reads_again_once_redis_is_back(fed: RedisServer) -> None:
    reader = SiteReader(fed.url)
    assert reader.look().rooms
    fed.kill()
    with pytest.raises(StoreAway):
        reader.look()
    fed.start()
    assert reader.look().rooms == []


def test_rooms_beyond_those_that_are_told_of_are_counted_and_logged_once(
    server: RedisServer, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.touch_rooms({f"room-{n}": wall_ms() for n in range(MOST_ROOMS + 3)})
    reader = SiteReader(server.url)
    sites = [reader.look() for _ in range(2)]
    reader.close()
    assert [(len(site.rooms), site.rooms_left_out) for site in sites] == [(MOST_ROOMS, 3)] * 2
    assert caplog.messages.count("left out") == 1
