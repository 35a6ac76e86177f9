"""How long to wait before the next attempt."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackOff:
    """Seconds between attempts: doubling from `first_s` to `most_s`, give or take a quarter."""

    first_s: float = 0.5
    most_s: float = 30.0

    def delay_s(self, attempt: int, chance: float) -> float:
        """The pause before attempt 0, 1, ... for a random number 0..1."""
        return min(self.most_s, self.first_s * 2.0 ** min(attempt, 30)) * (0.75 + 0.5 * chance)
