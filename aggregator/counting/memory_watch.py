"""Tells that Redis' memory is nearly full, before it is, and that Redis throws away when it is."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from roommood.shared.process.logs import event
from roommood.shared.process.metrics import Health

_log = logging.getLogger(__name__)
# Parts of its limit at which it is told, and below which it is told to be over.
NEARLY_FULL: Final = 0.8
_NO_LONGER: Final = 0.75
_MIB: Final = 1 << 20
_MORE_MEMORY: Final = "raise maxmemory, or forget rooms: when it is full nothing is counted"
_EVERY_S: Final = 3_600.0
_NO_EVICTION: Final = "redis-cli CONFIG SET maxmemory-policy noeviction, and in its redis.conf"


@dataclass(frozen=True, slots=True)
class RedisMemory:
    """Bytes that a Redis server uses, and may use at most (0: no limit), and what it does then
    (`maxmemory-policy`; "": not told)."""

    used: int
    limit: int
    policy: str = ""

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Self:
        """From what INFO tells of memory."""
        policy = str(info.get("maxmemory_policy", ""))
        return cls(int(info["used_memory"]), int(info["maxmemory"]), policy)

    @property
    def share(self) -> float:
        return self.used / self.limit if self.limit else 0.0

    @property
    def may_evict(self) -> bool:
        """Whether it may throw away what makes counting exact."""
        return bool(self.limit) and self.policy not in ("", "noeviction")


class MemoryWatch:
    """One line when it becomes nearly full, and one when it is so no longer; one at once and each
    hour while Redis may evict."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._is_warned = False
        self._evicts_due_s = float("-inf")
        self.memory = RedisMemory(0, 0)

    @property
    def warning(self) -> str:
        """For those who look at the page; "" where nothing is wrong."""
        if self.memory.may_evict:
            return (
                f"Redis may throw away what was counted (maxmemory-policy {self.memory.policy}), "
                f"and then counts results twice: {_NO_EVICTION}"
            )
        if self.memory.share >= NEARLY_FULL:
            used, limit = (round(n / _MIB) for n in (self.memory.used, self.memory.limit))
            return f"Redis' memory is nearly full ({used} of {limit} MiB): {_MORE_MEMORY}"
        return ""

    def look(self, memory: RedisMemory) -> None:
        self.memory = memory
        self._health.detail["redis_may_evict"] = memory.may_evict
        self._tell_eviction()
        fields = {"used_mib": round(memory.used / _MIB), "limit_mib": round(memory.limit / _MIB)}
        self._health.detail["redis_memory"] = {**fields, "nearly_full": memory.share >= NEARLY_FULL}
        if memory.share >= NEARLY_FULL and not self._is_warned:
            event(_log, logging.WARNING, "redis memory nearly full", **fields, todo=_MORE_MEMORY)
            self._is_warned = True
        elif memory.share < _NO_LONGER and self._is_warned:
            event(_log, logging.INFO, "redis memory has room again", **fields)
            self._is_warned = False

    def _tell_eviction(self) -> None:
        now_s = time.monotonic()
        if not self.memory.may_evict:
            self._evicts_due_s = float("-inf")
        elif now_s >= self._evicts_due_s:
            self._evicts_due_s = now_s + _EVERY_S
            policy = self.memory.policy
            event(_log, logging.WARNING, "redis may evict", policy=policy, todo=_NO_EVICTION)
