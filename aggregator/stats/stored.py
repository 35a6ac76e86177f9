"""Counters, matrices and views of rooms as they lie in Redis, whichever shard keeps them."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.keys import Resolution
from roommood.aggregator.redis.servers import Command, Servers, raise_first
from roommood.aggregator.stats.correction import matrices
from roommood.aggregator.stats.figures import Counters, Matrices, add_up, models_of
from roommood.aggregator.stats.live import is_alive
from roommood.shared.errors import KeyDamaged, StoreError
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.shared.protocol.names import is_name

# Buckets read at a time.
READ_AT_ONCE: Final = 500


class StoredCounters:
    """Reads them; every method raises StoreError."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def sums(
        self, rooms: Sequence[str], resolution: Resolution, steps: Sequence[range]
    ) -> list[list[Counters] | None]:
        """By room, the counters of each step added up; None where its node gives no answer, or one
        of them is damaged."""
        keys = [
            redis_keys.bucket(room, resolution, start)
            for room in rooms
            for step in steps
            for start in step
        ]
        hashes = iter(self._counters(keys))
        each = [[list(islice(hashes, len(step))) for step in steps] for _ in rooms]
        return [_added(of_room) for of_room in each]

    def last_seen_ms(self, now_ms: float) -> dict[str, float]:
        """By room, when its last result came (ms since 1970); `now_ms` is this machine's clock.

        None is in the future, as a clock that was ahead leaves it. Where this machine's is behind,
        Redis' own says what that is, if this login may ask for it.
        """
        lists = self._servers.from_copies(
            redis_keys.ROOMS, lambda client, key: client.zrange(key, 0, -1, withscores=True)
        )
        newest: dict[str, float] = {}
        for room, ms in (pair for known in lists for pair in known if is_name(pair[0])):
            newest[room] = max(ms, newest.get(room, 0.0))
        if max(newest.values(), default=0.0) > now_ms:
            now_ms = max(now_ms, self._redis_ms())
        return {room: min(ms, now_ms) for room, ms in newest.items()}

    def _redis_ms(self) -> float:
        try:
            seconds, microseconds = self._servers.of_each(lambda client: client.time())[0]
        except StoreError:
            return 0.0
        return float(seconds * 1000 + microseconds / 1000)

    def rooms_apart(self) -> set[str]:
        """Rooms whose cameras see different people."""
        views = self.set_for_rooms(redis_keys.VIEWS)
        return {room for room, how in views.items() if how == redis_keys.APART}

    def set_for_rooms(self, table: str) -> dict[str, str]:
        """By room, what is set for it: views, groups, quiet hours."""
        answers = self._servers.from_copies(table, hgetall)
        return {room: plain(value) for of_rooms in answers for room, value in of_rooms.items()}

    def listed(self, index: str) -> frozenset[str]:
        """The members of a set of all rooms or cameras."""
        answers = self._servers.from_copies(index, lambda client, key: client.smembers(key))
        return frozenset[str]().union(*answers)

    def buckets(
        self, room: str, resolution: Resolution, starts_s: Iterable[int]
    ) -> list[Mapping[str, str]]:
        keys = [redis_keys.bucket(room, resolution, start) for start in starts_s]
        answers = self._counters(keys)
        raise_first(answers)
        return answers

    def _read(self, keys: Sequence[str]) -> list[Any]:
        """Hashes; ShardAway in the place of those that a lost node keeps, KeyDamaged of others."""
        answers: list[Any] = []
        for first in range(0, len(keys), READ_AT_ONCE):
            some = keys[first : first + READ_AT_ONCE]
            answers += self._servers.ask_living([Command(key, hgetall) for key in some])
        return answers

    def _counters(self, keys: Sequence[str]) -> list[Any]:
        """The same, where all values are whole numbers."""
        return [
            _damaged(key, answer) or answer
            for key, answer in zip(keys, self._read(keys), strict=True)
        ]

    def matrices_of(self, rows: Iterable[Counters]) -> Matrices:
        """Those of every model that counted in these rows, none of a model whose node is lost."""
        models = sorted(set[str]().union(*map(models_of, rows)))
        answers = self._read([redis_keys.model(model) for model in models])
        pairs = zip(models, answers, strict=True)
        return {
            model: {} if isinstance(answer, StoreError) else matrices(answer)
            for model, answer in pairs
        }


def plain(text: str) -> str:
    """As it may stand in a terminal, whoever wrote it."""
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


def _damaged(key: str, answer: Any) -> KeyDamaged | None:
    if isinstance(answer, StoreError):
        return None
    if all(map(str.isdecimal, answer.values())) and all(map(_is_counter, answer)):
        return None
    field, value = next(
        pair for pair in answer.items() if not (pair[1].isdecimal() and _is_counter(pair[0]))
    )
    return KeyDamaged(
        f"{key} in Redis is damaged ({field[:80]!r} is {value[:40]!r}, no counter of microseconds "
        "or frames): HDEL of that field, or DEL of the key, mends it"
    )


@functools.lru_cache(maxsize=4_096)
def _is_counter(field: str) -> bool:
    """Whether it may stand in a bucket, see `redis.keys`; a newer release has other kinds."""
    kind, *rest = field.split(":")
    if kind in redis_keys.CAMERA_FIELDS:
        return len(rest) == 1 and is_name(rest[0])
    return kind not in ("us", "label_us") or (len(rest) == 3 and rest[2] in EXPRESSIONS)


def hgetall(client: Any, key: str) -> Any:
    return client.hgetall(key)


def pttl(client: Any, key: str) -> Any:
    return client.pttl(key)


def _added(steps: Sequence[Sequence[Any]]) -> list[Counters] | None:
    if any(isinstance(bucket, StoreError) for step in steps for bucket in step):
        return None
    return [add_up(step) for step in steps]


def state_of(source: Any, ttl_ms: Any) -> str:
    """How a camera is, by what its hash says of its source."""
    if isinstance(source, StoreError) or isinstance(ttl_ms, StoreError):
        return "unknown"
    return plain(source) if source and is_alive(ttl_ms, redis_keys.HEALTH_TTL_S) else "silent"
