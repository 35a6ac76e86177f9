"""Writing to Redis: the only module that does. Results, health, models, and a room's wishes.

A result counts as committed only when Redis has said so. When the connection breaks before
the answer, nobody knows; the result then stays unacknowledged and is sent again, and if it
had been counted the script finds its bit set. That is why nothing here is retried.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, Final

from roommood.aggregator.counting.buckets import Delivery, RoomCall, room_calls
from roommood.aggregator.counting.memory_watch import RedisMemory
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.client import (
    as_store_error,
    failures,
    is_cluster,
    translated,
    without_password,
)
from roommood.aggregator.redis.servers import Reply, Servers
from roommood.shared.errors import SchemaMismatch, ShardAway, StoreAway, StoreError, StoreRefuses
from roommood.shared.protocol.messages import ModelReport

_KEYS_PER_SCAN: Final = 500
# What protects or frees must work while Redis' memory is full. Redis then refuses what may take
# memory, but in a script only before its first write: so each begins with a write that takes none.
_PAUSE: Final = """
redis.call('SREM', KEYS[1], ARGV[1])
return redis.call('SADD', KEYS[1], ARGV[1])
"""
_TOMBSTONE: Final = """
redis.call('UNLINK', KEYS[1])
return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
"""


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
    def away(self) -> StoreAway | StoreRefuses | None:
        """Set if Redis gave no answer, or takes nothing: every room without an answer is unsettled.

        Not set as long as any shard of a Cluster may answer.
        """
        away = (one for one in self.errors.values() if isinstance(one, StoreAway | StoreRefuses))
        return next((one for one in away if not isinstance(one, ShardAway)), None)


class Store:
    """Connections to Redis, made when first used. Every method raises StoreError or one of its
    kinds, and nothing of redis-py's; `commit` reports them by room instead. Not for use by two
    threads at once.
    """

    def __init__(self, url: str, password_file: Path | None = None, min_people: int = 0) -> None:
        """`url` as in `redis_client.connect`. In frames with fewer than `min_people` faces
        expressions are not written at all."""
        self._url = url
        self._servers = Servers(url, password_file)
        self._min_people = min_people
        self._script = resources.files(__package__).joinpath("count_once.lua").read_text("utf-8")
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    @property
    def _redis(self) -> Any:
        return self._servers.client

    def close(self) -> None:
        self._servers.close()

    def check_schema(self) -> None:
        """Claim an empty Redis for this version of the key table.

        Raises SchemaMismatch where another version's data lies.
        """
        ours = redis_keys.SCHEMA_VERSION
        with translated(self._url):
            theirs = self._redis.get(redis_keys.SCHEMA)
            if theirs is None:
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
        replies = self._servers.replies(calls, self._pipelined)
        for call, reply in zip(calls, replies, strict=True):
            if isinstance(reply, Exception):
                errors[call.room] = as_store_error(reply, self._url)
                continue
            for place, letter in zip(call.places, reply, strict=True):
                outcomes[place] = _OUTCOMES[letter]
        return CommitReport(tuple(outcomes), errors)

    def touch_rooms(self, last_seen_ms: Mapping[str, float]) -> None:
        """Note when each room was last heard of; never moves back.

        A room that was forgotten since stays out. Its tombstone is looked for before writing, and
        after it too: then there is no moment in which `forget` could be missed.
        """
        seen = {room: round(ms) for room, ms in last_seen_ms.items()}
        with translated(self._url):
            gone = self._forgotten_since(seen)
            seen = {room: ms for room, ms in seen.items() if room not in gone}
            if not seen:
                return
            self._redis.zadd(redis_keys.ROOMS, seen, gt=True)
            gone = self._forgotten_since(seen)
            if gone:
                self._redis.zrem(redis_keys.ROOMS, *gone)

    def rooms(self) -> list[str]:
        """Those of which something was counted."""
        with translated(self._url):
            return [str(room) for room in self._redis.zrange(redis_keys.ROOMS, 0, -1)]

    def _forgotten_since(self, seen: Mapping[str, int]) -> list[str]:
        """The rooms with a tombstone not older than when they were seen (ms)."""
        if not seen:
            return []
        with self._redis.pipeline(transaction=False) as pipe:
            for room in seen:
                pipe.get(redis_keys.forgotten(room))
            tombs = zip(seen, pipe.execute(), strict=True)
        return [room for room, tomb in tombs if tomb and int(tomb) >= seen[room]]

    def write_health(
        self,
        cameras: Mapping[str, Mapping[str, str | float]],
        workers: Mapping[str, Mapping[str, str | float]],
        now_ms: float,
    ) -> None:
        """Health fields by camera and by worker; each hash gets `updated_ms` and 10 s to live.

        Both at once, so that none is left behind without an end. What one key refuses keeps none
        of the others from being written; it is raised after.
        """
        hashes = {redis_keys.camera(name): fields for name, fields in cameras.items()}
        hashes |= {redis_keys.worker(name): fields for name, fields in workers.items()}
        stamped = {key: {**fields, "updated_ms": round(now_ms)} for key, fields in hashes.items()}
        with translated(self._url):
            errors = [
                error
                for client, keys in self._servers.keeping(stamped)
                for error in _write_expiring(client, {key: stamped[key] for key in keys})
            ]
            if errors:
                raise errors[0]

    def write_models(self, models: Iterable[ModelReport]) -> None:
        """Labels, temperature and confusion matrices (`hard:<size>`, `soft:<size>`) as JSON."""
        with translated(self._url), self._redis.pipeline(transaction=False) as pipe:
            for one in models:
                pipe.hset(redis_keys.model(one.model), mapping=_model_fields(one))
                pipe.expire(redis_keys.model(one.model), redis_keys.MODEL_TTL_S)
            pipe.execute()

    def paused_rooms(self) -> tuple[str, ...]:
        with translated(self._url):
            return tuple(sorted(self._redis.smembers(redis_keys.PAUSED)))

    def pause(self, room: str) -> None:
        from redis.exceptions import OutOfMemoryError

        with translated(self._url):
            try:
                self._redis.sadd(redis_keys.PAUSED, room)
            except OutOfMemoryError:
                self._redis.eval(_PAUSE, 1, redis_keys.PAUSED, room)

    def resume(self, room: str) -> None:
        with translated(self._url):
            self._redis.srem(redis_keys.PAUSED, room)

    def set_views(self, room: str, apart: bool) -> None:
        """Whether a room's cameras see different people, so that their counts add up."""
        with translated(self._url):
            if apart:
                self._redis.hset(redis_keys.VIEWS, room, redis_keys.APART)
            else:
                self._redis.hdel(redis_keys.VIEWS, room)

    def forget(self, room: str, before_ms: float | None = None) -> int:
        """Delete all that is known of a room; returns the number of keys deleted.

        What was captured before `before_ms` (ms since 1970; None: now, by Redis' clock, since
        whoever forgets may have a wrong one) and is still on its way is refused for 6 h by a
        tombstone, the only key that stays; a pause stays as well. The seen-bitmaps go before
        the counters: a result counted in between is deleted, never counted a second time.
        """
        tombstone = redis_keys.forgotten(room)
        with translated(self._url):
            end_ms = self._redis_clock_ms(tombstone) if before_ms is None else before_ms
            ttl_s = redis_keys.FORGOTTEN_TTL_S
            self._redis.eval(_TOMBSTONE, 1, tombstone, round(end_ms), ttl_s)
            deleted = self._delete(redis_keys.seen_of_room(room), keep=())
            kept = (tombstone, redis_keys.seen_prefix(room))
            deleted += self._delete(redis_keys.of_room(room), keep=kept)
            self._redis.zrem(redis_keys.ROOMS, room)
        return deleted

    def clock_ms(self) -> float:
        """The wall clock of Redis, in ms since 1970; of a Cluster that of one of its servers."""
        with translated(self._url):
            return self._redis_clock_ms(redis_keys.SCHEMA)

    def memory(self) -> RedisMemory:
        """Of the server; of a Cluster that of the shard with the least room."""
        with translated(self._url):
            told = self._redis.info("memory")
        each = told.values() if is_cluster(self._url) else [told]
        servers = [RedisMemory(int(one["used_memory"]), int(one["maxmemory"])) for one in each]
        return max(servers, key=lambda one: one.share)

    def _redis_clock_ms(self, key: str) -> float:
        """The wall clock of the server that keeps a key, in ms since 1970."""
        ((client, _),) = self._servers.keeping([key])
        seconds, microseconds = client.time()
        return float(seconds * 1000 + microseconds / 1000)

    def _pipelined(self, client: Any, calls: Sequence[RoomCall]) -> list[Reply]:
        """All in one round trip to one server; alone again what it could not run that way."""
        try:
            with client.pipeline(transaction=False) as pipe:
                for call in calls:
                    pipe.evalsha(self._sha, len(call.keys), *call.keys, call.argument)
                replies: list[Reply] = pipe.execute(raise_on_error=False)
        except failures() as error:
            return [error] * len(calls)
        return [
            self._call(call) if _is_to_be_repeated(reply) else reply
            for call, reply in zip(calls, replies, strict=True)
        ]

    def _call(self, call: RoomCall) -> Reply:
        """One call by itself, with the whole script, to whichever server keeps the room now."""
        try:
            reply: str = self._redis.eval(self._script, len(call.keys), *call.keys, call.argument)
        except failures() as error:
            return error
        return reply

    @property
    def shards_away(self) -> frozenset[str]:
        """Nodes of a Cluster, as host:port, that gave no answer when last tried."""
        return self._servers.away

    def _delete(self, pattern: str, keep: tuple[str, ...]) -> int:
        """Delete keys that match, but not those that begin with one of `keep`."""
        found = self._redis.scan_iter(match=pattern, count=_KEYS_PER_SCAN)
        doomed = (key for key in found if not key.startswith(keep))
        return sum(self._redis.unlink(*keys) for keys in _batches(doomed, _KEYS_PER_SCAN))


def _write_expiring(
    client: Any, hashes: Mapping[str, Mapping[str, str | float]]
) -> list[Exception]:
    """Writes hashes that live 10 s to one server, each in a transaction of its own, since the
    keys of a Cluster's transaction lie in one slot. Returns what was refused."""
    with client.pipeline(transaction=False) as pipe:
        for key, fields in hashes.items():
            pipe.execute_command("MULTI")
            pipe.hset(key, mapping=fields)
            pipe.expire(key, redis_keys.HEALTH_TTL_S)
            pipe.execute_command("EXEC")
        try:
            replies = pipe.execute(raise_on_error=False)
        except failures() as error:
            return [error]
    inside = (one for reply in replies if isinstance(reply, list) for one in reply)
    return [one for one in (*replies, *inside) if isinstance(one, Exception)]


def _is_to_be_repeated(reply: Reply) -> bool:
    """Redis does not know the script yet, or the room has moved or moves to another shard."""
    from redis.exceptions import AskError, NoScriptError, TryAgainError

    return isinstance(reply, NoScriptError | AskError | TryAgainError)


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
