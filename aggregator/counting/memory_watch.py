"""Tells that Redis' memory is nearly full, before it is: then nothing more is counted."""

import logging
from dataclasses import dataclass
from typing import Final

from roommood.shared.process.logs import event
from roommood.shared.process.metrics import Health

_log = logging.getLogger(__name__)
# Parts of its limit at which it is told, and below which it is told to be over.
NEARLY_FULL: Final = 0.8
_NO_LONGER: Final = 0.75
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RedisMemory:
    """Bytes that a Redis server uses, and may use at most (0: no limit)."""

    used: int
    limit: int

    @property
    def share(self) -> float:
        return self.used / self.limit if self.limit else 0.0


class MemoryWatch:
    """One line when it becomes nearly full, and one when it is so no longer."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._told = False
        self.memory = RedisMemory(0, 0)

    def look(self, memory: RedisMemory) -> None:
        self.memory = memory
        fields = {"used_mib": round(memory.used / _MIB), "limit_mib": round(memory.limit / _MIB)}
        self._health.detail["redis_memory"] = {**fields, "nearly_full": memory.share >= NEARLY_FULL}
        if memory.share >= NEARLY_FULL and not self._told:
            todo = "raise maxmemory, or forget rooms: when it is full nothing is counted"
            event(_log, logging.WARNING, "redis memory nearly full", **fields, todo=todo)
            self._told = True
        elif memory.share < _NO_LONGER and self._told:
            event(_log, logging.INFO, "redis memory has room again", **fields)
            self._told = False
