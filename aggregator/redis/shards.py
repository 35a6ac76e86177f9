"""Which shards of a Redis Cluster are left alone for a while, since they gave no answer.

No input or output; time is an argument, in seconds of any steady clock.
"""

from collections.abc import Iterable
from typing import Final

# A shard that gave no answer is left alone for so many times as long as it took to find out,
# and at least so many seconds: one that hangs costs a fifth of this process's time.
PAUSE_TIMES: Final = 4.0
PAUSE_S: Final = 0.5


def missing(node: str) -> str:
    """What a reader is told of a node, host:port, that gives no answer while others do."""
    return f"Redis node {node} gives no answer: what it keeps is not shown"


class ShardPauses:
    """The shards, by name, that are not to be tried now."""

    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}

    @property
    def failing(self) -> frozenset[str]:
        """Those that gave no answer when last tried."""
        return frozenset(self._until_s)

    def is_paused(self, shard: str, now_s: float) -> bool:
        return now_s < self._until_s.get(shard, 0.0)

    def failed(self, shard: str, began_s: float, now_s: float) -> None:
        """It gave no answer between `began_s` and `now_s`."""
        self._until_s[shard] = now_s + max(PAUSE_S, PAUSE_TIMES * (now_s - began_s))

    def answered(self, shard: str) -> None:
        self._until_s.pop(shard, None)

    def all_paused(self, shards: Iterable[str], now_s: float) -> bool:
        return all(self.is_paused(shard, now_s) for shard in shards)
