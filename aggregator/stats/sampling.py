"""How much chance there is in what was seen of a period. Pure.

The shares of a period are estimated from the part of it that was observed. Three things decide
how far that may be from the whole:

- *Looks*: consecutive frames show the same people, so that 10 s of face time are one look. What
  several cameras see of one face is one look as well.
- *Coverage*: of a period that was observed whole nothing is left to chance (the finite population
  correction, Cochran 1977, Sampling Techniques, section 2.6).
- *Batches*: where a room stays in one mood for minutes its looks are worth less. How much less is
  seen from the spread of the shares between parts of the period (batch means, Law & Kelton,
  Simulation Modeling and Analysis, section 9.5; the design effect of Kish 1965, Survey Sampling).

`benchmarks/intervals.py` simulates how often the intervals hold.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

# Consecutive frames show the same people: so much face time counts as one look.
LOOK_S: Final = 10.0
# With fewer looks, and a part of the period unseen, there is no interval.
FEWEST_LOOKS: Final = 5.0
_MOST_BATCHES: Final = 24
_FEWEST_BATCHES: Final = 4
# (97.5 % point of Student's t / that of the normal distribution) squared, for 3 to 10 degrees of
# freedom; beyond, 1 + 2.4 / df is as good.
_STUDENT: Final = {3: 2.64, 4: 2.01, 5: 1.72, 6: 1.56, 7: 1.46, 8: 1.38, 9: 1.33, 10: 1.29}


@dataclass(frozen=True, slots=True)
class Sampling:
    """`looks` that stand behind a period's shares, and the part of a look's variance that is
    left in them: 0 where all was observed, above 1 where looks agree with each other."""

    looks: float
    chance: float

    @property
    def is_too_little(self) -> bool:
        """Whether an interval would say more than is known."""
        return self.looks < FEWEST_LOOKS and self.chance > 0

    def of(self, part: float) -> "Sampling":
        """That of a part, 0..1, of the faces."""
        return Sampling(self.looks * part, self.chance)


def sampling(
    sure_face_us: float, coverage: float, parts: Iterable[Sequence[float]], one_view: float
) -> Sampling:
    """Of `sure_face_us` in a period observed to `coverage`, 0..1.

    `parts` are face time times probability by expression, for consecutive parts of the period.
    `one_view`, 0..1, is the part of the face time that no other camera saw too.
    """
    looks = sure_face_us / 1e6 / LOOK_S * one_view
    if looks <= 0:
        return Sampling(0.0, 1.0)
    return Sampling(looks, max(0.0, 1.0 - coverage) * design_effect(_batches(parts), looks))


def design_effect(batches: Sequence[Sequence[float]], looks: float) -> float:
    """By how much the shares differ between batches more than independent looks would, >= 1."""
    weights = [sum(batch) for batch in batches]
    total, count = sum(weights), len(batches)
    if count < _FEWEST_BATCHES or total <= 0:
        return 1.0
    mean = [sum(column) / total for column in zip(*batches, strict=True)]
    between = sum(
        float(us - weight * share) ** 2
        for batch, weight in zip(batches, weights, strict=True)
        for us, share in zip(batch, mean, strict=True)
    ) / (total * total)
    by_chance = sum(share * (1 - share) for share in mean) / looks
    if by_chance <= 0:
        return 1.0
    return max(1.0, float(between * count / (count - 1) / by_chance * _student(count - 1)))


def _student(degrees: int) -> float:
    return _STUDENT.get(degrees, 1.0 + 2.4 / degrees)


def _batches(parts: Iterable[Sequence[float]]) -> list[Sequence[float]]:
    """At most 24 consecutive ones; those without a sure face say nothing."""
    each = list(parts)
    size = max(1, -(-len(each) // _MOST_BATCHES))
    joined = (each[i : i + size] for i in range(0, len(each), size))
    added = ([sum(column) for column in zip(*some, strict=True)] for some in joined)
    return [batch for batch in added if sum(batch) > 0]
