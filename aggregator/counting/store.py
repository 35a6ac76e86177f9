"""Writing to Redis what was counted and is known: results, health, models; what is forgotten.

A result counts as committed only when Redis has said so. When the connection breaks before
the answer, nobody knows; the result then stays unacknowledged and is sent again, and if it
had been counted the script finds its bit set. That is why nothing here is retried.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

from roommood.aggregator.counting.buckets import Delivery, RoomCall, room_calls
from roommood.aggregator.counting.full_memory import SET
from roommood.aggregator.counting.health_fields import absent_matrices, model_fields
from roommood.aggregator.counting.memory_watch import RedisMemory
from roommood.aggregator.counting.operator_settings import OperatorSettings
from roommood.aggregator.counting.outcomes import OUTCOME_OF, CommitReport, Outcome
from roommood.aggregator.counting.rights import all_that_counting_takes
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.failures import as_store_error, translated
from roommood.aggregator.redis.servers import Command, ScriptCall, Servers, raise_first
from roommood.aggregator.redis.url import without_password
from roommood.shared.errors import SchemaMismatch, StoreAway, StoreError, StoreRefuses
from roommood.shared.protocol.messages import ModelReport

_PRUNE_EVERY_MS: Final = 60_000


class Store(OperatorSettings):
    """Connections to Redis, made when first used. Every method raises StoreError or one of its
    kinds, and nothing of redis-py's; `commit` reports them by room instead. Not for use by two
    threads at once.
    """

    def __init__(self, url: str, password_file: Path | None = None, min_people: int = 0) -> None:
        """`url` as in `redis.url`. In frames with fewer than `min_people` faces expressions are
        not written at all."""
        super().__init__(Servers(url, password_file))
        self._min_people = min_people
        self._script = resources.files(__package__).joinpath("count_once.lua").read_text("utf-8")
        self._digest = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._rooms_are_copied = not self._servers.is_cluster
        self._pruned_ms = 0.0
        self._claims = 0

    @property
    def shards_away(self) -> frozenset[str]:
        """Nodes of a Cluster, as host:port, that gave no answer when last tried."""
        return self._servers.away

    def check_schema(self) -> None:
        """Claim an empty Redis for this version of the key table.

        Raises SchemaMismatch where another version's data lies.
        """
        ours = redis_keys.SCHEMA_VERSION
        replies = self._schema_of_each_copy(ours)
        if ours in replies and None not in replies:
            return
        claimed = self._servers.on_copies(
            redis_keys.SCHEMA, lambda client, key: client.set(key, ours, nx=True)
        )
        if ours not in replies:
            raise_first([replies[0], *claimed])
            self._claims += 1
        self._schema_of_each_copy(ours)

    def origin(self) -> str:
        """Another one when another Redis answers, or was found to have been emptied."""
        try:
            each = () if self._servers.is_cluster else self._servers.of_each(_run_id)
        except StoreRefuses:
            each = ()
        return f"{self._claims} {each}"

    def try_rights(self) -> None:
        """Does once, with keys that are gone at once, all that counting takes. Raises StoreRefuses,
        which names the command, where this login or this Redis does not allow it."""
        for reply in self._servers.ask([*all_that_counting_takes(self._digest)]):
            if isinstance(reply, StoreAway | StoreRefuses):
                raise reply

    def _schema_of_each_copy(self, ours: str) -> list[Any]:
        replies = self._servers.on_copies(redis_keys.SCHEMA, lambda client, key: client.get(key))
        for theirs in {reply for reply in replies if isinstance(reply, str)} - {ours}:
            raise SchemaMismatch(
                f"Redis at {without_password(self._servers.url)} holds version {theirs} of "
                f"roommood's keys; this release writes version {ours}: run the release that wrote "
                "them, or use an empty database (another number at the end of the URL)"
            )
        return replies

    # Results

    def commit(self, batch: Sequence[Delivery], now_ms: float) -> CommitReport:
        """Count each result exactly once; one room's failure leaves the others committed.

        Args:
            batch: results of any rooms, in any order, with any number of repeats.
            now_ms: the wall clock, in ms since 1970.
        """
        calls = room_calls(batch, now_ms, self._min_people)
        outcomes = [Outcome.UNSETTLED] * len(batch)
        errors: dict[str, StoreError] = {}
        replies = self._servers.run_script([self._script_call(call) for call in calls])
        for call, reply in zip(calls, replies, strict=True):
            if isinstance(reply, StoreError):
                errors[call.room] = reply
                continue
            for place, letter in zip(call.places, reply, strict=True):
                outcomes[place] = OUTCOME_OF[letter]
        return CommitReport(tuple(outcomes), errors)

    def _script_call(self, call: RoomCall) -> ScriptCall:
        keys, argument = call.keys, call.argument
        script, digest = self._script, self._digest
        return ScriptCall(
            Command(keys[0], lambda client, _: client.evalsha(digest, len(keys), *keys, argument)),
            Command(keys[0], lambda client, _: client.eval(script, len(keys), *keys, argument)),
        )

    # Which rooms, cameras and workers there are

    def touch_rooms(self, last_seen_ms: Mapping[str, float]) -> None:
        """Note when each room was last heard of; never moves back.

        A room that was forgotten since stays out. Its tombstone is looked for before writing, and
        after it too: then there is no moment in which `forget` could be missed. What lies on a
        Cluster's shard that is away is raised after the rest is written.
        """
        seen = {**self._rooms_to_copy(), **{room: round(ms) for room, ms in last_seen_ms.items()}}
        if not seen:
            return
        tombs, errors = self._tombstones(seen)
        living = {room: seen[room] for room, tomb_ms in tombs.items() if tomb_ms < seen[room]}
        errors += self._servers.ask(self._ranking(redis_keys.ROOMS, living))
        tombs, _ = self._tombstones(living)
        gone = [room for room, tomb_ms in tombs.items() if tomb_ms >= living[room]]
        errors += self._drop(redis_keys.ROOMS, gone)
        raise_first(errors)
        self._rooms_are_copied = True

    def rooms(self) -> list[str]:
        """Those of which something was counted."""
        lists = self._servers.from_copies(
            redis_keys.ROOMS, lambda client, key: client.zrange(key, 0, -1)
        )
        return sorted(set[str]().union(*lists))

    def end_futures(self, now_ms: float) -> None:
        """Rooms that were last seen in the future become last seen now: a clock that was ahead and
        was set back has left them so, and until then `touch_rooms` would change nothing."""
        ahead_ms, now = round(now_ms) + redis_keys.AHEAD_MS, round(now_ms)
        lists = self._servers.from_copies(
            redis_keys.ROOMS, lambda client, key: client.zrangebyscore(key, ahead_ms, "+inf")
        )
        at_most = dict.fromkeys(set[str]().union(*lists), now)
        if at_most:
            raise_first(
                self._servers.on_copies(
                    redis_keys.ROOMS,
                    lambda client, key: client.zadd(key, at_most, xx=True, lt=True),
                )
            )

    def _rooms_to_copy(self) -> dict[str, int]:
        """In a Cluster, once: rooms that a release without copies of the list has noted."""
        if self._rooms_are_copied:
            return {}
        replies = self._servers.on_copies(
            redis_keys.ROOMS, lambda client, key: client.zrange(key, 0, -1, withscores=True)
        )
        lists = (reply for reply in replies if not isinstance(reply, StoreError))
        return {room: round(ms) for known in lists for room, ms in known}

    def _tombstones(self, rooms: Collection[str]) -> tuple[dict[str, int], list[Any]]:
        """When rooms were last forgotten (ms; -1: never) as far as Redis answers; what it did not
        answer."""
        replies = self._servers.ask(
            [Command(redis_keys.forgotten(room), lambda client, key: client.get(key))
             for room in rooms]
        )  # fmt: skip
        errors = [reply for reply in replies if isinstance(reply, StoreError)]
        tombs = zip(rooms, replies, strict=True)
        known = {room: tomb for room, tomb in tombs if not isinstance(tomb, StoreError)}
        return {room: int(tomb) if tomb else -1 for room, tomb in known.items()}, errors

    def _ranking(self, index: str, at_ms: Mapping[str, int]) -> list[Command]:
        """What notes in an index when each name was last heard of; it never moves back."""
        if not at_ms:
            return []
        scores = dict(at_ms)
        return self._servers.of_copies(index, lambda client, key: client.zadd(key, scores, gt=True))

    def _drop(self, index: str, names: Collection[str]) -> list[Any]:
        if not names:
            return []
        return self._servers.on_copies(index, lambda client, key: client.zrem(key, *names))

    # Health and models

    def write_health(
        self,
        cameras: Mapping[str, Mapping[str, str | float]],
        workers: Mapping[str, Mapping[str, str | float]],
        now_ms: float,
    ) -> None:
        """Health fields by camera and by worker; each hash gets `updated_ms` and 10 s to live.

        What one key refuses keeps none of the others from being written; it is raised after.
        """
        hashes = {redis_keys.camera(name): fields for name, fields in cameras.items()}
        hashes |= {redis_keys.worker(name): fields for name, fields in workers.items()}
        stamp = {"updated_ms": round(now_ms)}
        commands = [
            command
            for key, fields in hashes.items()
            for command in _expiring(key, {**fields, **stamp})
        ]
        commands += self._ranking(redis_keys.CAMERAS, dict.fromkeys(cameras, round(now_ms)))
        commands += self._ranking(redis_keys.WORKERS, dict.fromkeys(workers, round(now_ms)))
        errors = self._servers.ask(commands)
        inside = (answer for reply in errors if isinstance(reply, list) for answer in reply)
        errors += [
            as_store_error(answer, self._servers.url)
            for answer in inside
            if isinstance(answer, Exception)
        ]
        if abs(now_ms - self._pruned_ms) > _PRUNE_EVERY_MS:
            errors += self._prune(redis_keys.CAMERAS, now_ms)
            errors += self._prune(redis_keys.WORKERS, now_ms)
            self._pruned_ms = now_ms
        raise_first(errors)

    def _prune(self, index: str, now_ms: float) -> list[Any]:
        """Those not heard of for a day leave an index, and the oldest beyond the most it holds."""
        oldest_ms = round(now_ms) - redis_keys.INDEX_KEEP_S * 1000
        beyond = -1 - redis_keys.INDEX_MOST
        silent = self._servers.on_copies(
            index, lambda client, key: client.zrangebyscore(key, 0, oldest_ms)
        )
        oldest = self._servers.on_copies(index, lambda client, key: client.zrange(key, 0, beyond))
        lists = (answer for answer in (*silent, *oldest) if not isinstance(answer, StoreError))
        return self._drop(index, {name for names in lists for name in names})

    def write_models(self, models: Iterable[ModelReport]) -> None:
        """Labels, temperature and confusion matrices (`hard:<size>`, `soft:<size>`) as JSON, in the
        place of what an earlier model of that name had."""
        self._servers.demand([command for model in models for command in _of_model(model)])

    # What is to go

    def forget(self, room: str, before_ms: float | None = None) -> int:
        """Delete all that is known of a room; returns the number of keys deleted.

        What was captured before `before_ms` (ms since 1970; None: now, by Redis' clock, since
        whoever forgets may have a wrong one) and is still on its way is refused for 6 h by a
        tombstone, the only key that stays; a pause stays as well. The seen-bitmaps go before
        the counters: a result counted in between is deleted, never counted a second time.

        It walks through all keys, since no index tells of what an older release wrote.
        """
        tombstone, ttl_s = redis_keys.forgotten(room), redis_keys.FORGOTTEN_TTL_S
        end_ms = round(self._redis_clock_ms(tombstone) if before_ms is None else before_ms)
        self._servers.demand(
            [Command(tombstone, lambda client, key: client.eval(SET, 1, key, end_ms, ttl_s))]
        )
        bitmaps = self._delete(redis_keys.seen_of_room(room), keep=())
        others = self._delete(
            redis_keys.of_room(room), keep=(tombstone, redis_keys.seen_prefix(room))
        )
        raise_first(self._drop(redis_keys.CAMERAS, {redis_keys.camera_of(key) for key in bitmaps}))
        raise_first(self._drop(redis_keys.ROOMS, [room]))
        return len(bitmaps) + len(others)

    def clock_ms(self) -> float:
        """The wall clock of Redis, in ms since 1970; of a Cluster that of one of its servers."""
        with translated(self._servers.url):
            return _clock_ms(self._servers.any_client())

    def memory(self) -> RedisMemory:
        """Of the server; of a Cluster that of the shard that may evict, or with the least room.

        Zeros where our rights do not allow to ask.
        """
        try:
            each = self._servers.of_each(lambda client: client.info("memory"))
        except StoreRefuses:
            return RedisMemory(0, 0)
        return max(map(RedisMemory.of, each), key=lambda memory: (memory.may_evict, memory.share))

    def warn(self, warning: str) -> None:
        """What whoever looks at the page should know of Redis, for a minute; "" takes it back."""
        ttl_s = redis_keys.WARNING_TTL_S

        def call(client: Any, key: str) -> Any:
            if not warning:
                return client.unlink(key)
            return client.eval(SET, 1, key, warning, ttl_s)

        raise_first(self._servers.on_copies(redis_keys.WARNING, call))

    def _redis_clock_ms(self, key: str) -> float:
        """The wall clock of the server that keeps a key, in ms since 1970."""
        with translated(self._servers.url):
            return _clock_ms(self._servers.client_of(key))

    def _delete(self, pattern: str, keep: tuple[str, ...]) -> list[str]:
        """Deletes the keys of one room that match, but not those that begin with one of `keep`."""
        deleted: list[str] = []
        for keys in self._servers.walk(pattern):
            doomed = [key for key in keys if not key.startswith(keep)]
            if doomed:
                self._servers.demand([_unlink(doomed)])
                deleted += doomed
        return deleted


def _expiring(key: str, fields: Mapping[str, str | float]) -> Iterator[Command]:
    """A hash that lives 10 s: both at once, so that none is left behind without an end. Each in a
    transaction of its own, since the keys of a Cluster's transaction lie in one slot."""
    yield Command(key, lambda client, _: client.execute_command("MULTI"))
    yield Command(key, lambda client, key: client.hset(key, mapping=fields))
    yield Command(key, lambda client, key: client.expire(key, redis_keys.HEALTH_TTL_S))
    yield Command(key, lambda client, _: client.execute_command("EXEC"))


def _unlink(keys: Sequence[str]) -> Command:
    return Command(keys[0], lambda client, _: client.unlink(*keys))


def _run_id(client: Any) -> Any:
    return client.info("server").get("run_id")


def _clock_ms(client: Any) -> float:
    seconds, microseconds = client.time()
    return float(seconds * 1000 + microseconds / 1000)


def _of_model(model: ModelReport) -> Iterator[Command]:
    fields = model_fields(model)
    key = redis_keys.model(model.model)
    yield Command(key, lambda client, key: client.hset(key, mapping=fields))
    if absent := absent_matrices(fields):
        yield Command(key, lambda client, key: client.hdel(key, *absent))
    yield Command(key, lambda client, key: client.expire(key, redis_keys.MODEL_TTL_S))
