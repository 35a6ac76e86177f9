"""What aggregators of former versions left in Redis: it shows what they showed, and is counted on.

`tests/golden/redis` holds, by day of the main branch, all keys of one room and what that version's
own `roommood stats` told of it.
"""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.outcomes import Outcome
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.shared.protocol.limits import SEEN_BITS
from tests.aggregator.made import HOUR_MS, delivery, result

SAMPLES: Final = sorted((Path(__file__).parents[2] / "golden" / "redis").glob("*.json"))
OF_EACH: Final = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
BEFORE_MS: Final = HOUR_MS - 3_600_000
LENGTHS: Final = {span.name for span in redis_keys.RESOLUTIONS}


def restore(client: redis.Redis, keys: Mapping[str, Any]) -> None:
    """As if it had been counted in the hour before this one."""
    for key, value in keys.items():
        start, span, name = (part[::-1] for part in (*key[::-1].split(":", 2), "", "")[:3])
        if span in LENGTHS:
            since_s = int(start) % 3600
            client.hset(f"{name}:{span}:{round(BEFORE_MS / 1000) + since_s}", mapping=value)
        elif isinstance(value, str):
            client.set(key, base64.b64decode(value) if ":seen:" in key else value)
        elif key in (redis_keys.ROOMS, redis_keys.CAMERAS, redis_keys.WORKERS):
            client.zadd(key, dict.fromkeys(value, BEFORE_MS))
        else:
            client.hset(key, mapping=value)


def counted_then(client: redis.Redis) -> tuple[list[Delivery], Delivery]:
    """All frames that the bitmap knows, once more; and the one that comes after."""
    (key,) = client.scan_iter(redis_keys.seen_of_room("kitchen"))
    camera, session, _ = key.removeprefix(redis_keys.seen_prefix("kitchen")).split(":")
    seqs = [seq for seq in range(SEEN_BITS) if client.getbit(key, seq)]
    frames = [
        delivery(result(seq, camera=camera, session_id=session), BEFORE_MS + 60_000)
        for seq in (*seqs, seqs[-1] + 1)
    ]
    return frames[:-1], frames[-1]


@OF_EACH
def test_a_former_version_has_left_what_is_shown_as_it_showed_it(
    client: redis.Redis, path: Path
) -> None:
    sample = json.loads(path.read_text())
    restore(client, sample["keys"])
    stats = RoomStats(client, now_ms=lambda: HOUR_MS + 60_000)
    for last in (timedelta(hours=3), timedelta(hours=30)):
        period = stats.summary("kitchen", last)
        assert period.people == pytest.approx(sample["people"])
        raw = {expression: share.raw for expression, share in period.shares.items()}
        assert raw == pytest.approx(sample["raw"])


@OF_EACH
def test_what_it_has_counted_counts_once_and_the_next_frame_is_added(
    client: redis.Redis, store: Store, path: Path
) -> None:
    restore(client, json.loads(path.read_text())["keys"])
    store.check_schema()
    hour = f"roommood:{{kitchen}}:1h:{round(BEFORE_MS / 1000)}"
    before, (again, following) = client.hgetall(hour), counted_then(client)
    report = store.commit(again, HOUR_MS + 60_000)
    assert set(report.outcomes) == {Outcome.DUPLICATE}
    assert client.hgetall(hour) == before
    assert store.commit([following], HOUR_MS + 60_000).outcomes == (Outcome.COMMITTED,)
    frames = f"frames:{following.result.camera}"
    assert int(client.hgetall(hour)[frames]) == int(before[frames]) + 1 == len(again) + 1


@OF_EACH
def test_a_room_that_it_has_counted_is_forgotten_whole(
    client: redis.Redis, store: Store, path: Path
) -> None:
    restore(client, json.loads(path.read_text())["keys"])
    store.forget("kitchen")
    assert list(client.scan_iter("*kitchen*")) == [redis_keys.forgotten("kitchen")]
    assert client.zscore(redis_keys.ROOMS, "kitchen") is None
