"""The live hash: decay, derived figures, the steady dominant expression, updates."""

import json
from collections.abc import Sequence

import pytest
import redis

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.shared.protocol.emotions import EXPRESSIONS, VALENCE
from roommood.shared.protocol.messages import Face
from tests.aggregator.made import HOUR_MS, delivery, face, only, result
from tests.redis_server import RedisServer

LIVE = redis_keys.live("kitchen")
NOW_MS = HOUR_MS + 60_000
HAPPY, SAD = face(only("happiness")), face(only("sadness"))


class _Room:
    """Feeds frames to a room, by the age of their capture at `now_ms`."""

    def __init__(self, store: Store, client: redis.Redis) -> None:
        self.store, self.client, self.seq, self.now_ms = store, client, 0, NOW_MS

    def frame(self, age_ms: float, *faces: Face, camera: str = "door", us: int = 100_000) -> None:
        counted = result(self.seq, *faces, camera=camera, interval_us=us)
        self.store.commit([delivery(counted, self.now_ms - age_ms)], self.now_ms)
        self.seq += 1

    def frames(self, count: int, *faces: Face, camera: str = "door") -> None:
        """So many frames at 10 a second, the last one now."""
        self.now_ms += count * 100
        batch = [
            delivery(
                result(self.seq + i, *faces, camera=camera), self.now_ms - (count - 1 - i) * 100
            )
            for i in range(count)
        ]
        self.store.commit(batch, self.now_ms)
        self.seq += count

    def number(self, name: str) -> float:
        return float(self.client.hget(LIVE, name) or "nan")

    @property
    def dominant(self) -> str:
        return str(self.client.hget(LIVE, "dominant"))


@pytest.fixture
def room(store: Store, client: redis.Redis) -> _Room:
    return _Room(store, client)


def _mixed(happiness: float) -> Face:
    rest = 1 - happiness
    return face([happiness if e == "happiness" else rest * (e == "sadness") for e in EXPRESSIONS])


def test_a_frame_loses_half_its_weight_in_three_seconds(room: _Room) -> None:
    room.frame(3000, HAPPY)
    room.frame(0, SAD)
    assert room.number("share:happiness") == pytest.approx(1 / 3, abs=1e-4)
    assert room.number("share:sadness") == pytest.approx(2 / 3, abs=1e-4)


def test_the_order_in_which_results_come_makes_no_difference(
    room: _Room, client: redis.Redis
) -> None:
    frames = [(3000, HAPPY), (2000, SAD), (1500, HAPPY), (0, face())]

    def derived(order: Sequence[tuple[int, Face]]) -> list[float]:
        client.delete(LIVE)
        for age_ms, shown in order:
            room.frame(age_ms, shown)
        return [room.number(f"share:{e}") for e in EXPRESSIONS] + [room.number("people")]

    forwards = derived(frames)
    assert derived(frames[::-1]) == pytest.approx(forwards, abs=1e-3)
    assert derived(frames[2:] + frames[:2]) == pytest.approx(forwards, abs=1e-3)


def test_time_never_runs_backwards(room: _Room) -> None:
    room.frame(0, HAPPY)
    room.frame(4000, SAD)
    assert room.number("captured_ms") == NOW_MS


def test_results_older_than_ten_seconds_never_touch_it(room: _Room, client: redis.Redis) -> None:
    room.frame(10_001, HAPPY)
    assert not client.exists(LIVE)
    room.frame(9_999, HAPPY)
    assert client.exists(LIVE)


def test_people_is_the_most_that_a_camera_sees_at_once(room: _Room) -> None:
    room.frames(20, HAPPY, camera="door")
    room.frames(20, HAPPY, HAPPY, SAD, camera="window")
    assert room.number("people") == pytest.approx(3.0)


def test_a_camera_with_less_than_a_tenth_of_the_best_ones_time_does_not_say_how_many(
    room: _Room,
) -> None:
    room.frame(0, *[HAPPY] * 9, camera="new", us=90_000)
    room.frame(0, HAPPY, camera="door", us=1_000_000)
    assert room.number("people") == 1.0
    room.frame(0, *[HAPPY] * 9, camera="new", us=20_000)
    assert room.number("people") == 9.0


def test_frames_per_second_are_added_up_over_cameras(room: _Room) -> None:
    room.frames(30, camera="door")
    room.frames(30, camera="window")
    assert room.number("frames_per_s") == pytest.approx(20.0, rel=0.01)


def test_valence_and_sure_share_follow_from_the_sums(room: _Room) -> None:
    room.frames(10, HAPPY, SAD, face(sure=False), face(sure=False))
    mean = (VALENCE[EXPRESSIONS.index("happiness")] + VALENCE[EXPRESSIONS.index("sadness")]) / 2
    assert room.number("valence") == pytest.approx(mean, abs=1e-3)
    assert room.number("sure_share") == pytest.approx(0.5, abs=1e-3)


def test_the_dominant_expression_switches_only_by_a_margin(room: _Room) -> None:
    room.frames(60, _mixed(0.53))
    assert room.dominant == "happiness"
    room.frames(60, _mixed(0.46))
    assert room.number("share:sadness") > room.number("share:happiness")
    assert room.dominant == "happiness"
    room.frames(60, _mixed(0.40))
    assert room.dominant == "sadness"


def test_without_the_margin_the_same_frames_would_flicker(room: _Room) -> None:
    tops = set()
    shown = set()
    for happiness in (0.53, 0.46, 0.53, 0.46):
        room.frames(60, _mixed(happiness))
        tops.add(max(EXPRESSIONS, key=lambda e: room.number(f"share:{e}")))
        shown.add(room.dominant)
    assert tops == {"happiness", "sadness"}
    assert shown == {"happiness"}


def test_no_mood_is_shown_ten_seconds_after_the_last_sure_face(room: _Room) -> None:
    room.frames(10, HAPPY)
    room.frames(95, face(sure=False))
    assert room.dominant == "happiness"
    room.frames(10, face(sure=False))
    assert room.dominant == ""
    assert room.number("valence") == 0.0
    assert room.number("share:happiness") == 0.0


def test_a_camera_silent_for_ten_seconds_leaves_the_hash(room: _Room, client: redis.Redis) -> None:
    room.frames(10, HAPPY, HAPPY, camera="gone")
    room.frames(99, SAD, camera="door")
    assert client.hexists(LIVE, "camera:gone")
    room.frames(10, SAD, camera="door")
    assert not client.hexists(LIVE, "camera:gone")
    assert client.hexists(LIVE, "camera:door")
    assert room.number("people") == 1.0


def test_duplicates_do_not_touch_the_live_hash(room: _Room, client: redis.Redis) -> None:
    room.frame(0, HAPPY)
    before = client.hgetall(LIVE)
    again = delivery(result(0, HAPPY), NOW_MS)
    room.store.commit([again], NOW_MS + 500)
    assert client.hgetall(LIVE) == before


def test_any_store_may_go_on_where_another_left_off(
    server: RedisServer, client: redis.Redis
) -> None:
    batches = [[delivery(result(n, HAPPY if n % 3 else SAD), NOW_MS + n * 100)] for n in range(30)]
    alone = Store(server.url)
    for n, batch in enumerate(batches):
        alone.commit(batch, NOW_MS + n * 100)
    expected = client.hgetall(LIVE)
    client.flushall()
    two = [Store(server.url), Store(server.url)]
    for n, batch in enumerate(batches):
        two[n % 2].commit(batch, NOW_MS + n * 100)
    assert client.hgetall(LIVE) == expected


def test_changes_are_told_at_most_five_times_a_second(room: _Room, client: redis.Redis) -> None:
    listener = client.pubsub()  # type: ignore[no-untyped-call]
    listener.subscribe(redis_keys.updates("kitchen"))
    for step in range(100):
        room.now_ms = NOW_MS + step * 20
        room.frame(0, HAPPY)
    client.publish(redis_keys.updates("kitchen"), "end")
    messages = []
    for message in listener.listen():
        if message["data"] == "end":
            break
        if message["type"] == "message":
            messages.append(json.loads(message["data"]))
    assert len(messages) == 10
    assert set(messages[0]) == {
        "room", "people", "shares", "dominant", "valence", "sure_share", "frames_per_s",
        "captured_ms", "updated_ms",
    }  # fmt: skip
    assert messages[-1]["shares"]["happiness"] == 1
    assert [m["updated_ms"] for m in messages] == [NOW_MS + n * 200 for n in range(10)]


@pytest.mark.parametrize("damage", ["people", "updated_ms", "share:fear", "camera:door"])
def test_a_damaged_hash_is_one_rooms_trouble_and_nobody_elses(
    store: Store, client: redis.Redis, damage: str
) -> None:
    for room in ("hall", "kitchen"):
        store.commit([delivery(result(1, HAPPY, room=room), NOW_MS)], NOW_MS)
        store.touch_rooms({room: NOW_MS})
    client.hset(redis_keys.live("hall"), damage, "many")
    hall, kitchen = RoomStats(client, now_ms=lambda: NOW_MS).live_rooms()

    assert "damaged" in hall.away
    assert (hall.people, hall.silent) == (None, True)
    assert kitchen.people is not None


def test_a_live_hash_that_a_clock_set_back_keeps_for_hours_is_not_shown_as_now(
    room: _Room, server: RedisServer, client: redis.Redis
) -> None:
    """Redis deletes by its clock: set back, it keeps what should have gone, as if it were new."""
    room.frames(10, HAPPY)
    room.store.touch_rooms({"kitchen": NOW_MS})
    with RoomStats(server.url) as stats:
        assert stats.live("kitchen").people == 1.0
        client.expire(LIVE, redis_keys.LIVE_TTL_S + 3 * 3600)
        now = stats.live("kitchen")
    assert now.silent
    assert now.people is None
