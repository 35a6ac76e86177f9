"""The script: what it adds up, that it does so exactly once, and what it refuses."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.outcomes import Outcome
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.errors import StoreRefuses
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.shared.protocol.limits import MAX_INTERVAL_US, SEEN_BITS, SEEN_TTL_S
from tests import hooks
from tests.aggregator.made import (
    HOUR_MS,
    counters,
    delivery,
    face,
    only,
    result,
    stored,
    stream,
)
from tests.redis_server import RedisServer

NOW_MS = HOUR_MS + 301_000


def _in_batches(deliveries: Sequence[Delivery], size: int) -> list[Sequence[Delivery]]:
    return [deliveries[i : i + size] for i in range(0, len(deliveries), size)]


def _commit(store: Store, deliveries: Sequence[Delivery], size: int = 16) -> Counter[Outcome]:
    seen: Counter[Outcome] = Counter()
    for batch in _in_batches(deliveries, size):
        seen.update(store.commit(batch, NOW_MS).outcomes)
    return seen


def _delivered_three_times(seed: int, deliveries: Sequence[Delivery]) -> list[Delivery]:
    shuffled = list(deliveries) * 3
    random.Random(seed).shuffle(shuffled)
    return shuffled


def test_one_result_is_booked_in_its_three_buckets_to_the_microsecond(
    store: Store, client: redis.Redis
) -> None:
    happy, unsure = face(only("happiness"), size=3), face(sure=False)
    store.commit([delivery(result(7, happy, unsure, interval_us=33_333))], NOW_MS)
    expected = {
        "frames:door": 1,
        "observed_us:door": 33_333,
        "face_us:door": 66_666,
        "unsure_us:door": 33_333,
        "us:net-1:large:happiness": 33_333,
        "label_us:net-1:large:happiness": 33_333,
    }
    start_s = round(HOUR_MS / 1000)
    assert stored(client, "kitchen") == {
        f"roommood:{{kitchen}}:{name}:{start_s}": expected for name in ("10s", "1m", "1h")
    }


def test_of_a_repeated_look_the_time_counts_and_the_frame_does_not(
    store: Store, client: redis.Redis
) -> None:
    looks = [
        delivery(result(seq, interval_us=500_000, repeated=seq > 0), HOUR_MS + 500 * seq)
        for seq in range(4)
    ]
    for _ in range(2):
        store.commit(looks, HOUR_MS + 2_000)
    expected = {"frames:door": 1, "repeated:door": 3, "observed_us:door": 2_000_000}
    assert all(bucket == expected for bucket in stored(client, "kitchen").values())
    assert client.bitcount(redis_keys.seen("kitchen", "door", "b00t", 0)) == 4
    live = client.hgetall(redis_keys.live("kitchen"))
    assert float(live["people"]) == 0
    assert float(live["frames_per_s"]) == pytest.approx(0.5, abs=0.1)


def test_probabilities_become_whole_microseconds_rounded_half_up(
    store: Store, client: redis.Redis
) -> None:
    probabilities = (0.5, 0.25, 0.15, 0.1, 0.0, 0.0, 0.0, 0.0)
    store.commit([delivery(result(0, face(probabilities), interval_us=5))], NOW_MS)
    bucket = stored(client, "kitchen")[f"roommood:{{kitchen}}:1h:{round(HOUR_MS / 1000)}"]
    shares = {name.split(":")[-1]: n for name, n in bucket.items() if name.startswith("us:")}
    assert shares == {"neutral": 3, "happiness": 1, "surprise": 1, "sadness": 1}


def test_large_sums_stay_whole_numbers_without_exponent(store: Store, client: redis.Redis) -> None:
    key = f"roommood:{{kitchen}}:1h:{round(HOUR_MS / 1000)}"
    client.hset(key, "face_us:door", 4_000_000_000_000_001)
    store.commit([delivery(result(0, face(), interval_us=MAX_INTERVAL_US))], NOW_MS)
    assert client.hget(key, "face_us:door") == "4000000005000001"


def test_a_batch_over_many_buckets_cameras_and_models_adds_up(
    store: Store, client: redis.Redis
) -> None:
    deliveries = stream(1, 300, ("kitchen", "hall"))
    outcomes = store.commit(deliveries, NOW_MS).outcomes
    assert set(outcomes) == {Outcome.COMMITTED}
    assert stored(client, "kitchen", "hall") == counters(deliveries)


def test_face_time_splits_into_suppressed_unsure_and_labelled(
    server: RedisServer, client: redis.Redis
) -> None:
    Store(server.url, min_people=2).commit(stream(2, 200), NOW_MS)
    for bucket in stored(client, "kitchen").values():
        parts: Counter[str] = Counter()
        for name, n in bucket.items():
            parts[name.split(":")[0]] += n
        assert parts["face_us"] == sum(
            parts[name] for name in ("suppressed_us", "unsure_us", "label_us")
        )


def test_expressions_of_frames_with_too_few_faces_are_not_written(
    server: RedisServer, client: redis.Redis
) -> None:
    store = Store(server.url, min_people=2)
    alone, both = result(0, face(only("fear"))), result(1, face(), face())
    store.commit([delivery(alone, NOW_MS - 100)], NOW_MS)
    assert not [name for b in stored(client, "kitchen").values() for name in b if "fear" in name]
    assert client.hget(redis_keys.live("kitchen"), "dominant") == ""
    assert client.hget(redis_keys.live("kitchen"), "people") == "1"
    store.commit([delivery(both, NOW_MS - 50)], NOW_MS)
    deliveries = [delivery(alone, NOW_MS - 100), delivery(both, NOW_MS - 50)]
    assert stored(client, "kitchen") == counters(deliveries, min_people=2)
    control = Store(server.url)
    control.commit([delivery(result(2, face(only("fear"))))], NOW_MS)
    assert [name for b in stored(client, "kitchen").values() for name in b if "fear" in name]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_resent_and_reordered_results_leave_the_totals_exact(
    store: Store, client: redis.Redis, size: int
) -> None:
    deliveries = stream(3, 150, ("kitchen", "hall"))
    seen = _commit(store, _delivered_three_times(size, deliveries), size)
    assert seen == {Outcome.COMMITTED: 300, Outcome.DUPLICATE: 600}
    assert stored(client, "kitchen", "hall") == counters(deliveries)


def test_without_the_seen_bit_the_same_deliveries_count_wrongly(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries = stream(3, 150)
    hooks.no_seen_bits(monkeypatch, store)
    _commit(store, _delivered_three_times(1, deliveries))
    wrong, right = stored(client, "kitchen"), counters(deliveries)
    assert wrong != right
    assert wrong == {key: {f: 3 * n for f, n in sums.items()} for key, sums in right.items()}


@settings(max_examples=25, deadline=None)
@given(
    picks=st.lists(st.integers(0, 39), min_size=1, max_size=120),
    size=st.integers(1, 40),
)
def test_any_order_and_repetition_counts_each_delivered_result_once(
    shared_server: RedisServer, picks: list[int], size: int
) -> None:
    deliveries = stream(4, 40)
    with shared_server.client() as client:
        client.flushall()
        store = Store(shared_server.url)
        _commit(store, [deliveries[i] for i in picks], size)
        assert stored(client, "kitchen") == counters(deliveries[i] for i in set(picks))
        store.close()


def test_several_stores_committing_the_same_deliveries_count_each_once(
    server: RedisServer, client: redis.Redis
) -> None:
    deliveries = stream(5, 200, ("kitchen", "hall"))
    seen: list[Counter[Outcome]] = []

    def work(seed: int) -> None:
        store = Store(server.url)
        seen.append(_commit(store, _delivered_three_times(seed, deliveries), 1 + seed * 5))
        store.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(outcome[Outcome.COMMITTED] for outcome in seen) == len(deliveries)
    assert sum(outcome[Outcome.UNSETTLED] for outcome in seen) == 0
    assert stored(client, "kitchen", "hall") == counters(deliveries)


def test_frames_of_different_boots_cameras_and_bitmaps_are_told_apart(
    store: Store, client: redis.Redis
) -> None:
    different = [
        result(0),
        result(1),
        result(SEEN_BITS),
        result(SEEN_BITS - 1),
        result(0, session_id="other"),
        result(0, camera="window"),
        result(1 << 48),
    ]
    outcomes = store.commit([delivery(counted) for counted in different], NOW_MS).outcomes
    assert set(outcomes) == {Outcome.COMMITTED}
    assert len(list(client.scan_iter(redis_keys.seen_of_room("kitchen")))) == 5


@pytest.mark.parametrize("which", ["live", "10s", "1m", "1h", "seen", "forgotten"])
def test_a_key_of_the_wrong_type_leaves_its_room_wholly_unwritten_and_others_committed(
    store: Store, client: redis.Redis, which: str
) -> None:
    bad, good = delivery(result(0, face())), delivery(result(0, face(), room="hall"))
    keys = {
        "live": redis_keys.live("kitchen"),
        "seen": redis_keys.seen("kitchen", "door", "b00t", 0),
        "forgotten": redis_keys.forgotten("kitchen"),
    }
    keys |= {
        span.name: redis_keys.bucket("kitchen", span, round(HOUR_MS / 1000))
        for span in redis_keys.RESOLUTIONS
    }
    client.rpush(keys[which], "in the way")
    report = store.commit([bad, good, bad], NOW_MS)
    assert report.outcomes == (Outcome.UNSETTLED, Outcome.COMMITTED, Outcome.UNSETTLED)
    assert list(report.errors) == ["kitchen"]
    assert "WRONGTYPE" in str(report.errors["kitchen"])
    assert report.away is None
    assert list(client.scan_iter(redis_keys.of_room("kitchen"))) == [keys[which]]
    client.delete(keys[which])
    assert store.commit([bad, bad], NOW_MS).outcomes == (Outcome.COMMITTED, Outcome.DUPLICATE)


def test_a_counter_that_is_no_number_leaves_its_room_unwritten(
    store: Store, client: redis.Redis
) -> None:
    key = f"roommood:{{kitchen}}:1h:{round(HOUR_MS / 1000)}"
    client.hset(key, "frames:door", "many")
    report = store.commit([delivery(result(0, face()))], NOW_MS)
    assert "frames:door" in str(report.errors["kitchen"])
    assert client.hgetall(key) == {"frames:door": "many"}
    assert list(client.scan_iter(redis_keys.of_room("kitchen"))) == [key]


def test_out_of_memory_leaves_the_room_unwritten_and_it_counts_later(
    store: Store, client: redis.Redis
) -> None:
    store.commit([delivery(result(0))], NOW_MS)
    before = stored(client, "kitchen")
    client.config_set("maxmemory", 1)
    try:
        report = store.commit([delivery(result(1, face()))], NOW_MS)
    finally:
        client.config_set("maxmemory", 0)
    assert report.outcomes == (Outcome.UNSETTLED,)
    assert stored(client, "kitchen") == before
    assert store.commit([delivery(result(1, face()))], NOW_MS).outcomes == (Outcome.COMMITTED,)


def test_results_captured_before_the_tombstone_are_forgotten(
    store: Store, client: redis.Redis
) -> None:
    client.set(redis_keys.forgotten("kitchen"), round(HOUR_MS))
    batch = [delivery(result(0), HOUR_MS - 1), delivery(result(1), HOUR_MS)]
    assert store.commit(batch, NOW_MS).outcomes == (Outcome.FORGOTTEN, Outcome.COMMITTED)
    assert stored(client, "kitchen") == counters(batch[1:])


def test_a_tombstone_of_the_future_refuses_nothing_and_goes(
    store: Store, client: redis.Redis
) -> None:
    """Redis' clock was hours ahead as the room was forgotten, and has been set back."""
    tombstone = redis_keys.forgotten("kitchen")
    client.set(tombstone, round((client.time()[0] + 3 * 3600) * 1000))
    batch = [delivery(result(0)), delivery(result(1))]
    assert store.commit(batch, NOW_MS).outcomes == (Outcome.COMMITTED,) * 2
    assert stored(client, "kitchen") == counters(batch)
    assert not client.exists(tombstone)
    store.touch_rooms({"kitchen": HOUR_MS})
    assert store.rooms() == ["kitchen"]


def test_every_key_lives_as_long_as_the_table_says(store: Store, client: redis.Redis) -> None:
    now_s = int(client.time()[0])
    store.commit([delivery(result(0, face()), now_s * 1000.0)], now_s * 1000.0 + 50)
    for span in redis_keys.RESOLUTIONS:
        start_s = now_s - now_s % span.length_s
        key = redis_keys.bucket("kitchen", span, start_s)
        end_s = start_s + span.length_s + span.keep_s
        assert abs(client.ttl(key) - (end_s - now_s)) <= 2
    seen_ttl_s = client.ttl(redis_keys.seen("kitchen", "door", "b00t", 0))
    assert SEEN_TTL_S - 2 <= seen_ttl_s <= SEEN_TTL_S
    assert 9 <= client.ttl(redis_keys.live("kitchen")) <= 10


def test_a_bucket_that_has_expired_is_skipped(store: Store, client: redis.Redis) -> None:
    late_ms = HOUR_MS + (6 * 3600 + 11) * 1000
    assert store.commit([delivery(result(0))], late_ms).outcomes == (Outcome.COMMITTED,)
    names = {key.split(":")[2] for key in stored(client, "kitchen")}
    assert names == {"1m", "1h"}


def _shares(client: redis.Redis) -> dict[str, float]:
    sums: Counter[str] = Counter()
    for key, bucket in stored(client, "kitchen").items():
        if ":1h:" in key:
            sums.update({f.split(":")[-1]: n for f, n in bucket.items() if f.startswith("us:")})
    return {name: sums[name] / sums.total() for name in EXPRESSIONS}


def _minute(every: int) -> list[Delivery]:
    """A minute at 30 frames/s of which every so manieth is analysed; the mood turns slowly."""
    rng = random.Random(6)
    faces = [face(_mood(n / 1800, rng)) for n in range(1800)]
    return [
        delivery(result(n, faces[n], interval_us=33_333 * every), HOUR_MS + n * 33.333)
        for n in range(0, 1800, every)
    ]


def _mood(t: float, rng: random.Random) -> tuple[float, ...]:
    noise = rng.uniform(-0.05, 0.05)
    return (0.8 - 0.6 * t + noise, 0.1 + 0.6 * t - noise, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_halving_the_frame_rate_leaves_every_share_within_one_percent(
    store: Store, client: redis.Redis
) -> None:
    store.commit(_minute(1), NOW_MS)
    full = _shares(client)
    client.flushall()
    store.commit(_minute(2), NOW_MS)
    half = _shares(client)
    assert all(abs(half[name] - full[name]) < 0.01 for name in EXPRESSIONS)
    observed_us = stored(client, "kitchen")[f"roommood:{{kitchen}}:1h:{round(HOUR_MS / 1000)}"]
    assert observed_us["observed_us:door"] == pytest.approx(60e6, rel=0.01)


def test_a_frame_weighs_by_its_interval_not_by_being_one(store: Store, client: redis.Redis) -> None:
    """A camera at 30/s for half a minute, then at 3/s: frames counted alone would mislead."""
    happy, sad = face(only("happiness")), face(only("sadness"))
    fast = [
        delivery(result(n, happy, interval_us=33_333), HOUR_MS + n * 33.333) for n in range(900)
    ]
    slow = [
        delivery(result(900 + n, sad, interval_us=333_333), HOUR_MS + 30_000 + n * 333.333)
        for n in range(90)
    ]
    store.commit(fast + slow, NOW_MS)
    assert _shares(client)["happiness"] == pytest.approx(0.5, abs=0.01)
    assert len(fast) / len(fast + slow) > 0.9


def test_two_workers_sharing_the_frames_count_what_one_would(
    server: RedisServer, client: redis.Redis
) -> None:
    frames = _minute(1)
    Store(server.url).commit(frames, NOW_MS)
    alone = stored(client, "kitchen")
    client.flushall()
    for share in (frames[1::2], frames[::2]):
        Store(server.url).commit(share, NOW_MS)
    assert stored(client, "kitchen") == alone


@pytest.mark.parametrize("right", ["setbit", "expire", "expireat", "hset", "publish"])
def test_a_user_who_lacks_one_right_counts_once_when_it_has_it(
    server: RedisServer, client: redis.Redis, tmp_path: Path, right: str
) -> None:
    """Nothing may be marked as seen that was not counted, nor the other way about."""
    rights = ("on", ">pw", "~*", "&*", "+@all", f"-{right}")
    acl: Any = client.execute_command  # redis-py gives no types for it
    acl("ACL", "SETUSER", "half", *rights)
    file = tmp_path / "password"
    file.write_text("pw\n")
    file.chmod(0o600)
    store = Store(server.url.replace("unix://", "unix://half@"), file)
    now_ms = float(client.time()[0]) * 1000
    batch = [delivery(result(n, face()), now_ms - n) for n in range(3)]
    refused = store.commit(batch, now_ms)
    assert refused.outcomes == (Outcome.UNSETTLED,) * 3
    assert isinstance(refused.away, StoreRefuses)
    acl("ACL", "SETUSER", "half", f"+{right}")
    again = store.commit(batch, now_ms)
    assert Outcome.UNSETTLED not in again.outcomes
    assert stored(client, "kitchen") == counters(batch)
    store.close()
    client.acl_deluser("half")
