"""Which cameras and workers there are, though Redis keeps no list of them."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeVar

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.health import (
    CameraHealth,
    Hash,
    WorkerHealth,
    camera_health,
    worker_health,
    workers_of,
)
from roommood.shared.protocol.names import is_name

# Keys looked at in one call: some milliseconds of Redis and of ours.
_KEYS_A_CALL: Final = 5_000
_KEYS_PER_SCAN: Final = 1_000
# One that was silent for so long is not shown any more; and so many are kept at most.
_REMEMBERED_S: Final = 24 * 3600.0
_MOST: Final = 20_000

_Health = TypeVar("_Health", CameraHealth, WorkerHealth)
_Make = Callable[[str, Hash, float], _Health]


@dataclass(slots=True)
class _Heard:
    """What one said last, and when that was (monotonic; None: not while we listened)."""

    said: Hash = field(default_factory=dict)
    at_s: float | None = None
    noted_s: float = 0.0


class Inventory:
    """Asks all of which it has learned how they are.

    Names come from the rooms' live hashes and from cameras' own hashes at once, and from a walk
    through all keys in small steps. One whose hash has gone stays, with what it said last, for a
    day. Errors of redis-py are passed on.
    """

    def __init__(self, redis: Any, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._clock_s = clock_s
        self._cameras: dict[str, _Heard] = {}
        self._workers: dict[str, _Heard] = {}
        self._walk: Iterator[str] | None = None

    def take(self, cameras: Iterable[str]) -> tuple[list[CameraHealth], list[WorkerHealth]]:
        """Health of all, by name; `cameras` are names that are known from elsewhere."""
        self._note(self._cameras, cameras)
        self._walk_on()
        self._ask(self._cameras, redis_keys.camera)
        for heard in self._cameras.values():
            self._note(self._workers, workers_of(heard.said))
        self._ask(self._workers, redis_keys.worker)
        return (
            list(self._health(self._cameras, camera_health)),
            list(self._health(self._workers, worker_health)),
        )

    def _walk_on(self) -> None:
        if self._walk is None:
            pattern, count = redis_keys.EVERYTHING, _KEYS_PER_SCAN
            self._walk = iter(self._redis.scan_iter(match=pattern, count=count))
        walk, self._walk = self._walk, None  # a walk that fails begins anew
        keys = list(islice(walk, _KEYS_A_CALL))
        self._note(self._cameras, filter(None, map(redis_keys.camera_of, keys)))
        self._note(self._workers, filter(None, map(redis_keys.worker_of, keys)))
        if len(keys) == _KEYS_A_CALL:
            self._walk = walk

    def _note(self, known: dict[str, _Heard], names: Iterable[str]) -> None:
        for name in names:
            if name not in known and is_name(name) and len(known) < _MOST:
                known[name] = _Heard(noted_s=self._clock_s())

    def _ask(self, known: dict[str, _Heard], key: Callable[[str], str]) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for name in known:
                pipe.hgetall(key(name))
            hashes = pipe.execute()
        now_s = self._clock_s()
        for heard, said in zip(known.values(), hashes, strict=True):
            if said:
                heard.said, heard.at_s = said, now_s
        for name in [name for name, heard in known.items() if _is_old(heard, now_s)]:
            del known[name]

    def _health(self, known: Mapping[str, _Heard], make: _Make[_Health]) -> Iterator[_Health]:
        now_s = self._clock_s()
        for name in sorted(known):
            heard = known[name]
            yield make(name, heard.said, now_s - _last(heard))


def _last(heard: _Heard) -> float:
    return heard.noted_s if heard.at_s is None else heard.at_s


def _is_old(heard: _Heard, now_s: float) -> bool:
    return now_s - _last(heard) > _REMEMBERED_S
