"""One camera in a room: what it claims takes nothing from the others, now or in any bucket."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
import redis

from roommood.aggregator.counting.buckets import (
    MAX_CAMERAS_PER_CALL,
    MAX_FACES_PER_CALL,
    MAX_SLOTS_PER_CALL,
    Delivery,
    room_calls,
)
from roommood.aggregator.counting.outcomes import Outcome
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.keys import RESOLUTIONS
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.shared.protocol.limits import MAX_FACES, MAX_INTERVAL_US, MAX_RESULTS_PER_REPORT
from tests import hooks
from tests.aggregator.made import HOUR_MS, counters, delivery, face, only, result, stored
from tests.redis_server import RedisServer

NOW_MS: Final = HOUR_MS + 600_000


def commit(store: Store, rows: list[Delivery], now_ms: float = NOW_MS) -> None:
    for first in range(0, len(rows), MAX_RESULTS_PER_REPORT):
        outcomes = store.commit(rows[first : first + MAX_RESULTS_PER_REPORT], now_ms).outcomes
        assert set(outcomes) == {Outcome.COMMITTED}


def honest(seconds: int = 30) -> list[Delivery]:
    """Ten frames a second with two happy faces, up to now."""
    shown = [face(only("happiness"))] * 2
    start_ms = NOW_MS - seconds * 1_000
    return [
        delivery(result(n, *shown, camera="honest"), start_ms + n * 100)
        for n in range(seconds * 10)
    ]


def greedy(frames: int = 8_088, seconds: int = 25) -> list[Delivery]:
    """Frames without a face that each claim the longest interval there is."""
    start_ms = NOW_MS - seconds * 1_000
    return [
        delivery(
            result(n, camera="greedy", interval_us=MAX_INTERVAL_US),
            start_ms + n * seconds * 1_000 / frames,
        )
        for n in range(frames)
    ]


def bucket_us(key: str) -> int:
    return next(span.length_s for span in RESOLUTIONS if f":{span.name}:" in key) * 1_000_000


def test_no_camera_observes_a_bucket_for_longer_than_it_is(
    store: Store, client: redis.Redis
) -> None:
    commit(store, greedy())
    observed = {key: sums["observed_us:greedy"] for key, sums in stored(client, "kitchen").items()}
    assert all(us <= bucket_us(key) for key, us in observed.items())
    assert bucket_us(key := max(observed, key=lambda bucket: observed[bucket])) > 10_000_000, key
    frames = [s["frames:greedy"] for key, s in stored(client, "kitchen").items() if ":1h:" in key]
    assert sum(frames) == 8_088


def test_beside_it_the_other_camera_is_counted_as_if_it_were_alone(
    store: Store, client: redis.Redis, server: RedisServer
) -> None:
    commit(store, honest())
    alone = stored(client, "kitchen")
    client.flushall()
    commit(store, greedy())
    commit(store, honest())
    for key, sums in alone.items():
        assert sums.items() <= stored(client, "kitchen")[key].items()
    assert people_of_the_room(server) == pytest.approx(2.0)


def people_of_the_room(server: RedisServer) -> float | None:
    with RoomStats(server.url, now_ms=lambda: NOW_MS) as stats:
        (minute,) = stats.raw_summaries(["kitchen"], timedelta(minutes=1))
    assert minute is not None
    return minute.people


def test_without_that_bound_it_outweighs_the_other_thousands_to_one(
    store: Store, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    hooks.no_bound_on_a_cameras_time(monkeypatch, store)
    commit(store, greedy())
    commit(store, honest())
    assert people_of_the_room(server) == 0.0


def test_what_is_left_of_a_bucket_is_booked_and_each_bucket_for_itself(
    store: Store, client: redis.Redis
) -> None:
    """Two seconds claimed six times in one 10 s: a minute takes all of it."""
    shown = face(only("fear"))
    start_ms = HOUR_MS + 60_000
    rows = [delivery(result(n, shown, interval_us=2_000_000), start_ms + n) for n in range(6)]
    commit(store, rows)
    for key, sums in stored(client, "kitchen").items():
        left = 10_000_000 if ":10s:" in key else 12_000_000
        names = ("observed_us:door", "face_us:door", "us:net-1:medium:fear")
        assert [sums[name] for name in names] == [left] * 3
        assert sums["label_us:net-1:medium:fear"] == left
        assert sums["frames:door"] == 6


def test_one_by_one_or_at_once_the_bound_is_the_same(store: Store, client: redis.Redis) -> None:
    rows = greedy(200)
    commit(store, rows)
    at_once = stored(client, "kitchen")
    client.flushall()
    for row in rows:
        commit(store, [row])
    assert stored(client, "kitchen") == at_once


@pytest.mark.parametrize("rate_hz", [0.2, 1.0, 5.0, 30.0])
def test_an_honest_camera_loses_at_most_one_interval_of_a_bucket(
    store: Store, client: redis.Redis, rate_hz: float
) -> None:
    interval_us = round(1e6 / rate_hz)
    rows = [
        delivery(result(n, face(), interval_us=interval_us), HOUR_MS + 7 + n * interval_us / 1000)
        for n in range(int(120 * rate_hz))
    ]
    commit(store, rows)
    for key, right in counters(rows).items():
        counted = stored(client, "kitchen")[key]
        lost_us = right["observed_us:door"] - counted["observed_us:door"]
        assert 0 <= lost_us <= interval_us
        assert counted["frames:door"] == right["frames:door"]


# Now


def live(client: redis.Redis) -> dict[str, str]:
    fields: Any = client.hgetall(redis_keys.live("kitchen"))
    return dict(fields)


def observed_live_s(client: redis.Redis, camera: str) -> float:
    return float(live(client)[f"camera:{camera}"].split()[2]) / 1e6


def test_a_greedy_camera_weighs_little_more_than_twice_an_honest_one_now(
    store: Store, client: redis.Redis
) -> None:
    commit(store, greedy())
    commit(store, honest())
    assert observed_live_s(client, "greedy") < 2.5 * observed_live_s(client, "honest")
    assert float(live(client)["people"]) == pytest.approx(2.0, abs=0.01)


def test_without_the_bound_on_now_the_other_would_not_be_seen(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    hooks.no_bound_on_a_cameras_weight(monkeypatch, store)
    commit(store, greedy())
    commit(store, honest())
    assert float(live(client)["people"]) == 0.0


@pytest.mark.parametrize("rate_hz", [0.2, 1.0, 30.0])
def test_the_bound_on_now_never_touches_an_honest_camera(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, rate_hz: float
) -> None:
    interval_ms = 1000 / rate_hz
    rows = [
        delivery(result(n, face(), interval_us=round(interval_ms * 1000)), NOW_MS - n * interval_ms)
        for n in range(int(9 * rate_hz) + 1)
    ]
    commit(store, rows)
    bounded = live(client)
    client.flushall()
    hooks.no_bound_on_a_cameras_weight(monkeypatch, store)
    commit(store, rows)
    assert live(client) == bounded


# Clocks


def stepped_back(store: Store, client: redis.Redis) -> dict[str, str]:
    """Three sad faces by a clock that is an hour ahead; then it is set right: one happy face."""
    ahead_ms = NOW_MS + 3_600_000
    sad = [face(only("sadness"))] * 3
    commit(store, [delivery(result(n, *sad), ahead_ms - n * 100) for n in range(20)], ahead_ms)
    commit(store, [delivery(result(99, camera="other"), ahead_ms)], ahead_ms)
    rows = [delivery(result(100 + n, face(only("happiness"))), NOW_MS - n * 100) for n in range(5)]
    commit(store, rows, NOW_MS)
    return live(client)


def test_what_a_clock_that_was_ahead_left_in_the_live_hash_is_dropped(
    store: Store, client: redis.Redis
) -> None:
    now = stepped_back(store, client)
    assert (now["people"], now["dominant"]) == ("1", "happiness")
    assert int(now["captured_ms"]) == NOW_MS
    assert "camera:other" not in now


def test_without_that_the_past_is_shown_as_now(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    hooks.a_future_stays_in_the_live_hash(monkeypatch, store)
    now = stepped_back(store, client)
    assert now["dominant"] == "sadness"
    assert int(now["captured_ms"]) > NOW_MS


@pytest.mark.parametrize("clock_off_ms", [-25 * 3_600_000.0, -1e12, 25 * 3_600_000.0])
def test_no_clock_of_an_aggregator_shortens_the_life_of_a_seen_bitmap(
    store: Store, client: redis.Redis, clock_off_ms: float
) -> None:
    commit(store, [delivery(result(0))])
    wrong_ms = NOW_MS + clock_off_ms
    commit(store, [delivery(result(1), wrong_ms)], wrong_ms)
    ttl_s = client.ttl(redis_keys.seen("kitchen", "door", "b00t", 0))
    assert 24 * 3600 - 5 <= ttl_s <= 24 * 3600
    again = store.commit([delivery(result(0)), delivery(result(1))], NOW_MS)
    assert again.outcomes == (Outcome.DUPLICATE,) * 2


# The work of one call


def many_cameras() -> list[Delivery]:
    return [delivery(result(0, face(), camera=f"cam-{n}"), NOW_MS) for n in range(256)]


def many_slots() -> list[Delivery]:
    return [delivery(result(n, face()), NOW_MS - n * 60_000) for n in range(256)]


def many_faces() -> list[Delivery]:
    faces = [face(size=n % 4) for n in range(MAX_FACES)]
    return [delivery(result(n, *faces, interval_us=10_000), NOW_MS) for n in range(256)]


def much_of_all() -> list[Delivery]:
    faces = [face(size=n % 4) for n in range(MAX_FACES)]
    return [
        delivery(
            result(n, *faces, camera=f"cam-{n}", model=f"net-{n}"), NOW_MS - n * 60_000
        )
        for n in range(256)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "most"),
    [
        (many_cameras, MAX_CAMERAS_PER_CALL),
        (many_slots, MAX_SLOTS_PER_CALL),
        (many_faces, MAX_FACES_PER_CALL // MAX_FACES),
        (much_of_all, 4),
    ],
)
def test_a_call_of_the_script_has_bounded_work(
    made: Callable[[], list[Delivery]], most: int, store: Store, client: redis.Redis
) -> None:
    rows = made()
    calls = room_calls(rows, NOW_MS)
    assert max(len(call.places) for call in calls) == most
    assert sorted(place for call in calls for place in call.places) == list(range(256))
    commit(store, rows)
    assert stored(client, "kitchen") == counters(rows)


def test_what_an_ordinary_worker_reports_of_a_room_is_one_call() -> None:
    rows = [
        delivery(result(n, face(), face(), camera=f"cam-{n % 4}"), NOW_MS - n * 10)
        for n in range(256)
    ]
    assert len(room_calls(rows, NOW_MS)) == 1
