"""Which cameras and workers there are, by their indexes, and what each said last."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.servers import Command, Servers
from roommood.aggregator.stats.health import (
    CameraHealth,
    Hash,
    WorkerHealth,
    camera_health,
    worker_health,
    workers_of,
)
from roommood.aggregator.stats.live import is_alive
from roommood.aggregator.stats.stored import hgetall, pttl
from roommood.shared.errors import StoreError
from roommood.shared.protocol.names import is_name

# One that was silent for so long is not shown any more; and so many are kept at most.
_REMEMBERED_S: Final = 24 * 3600.0
_MOST: Final = 20_000

_Health = TypeVar("_Health", CameraHealth, WorkerHealth)
_Make = Callable[[str, Hash, float], _Health]


@dataclass(slots=True)
class _Heard:
    """What one said last, and when that was (monotonic; None: not while we listened). `away` while
    the Redis node that keeps it gives no answer."""

    fields: Hash = field(default_factory=dict)
    at_s: float | None = None
    noted_s: float = 0.0
    away: bool = False


class Inventory:
    """Asks all of which it has learned how they are.

    Names come from the indexes, from the rooms' live hashes and from cameras' own hashes. One whose
    hash has gone stays, with what it said last, for a day. One that a lost node of a Redis Cluster
    keeps is left out: it may be well. So is one whose key is damaged. Raises StoreError.
    """

    def __init__(self, servers: Servers, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._servers = servers
        self._clock_s = clock_s
        self._cameras: dict[str, _Heard] = {}
        self._workers: dict[str, _Heard] = {}

    def take(self, cameras: Iterable[str]) -> tuple[list[CameraHealth], list[WorkerHealth]]:
        """Health of all, by name; `cameras` are names that are known from elsewhere."""
        self._note(self._cameras, cameras)
        self._note(self._cameras, self._indexed(redis_keys.CAMERAS))
        self._note(self._workers, self._indexed(redis_keys.WORKERS))
        self._ask(self._cameras, redis_keys.camera)
        for heard in self._cameras.values():
            self._note(self._workers, workers_of(heard.fields))
        self._ask(self._workers, redis_keys.worker)
        return (
            list(self._health(self._cameras, camera_health)),
            list(self._health(self._workers, worker_health)),
        )

    def _indexed(self, index: str) -> set[str]:
        lists = self._servers.from_copies(index, lambda client, key: client.zrange(key, 0, -1))
        return set[str]().union(*lists)

    def _note(self, known: dict[str, _Heard], names: Iterable[str]) -> None:
        for name in names:
            if name not in known and is_name(name) and len(known) < _MOST:
                known[name] = _Heard(noted_s=self._clock_s())

    def _ask(self, known: dict[str, _Heard], key: Callable[[str], str]) -> None:
        replies = self._servers.ask_living(
            [Command(key(name), call) for name in known for call in (hgetall, pttl)]
        )
        now_s = self._clock_s()
        for heard, fields, ttl_ms in zip(known.values(), replies[::2], replies[1::2], strict=True):
            heard.away = isinstance(fields, StoreError) or isinstance(ttl_ms, StoreError)
            if not heard.away and fields and is_alive(ttl_ms, redis_keys.HEALTH_TTL_S):
                heard.fields = fields
                heard.at_s = now_s - max(0.0, redis_keys.HEALTH_TTL_S - ttl_ms / 1000)
        for name in [name for name, heard in known.items() if _is_old(heard, now_s)]:
            del known[name]

    def _health(self, known: Mapping[str, _Heard], make: _Make[_Health]) -> Iterator[_Health]:
        now_s = self._clock_s()
        for name in sorted(known):
            heard = known[name]
            if heard.away:
                continue
            yield make(name, heard.fields, now_s - _last(heard))


def _last(heard: _Heard) -> float:
    return heard.noted_s if heard.at_s is None else heard.at_s


def _is_old(heard: _Heard, now_s: float) -> bool:
    return now_s - _last(heard) > _REMEMBERED_S
