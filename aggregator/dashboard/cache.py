"""A snapshot made ready to be shown: each piece of HTML and each chart is made once for all."""

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from roommood.aggregator.dashboard.snapshot import Snapshot

T = TypeVar("T")


class SnapshotCache:
    """A snapshot, and what was made of it so far."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._made: dict[Hashable, object] = {}

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, which is called for the first who asks for `name`."""
        if name not in self._made:
            self._made[name] = make()
        return cast(T, self._made[name])
