"""The mix of expressions that a room showed, corrected for what its model confuses.

A model takes one expression for another, and is sure of one more often than of another: row i of
its confusion matrix M holds how often each label wins for faces that truly show i, of which those
that are not sure add nothing. So in a room of the true mix x the labels win Mᵀx, up to a factor,
and x is found from those counted: quantification by a confusion matrix (Vucetic & Obradovic 2001,
ECML; Forman 2008, Data Mining and Knowledge Discovery 17; Lipton et al. 2018, arXiv 1802.03916).
Sums of probabilities would vary less, but they follow how sure a model is, which differs between
a room and the faces that M was measured on by more than which label wins.

For the same reason M is not taken at its word: a room confuses other faces, so the mix is pulled
towards what was counted (`DOUBT`). Pure, and small enough to need no numpy.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from math import sqrt
from operator import mul, truediv
from typing import Any, Final

from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES

Matrix = Sequence[Sequence[float]]

# The 97.5 % point of the normal distribution.
Z: Final = 1.959964

_COUNT: Final = len(EXPRESSIONS)
# How far the mix is pulled towards the labels counted, in parts of what was counted, however much
# that is: chosen by leaving whole sources out (docs/models.md).
DOUBT: Final = 0.25
# A matrix is itself measured on a few thousand faces: however much face time there is, the
# evidence is never worth more observations than this. Chosen so that intervals hold with
# matrices from other faces (benchmarks/honest_room.py).
_MATRIX_WORTH: Final = 1000.0
# More of the same pull, in observations: decides where data or matrix say little.
_PULL: Final = 4.0
# The part of both that pulls evenly, so that no share is pulled to 0.
_EVEN: Final = 0.02
# No expression is ever taken for impossible, however a matrix rounds.
_SMALLEST: Final = 1e-4
_TOLERANCE: Final = 1e-9
_MOST_STEPS: Final = 60
_TOWARDS_ZERO: Final = 0.9


@dataclass(frozen=True, slots=True)
class Evidence:
    """What faces of one size showed to one model.

    Attributes:
        label_us: sure face time by winning label, in wire order.
        observations: how many independent observations that is worth, above 0.
        matrix: how often each label wins at this size, 8x8, rows: true expression, each adding
            up to the part of its faces that is sure. A row of zeros (an expression it was never
            measured on) is taken at its word.
        chance: the part of an observation's variance that is left: 0 where all was observed.
    """

    label_us: Sequence[float]
    observations: float
    matrix: Matrix
    chance: float = 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share in 0..1 and its 95 % interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Mix:
    """Shares that add up to 1, the parts that were counted, and the variance that each share has
    from a single observation."""

    shares: Sequence[float]
    counted: Sequence[float]
    spreads: Sequence[float]


def matrices(model: Mapping[str, str]) -> dict[str, Matrix]:
    """The matrices of a model by size class, from its hash in Redis; none where it has none, or
    something else in its place: what it saw then counts as not corrected."""
    read = ((size, _read(model.get(f"hard:{size}", ""))) for size in SIZE_CLASSES)
    return {size: matrix for size, matrix in read if matrix is not None}


def _read(text: str) -> Matrix | None:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return rows if _is_long(rows) and all(map(_is_row, rows)) else None


def _is_row(row: Any) -> bool:
    return _is_long(row) and all(type(cell) in (int, float) and 0 <= cell <= 1 for cell in row)


def _is_long(value: Any) -> bool:
    return isinstance(value, list) and len(value) == _COUNT


def corrected(evidence: Sequence[Evidence], doubt: float = DOUBT) -> list[Estimate]:
    """The mix shown, by expression in wire order, over all sizes and models.

    With a `doubt` of 0 the matrices are taken at their word; the larger it is, the nearer the
    shares stay to the labels counted.

    Each piece of evidence is corrected by its own matrix and weighs as much as its face time.
    The shares are at least 0 and add up to 1; without face time the list is empty.

    The interval is the delta method's: the curvature of the likelihood says how far the
    correction amplifies chance, in the form of Wilson (1927) so that it holds near 0 and 1.
    Chance differs from one piece of evidence to the next; the matrices' own errors may agree.
    Where they are doubted, a correction may be wrong by as much as it moves a share.
    """
    seen = [part for part in evidence if sum(part.label_us) > 0]
    if not seen:
        return []
    total = sum(sum(part.label_us) for part in seen)
    parts = [
        (sum(part.label_us) / total, part.chance / part.observations, _mix(part, doubt))
        for part in seen
    ]
    looks = sum(part.observations for part in seen)
    worth = 1 / max(1 / _MATRIX_WORTH, max(part.chance for part in seen) / looks)
    return [
        interval(
            sum(weight * mix.shares[i] for weight, _, mix in parts),
            _variance(parts, i, doubt),
            worth,
        )
        for i in range(_COUNT)
    ]


def _variance(parts: Sequence[tuple[float, float, _Mix]], i: int, doubt: float) -> float:
    """Of a share, from each part's weight, chance and mix."""
    by_chance = sum(weight * weight * mix.spreads[i] * chance for weight, chance, mix in parts)
    by_matrix = sum(weight * sqrt(mix.spreads[i] / _MATRIX_WORTH) for weight, _, mix in parts)
    moved = sum(weight * (mix.shares[i] - mix.counted[i]) for weight, _, mix in parts)
    return by_chance + by_matrix**2 + (doubt / DOUBT * moved) ** 2


def interval(share: float, variance: float, observations: float) -> Estimate:
    """A share with its 95 % interval; Wilson's where variance is share (1 - share) / n."""
    spread = Z * Z / observations
    middle = share + spread / 2
    half = Z * sqrt(max(0.0, variance) + spread / observations / 4)
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return Estimate(share, min(share, max(0.0, low)), max(share, min(1.0, high)))


def _mix(evidence: Evidence, doubt: float) -> _Mix:
    total = sum(evidence.label_us)
    raw = [us / total for us in evidence.label_us]
    worth = 1 / (1 / evidence.observations + 1 / _MATRIX_WORTH)
    centre = [(1 - _EVEN) * share + _EVEN / _COUNT for share in raw]
    matrix, pull = _usable(evidence.matrix), doubt + _PULL / worth
    amounts = _most_likely(matrix, raw, centre, pull)
    whole = sum(amounts)
    return _Mix([amount / whole for amount in amounts], raw, _spreads(matrix, amounts))


def _usable(matrix: Matrix) -> Matrix:
    """Rows without a zero, which add up to 1 on average."""
    known = [sum(row) for row in matrix if sum(row) > 0]
    usual = sum(known) / len(known) if known else 1.0
    return [_usable_row(i, row, usual) for i, row in enumerate(matrix)]


def _usable_row(i: int, row: Sequence[float], usual: float) -> list[float]:
    if sum(row) <= 0:
        row = [usual * (i == j) for j in range(_COUNT)]
    raised = [max(share, _SMALLEST) for share in row]
    return [share / sum(raised) * sum(row) / usual for share in raised]


def _most_likely(
    matrix: Matrix, raw: Sequence[float], centre: Sequence[float], pull: float
) -> list[float]:
    """The x >= 0 that makes `raw` most likely, pulled towards `centre`, by Newton's method.

    Minimises sum(q - raw log q) + pull sum(x - centre log x) with q = Mᵀx: the likelihood of
    independent counts, at whose minimum q adds up to 1 by itself. It is convex; the pull keeps x
    above 0 and the curvature regular, also where the matrix is singular.
    """
    mix = list(centre)
    for _ in range(_MOST_STEPS):
        shown = _shown(matrix, mix)
        slope = _slope(matrix, raw, shown, mix, centre, pull)
        if max(abs(a * b) for a, b in zip(slope, mix, strict=True)) < _TOLERANCE:
            break
        tied = [pull * c / (x * x) for c, x in zip(centre, mix, strict=True)]
        bend = [o / (q * q) for o, q in zip(raw, shown, strict=True)]
        mix = _moved(mix, _solved(_curvature(matrix, bend, tied), slope))
    return mix


def _spreads(matrix: Matrix, amounts: Sequence[float]) -> list[float]:
    """The variance of each share: of the inverse information, less what a fixed total of sure
    faces takes away, carried from amounts to shares."""
    # The pull is no information; this much keeps a singular matrix solvable, and it shows.
    least = [_PULL / _MATRIX_WORTH] * _COUNT
    curvature = _curvature(matrix, [1 / q for q in _shown(matrix, amounts)], least)
    units = [[float(i == j) for j in range(_COUNT)] for i in range(_COUNT)]
    free = [
        [f - x * y for f, y in zip(_solved(curvature, unit), amounts, strict=True)]
        for unit, x in zip(units, amounts, strict=True)
    ]
    whole, sums = sum(amounts), [sum(row) for row in free]
    shares = [x / whole for x in amounts]
    return [
        max(0.0, free[i][i] - 2 * s * sums[i] + s * s * sum(sums)) / whole**2
        for i, s in enumerate(shares)
    ]


def _shown(matrix: Matrix, mix: Sequence[float]) -> list[float]:
    """Mᵀx: how often each label would win in this mix."""
    return [sum(map(mul, column, mix)) for column in zip(*matrix, strict=True)]


def _slope(
    matrix: Matrix,
    raw: Sequence[float],
    shown: Sequence[float],
    mix: Sequence[float],
    centre: Sequence[float],
    pull: float,
) -> list[float]:
    excess = [1 - o / q for o, q in zip(raw, shown, strict=True)]
    return [
        sum(map(mul, row, excess)) + pull * (1 - c / x)
        for row, x, c in zip(matrix, mix, centre, strict=True)
    ]


def _curvature(matrix: Matrix, bend: Sequence[float], tied: Sequence[float]) -> list[list[float]]:
    """M diag(bend) Mᵀ + diag(tied)."""
    bent = [list(map(mul, row, bend)) for row in matrix]
    full = [[sum(map(mul, row, other)) for other in matrix] for row in bent]
    for i, more in enumerate(tied):
        full[i][i] += more
    return full


def _moved(mix: Sequence[float], step: Sequence[float]) -> list[float]:
    """mix - step, shortened so that no share loses more than nine tenths of itself."""
    most = max(starmap(truediv, zip(step, mix, strict=True)))
    scale = min(1.0, _TOWARDS_ZERO / most) if most > 0 else 1.0
    return [x - scale * s for x, s in zip(mix, step, strict=True)]


def _solved(matrix: Matrix, right: Sequence[float]) -> list[float]:
    """x of A x = b for a symmetric positive definite A, which needs no pivoting."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i, pivot in enumerate(rows):
        for row in rows[i + 1 :]:
            factor = row[i] / pivot[i]
            row[i:] = [a - factor * b for a, b in zip(row[i:], pivot[i:], strict=True)]
    x = [0.0] * len(rows)
    for i in reversed(range(len(rows))):
        row = rows[i]
        x[i] = (row[-1] - sum(map(mul, row[i + 1 : -1], x[i + 1 :]))) / row[i]
    return x
