"""What is new is let in at a bounded rate, what is known at once. Time is an argument."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once; each that was used comes back after `every_ms`, one after the other.

    So many are remembered: the one not met for longest is forgotten beyond, and is new again.
    """

    at_once: int
    every_ms: float
    remembered: int


class Budget:
    """A token bucket."""

    __slots__ = ("_filled_ms", "_left", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left = float(rate.at_once)
        self._filled_ms = float("-inf")

    def take(self, now_ms: float) -> bool:
        """Takes one, if one is left at `now_ms` (`boot_ms`)."""
        elapsed_ms = max(0.0, now_ms - self._filled_ms)
        self._left = min(self._rate.at_once, self._left + elapsed_ms / self._rate.every_ms)
        self._filled_ms = now_ms
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Newcomers:
    """Names, of which new ones are admitted within a budget."""

    __slots__ = ("_budget", "_known", "_most")

    def __init__(self, rate: Rate) -> None:
        self._budget = Budget(rate)
        self._most = rate.remembered
        self._known: OrderedDict[Hashable, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def admits(self, name: Hashable, now_ms: float, also: Budget | None = None) -> bool:
        """Whether a name is known, or may become so now; a new one takes one of `also` too."""
        if name in self._known:
            self._known.move_to_end(name)
            return True
        if not self._budget.take(now_ms) or (also is not None and not also.take(now_ms)):
            return False
        self.know([name])
        return True

    def know(self, names: Iterable[Hashable]) -> None:
        """Names that need no admission."""
        for name in names:
            self._known[name] = None
            self._known.move_to_end(name)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
