"""Writing to Redis: the only module that does. Results, health, models, and a room's wishes.

A result counts as committed only when Redis has said so. When the connection breaks before
the answer, nobody knows; the result then stays unacknowledged and is sent again, and if it
had been counted the script finds its bit set. That is why nothing here is retried.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, Final

from aggregator.buckets import Delivery, RoomCall, room_calls
from aggregator.redis_client import as_store_error, connect, translated, without_password
from shared import redis_keys
from shared.errors import SchemaMismatch, StoreAway, StoreError
from shared.messages import ModelReport

_KEYS_PER_SCAN: Final = 500
_Reply = str | Exception


class Outcome(StrEnum):
    """What became of one result. All but UNSETTLED may be acknowledged."""

    COMMITTED = "committed"
    DUPLICATE = "duplicate"
    FORGOTTEN = "forgotten"  # refused: its room was forgotten after it was captured
    UNSETTLED = "unsettled"  # Redis refused or gave no answer: to be sent again


_OUTCOMES: Final = {"c": Outcome.COMMITTED, "d": Outcome.DUPLICATE, "f": Outcome.FORGOTTEN}


@dataclass(frozen=True, slots=True)
class CommitReport:
    """`outcomes` in the order of the batch; `errors` by room, for rooms left unsettled."""

    outcomes: tuple[Outcome, ...]
    errors: Mapping[str, StoreError]

    @property
    def away(self) -> StoreAway | None:
        """Set if Redis gave no answer; then every room without an answer is unsettled."""
        return next((one for one in self.errors.values() if isinstance(one, StoreAway)), None)


class Store:
    """One connection pool to Redis. Every method raises StoreAway or StoreError, and nothing
    of redis-py's; `commit` reports them by room instead. Not for use by two threads at once.
    """

    def __init__(self, url: str, password_file: Path | None = None, min_people: int = 0) -> None:
        """`url` as in `redis_client.connect`. In frames with fewer than `min_people` faces
        expressions are not written at all."""
        self._url = url
        self._min_people = min_people
        self._redis = connect(url, password_file)
        script = resources.files("aggregator").joinpath("count_once.lua").read_text("utf-8")
        self._count_once = self._redis.register_script(script)

    def close(self) -> None:
        self._redis.close()

    def check_schema(self) -> None:
        """Claim an empty Redis for this version of the key table.

        Raises SchemaMismatch where another version's data lies.
        """
        ours = redis_keys.SCHEMA_VERSION
        with translated(self._url):
            self._redis.set(redis_keys.SCHEMA, ours, nx=True)
            theirs = self._redis.get(redis_keys.SCHEMA)
        if theirs != ours:
            raise SchemaMismatch(
                f"Redis at {without_password(self._url)} holds version {theirs} of roommood's "
                f"keys; this release writes version {ours}: run the release that wrote them, "
                "or use an empty database (another number at the end of the URL)"
            )

    def commit(self, batch: Sequence[Delivery], now_ms: float) -> CommitReport:
        """Count each result exactly once; one room's failure leaves the others committed.

        Args:
            batch: results of any rooms, in any order, with any number of repeats.
            now_ms: the wall clock, in ms since 1970.
        """
        calls = room_calls(batch, now_ms, self._min_people)
        outcomes = [Outcome.UNSETTLED] * len(batch)
        errors: dict[str, StoreError] = {}
        for call, reply in zip(calls, self._replies(calls), strict=True):
            if isinstance(reply, Exception):
                errors[call.room] = as_store_error(reply, self._url)
                continue
            for place, letter in zip(call.places, reply, strict=True):
                outcomes[place] = _OUTCOMES[letter]
        return CommitReport(tuple(outcomes), errors)

    def touch_rooms(self, last_seen_ms: Mapping[str, float]) -> None:
        """Note when each room was last heard of; never moves back.

        A room that was forgotten since is taken out again: looking for its tombstone after
        writing leaves no moment in which `forget` could be missed.
        """
        if not last_seen_ms:
            return
        seen = {room: round(ms) for room, ms in last_seen_ms.items()}
        with translated(self._url):
            self._redis.zadd(redis_keys.ROOMS, seen, gt=True)
            with self._redis.pipeline(transaction=False) as pipe:
                for room in seen:
                    pipe.get(redis_keys.forgotten(room))
                tombs = zip(seen, pipe.execute(), strict=True)
            gone = [room for room, tomb in tombs if tomb and int(tomb) >= seen[room]]
            if gone:
                self._redis.zrem(redis_keys.ROOMS, *gone)

    def write_health(
        self,
        cameras: Mapping[str, Mapping[str, str | float]],
        workers: Mapping[str, Mapping[str, str | float]],
        now_ms: float,
    ) -> None:
        """Health fields by camera and by worker; each hash gets `updated_ms` and 10 s to live."""
        hashes = {redis_keys.camera(name): fields for name, fields in cameras.items()}
        hashes |= {redis_keys.worker(name): fields for name, fields in workers.items()}
        with translated(self._url), self._redis.pipeline(transaction=False) as pipe:
            for key, fields in hashes.items():
                pipe.hset(key, mapping={**fields, "updated_ms": round(now_ms)})
                pipe.expire(key, redis_keys.HEALTH_TTL_S)
            pipe.execute()

    def write_models(self, models: Iterable[ModelReport]) -> None:
        """Labels, temperature and confusion matrices (`hard:<size>`, `soft:<size>`) as JSON."""
        with translated(self._url), self._redis.pipeline(transaction=False) as pipe:
            for one in models:
                pipe.hset(redis_keys.model(one.model), mapping=_model_fields(one))
            pipe.execute()

    def paused_rooms(self) -> tuple[str, ...]:
        with translated(self._url):
            return tuple(sorted(self._redis.smembers(redis_keys.PAUSED)))

    def pause(self, room: str) -> None:
        with translated(self._url):
            self._redis.sadd(redis_keys.PAUSED, room)

    def resume(self, room: str) -> None:
        with translated(self._url):
            self._redis.srem(redis_keys.PAUSED, room)

    def forget(self, room: str, now_ms: float) -> int:
        """Delete all that is known of a room; returns the number of keys deleted.

        What was captured before `now_ms` and is still on its way is refused for 6 h by a
        tombstone, the only key that stays; a pause stays as well. The seen-bitmaps go before
        the counters: a result counted in between is deleted, never counted a second time.
        """
        tombstone = redis_keys.forgotten(room)
        with translated(self._url):
            self._redis.set(tombstone, round(now_ms), ex=redis_keys.FORGOTTEN_TTL_S)
            deleted = self._delete(redis_keys.seen_of_room(room), keep=())
            kept = (tombstone, redis_keys.seen_prefix(room))
            deleted += self._delete(redis_keys.of_room(room), keep=kept)
            self._redis.zrem(redis_keys.ROOMS, room)
        return deleted

    def _replies(self, calls: Sequence[RoomCall]) -> list[_Reply]:
        """One reply or exception for each call. A Cluster's pipeline takes no scripts."""
        if self._is_cluster():
            return [self._call(call) for call in calls]
        replies = self._pipelined(calls)
        return [
            self._call(call) if _is_no_script(reply) else reply
            for call, reply in zip(calls, replies, strict=True)
        ]

    def _pipelined(self, calls: Sequence[RoomCall]) -> list[_Reply]:
        import redis

        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for call in calls:
                    pipe.evalsha(self._count_once.sha, len(call.keys), *call.keys, call.argument)
                replies: list[_Reply] = pipe.execute(raise_on_error=False)
        except (redis.RedisError, OSError) as error:
            return [error] * len(calls)
        return replies

    def _call(self, call: RoomCall) -> _Reply:
        """One call by itself; loads the script where Redis does not know it."""
        import redis

        try:
            reply: str = self._count_once(keys=call.keys, args=[call.argument])
        except (redis.RedisError, OSError) as error:
            return error
        return reply

    def _is_cluster(self) -> bool:
        from redis.cluster import RedisCluster

        return isinstance(self._redis, RedisCluster)

    def _delete(self, pattern: str, keep: tuple[str, ...]) -> int:
        """Delete keys that match, but not those that begin with one of `keep`."""
        found = self._redis.scan_iter(match=pattern, count=_KEYS_PER_SCAN)
        doomed = (key for key in found if not key.startswith(keep))
        return sum(self._redis.unlink(*keys) for keys in _batches(doomed, _KEYS_PER_SCAN))


def _is_no_script(reply: _Reply) -> bool:
    from redis.exceptions import NoScriptError

    return isinstance(reply, NoScriptError)


def _batches(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for key in keys:
        batch.append(key)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _model_fields(one: ModelReport) -> dict[str, Any]:
    matrices = {
        f"{kind}:{size}": json.dumps(matrix)
        for size, kinds in one.confusion.items()
        for kind, matrix in kinds.items()
    }
    return {"labels": json.dumps(one.labels), "temperature": one.temperature, **matrices}
