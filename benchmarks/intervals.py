"""How often the 95 % interval of a raw share holds the share of the whole period.

    python -m benchmarks.intervals [--rooms 200] [--json FILE]

An hour is simulated second by second: people who each keep an expression for a while and then show
another, drawn from the room's mix; cameras that are off for spans of time; buckets of 10 s as the
aggregator keeps them. The product's own code then tells shares and intervals. Held is an interval
that contains the share over the whole hour, seen and unseen, of an expression shown in 1 % of it
or more. What a model confuses is not simulated: `benchmarks/honest_room.py` does that.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roommood.aggregator.stats.figures import RoomPeriod, room_period
from roommood.shared.protocol.emotions import EXPRESSIONS

BAR: Final = 0.93
HOUR_S: Final = 3600
BUCKET_S: Final = 10
MIX: Final = (0.55, 0.20, 0.05, 0.10, 0.05, 0.02, 0.02, 0.01)
WORTH_ASKING: Final = 0.01

Shown = NDArray[np.int64]
Seen = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Mood:
    """How long an expression is kept, seconds on average, and whether the mix changes."""

    name: str
    keeps_s: float
    changes: bool = False


@dataclass(frozen=True, slots=True)
class Gaps:
    """Which part of the hour is seen, and how long a span with its gap is on average."""

    coverage: float
    span_s: float


MOODS: Final = (Mood("calm", 30.0), Mood("lively", 5.0), Mood("changing", 10.0, changes=True))
GAPS: Final = (Gaps(0.9, 120.0), Gaps(0.5, 120.0), Gaps(0.2, 120.0), Gaps(0.1, 600.0))
# For the record and beyond the bar: what half an hour in one piece does not show, nobody knows.
LONG_GAP: Final = Gaps(0.5, 1800.0)


@dataclass(frozen=True, slots=True)
class Row:
    """How often intervals held, and how wide they were on average."""

    mood: str
    cameras: int
    coverage: float
    span_s: float
    held: float
    mean_width: float
    too_little: int


def measure(mood: Mood, cameras: int, gaps: Gaps, rooms: int, seed: int = 1) -> Row:
    """One kind of room, drawn so many times."""
    rng = np.random.default_rng(seed)
    held, widths, too_little = [], [], 0
    for _ in range(rooms):
        shown = _people(rng, mood, int(rng.integers(1, 4)))
        seen = _on(rng, gaps)
        truth = np.bincount(shown.ravel(), minlength=len(EXPRESSIONS)) / shown.size
        intervals = list(_intervals(_period(shown, seen, cameras), truth))
        too_little += not intervals
        held += [low <= share <= high for low, share, high in intervals]
        widths += [high - low for low, _, high in intervals]
    return Row(
        mood.name, cameras, gaps.coverage, gaps.span_s,
        round(float(np.mean(held)), 3), round(float(np.mean(widths)), 3), too_little,
    )  # fmt: skip


def _people(rng: np.random.Generator, mood: Mood, count: int) -> Shown:
    shown = np.empty((count, HOUR_S), np.int64)
    for person in shown:
        at = 0
        while at < HOUR_S:
            until = at + max(1, round(rng.exponential(mood.keeps_s)))
            person[at:until] = rng.choice(len(MIX), p=_mix(mood, at))
            at = until
    return shown


def _mix(mood: Mood, at: int) -> Sequence[float]:
    if not mood.changes:
        return MIX
    third = 3 * at // HOUR_S
    return list((np.roll(MIX, third) + np.array(MIX)) / 2)


def _on(rng: np.random.Generator, gaps: Gaps) -> Seen:
    """When the room's cameras are on; they share a power strip."""
    seen = np.zeros(HOUR_S, np.bool_)
    at, on = 0, bool(rng.random() < gaps.coverage)
    while at < HOUR_S:
        part = gaps.coverage if on else 1 - gaps.coverage
        until = at + max(1, round(rng.exponential(gaps.span_s * part)))
        seen[at:until] = on
        at, on = until, not on
    return seen


def _period(shown: Shown, seen: Seen, cameras: int) -> RoomPeriod:
    parts = [
        _counters(shown[:, at : at + BUCKET_S][:, seen[at : at + BUCKET_S]], cameras)
        for at in range(0, HOUR_S, BUCKET_S)
    ]
    total: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return room_period("room", total, 0.0, HOUR_S, HOUR_S, parts=parts)


def _counters(shown: Shown, cameras: int) -> dict[str, int]:
    """A bucket as the aggregator leaves it, each camera having seen everybody."""
    seconds, second_us = shown.shape[1], 1_000_000
    counters: dict[str, int] = {}
    for camera in range(cameras):
        counters[f"observed_us:{camera}"] = seconds * second_us
        counters[f"face_us:{camera}"] = shown.size * second_us
    for name, count in zip(EXPRESSIONS, np.bincount(shown.ravel(), minlength=8), strict=True):
        counters[f"us:net:large:{name}"] = int(count) * second_us * cameras
        counters[f"label_us:net:large:{name}"] = int(count) * second_us * cameras
    return counters


def _intervals(
    period: RoomPeriod, truth: NDArray[np.float64]
) -> Iterator[tuple[float, float, float]]:
    for name, share in zip(EXPRESSIONS, truth, strict=True):
        found = period.shares.get(name)
        known = found is not None and found.low is not None and found.high is not None
        if known and share >= WORTH_ASKING:
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            yield found.low, float(share), found.high


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rooms", type=int, default=200)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = [
        measure(mood, cameras, gaps, given.rooms)
        for mood in MOODS
        for gaps in (*GAPS, LONG_GAP)
        for cameras in (1, 4)
    ]
    for row in rows:
        mark = "" if row.span_s == LONG_GAP.span_s else ("held" if row.held >= BAR else "MISSED")
        print(
            f"{row.mood:9} {row.cameras} cameras, {row.coverage:4.0%} seen in spans of "
            f"{row.span_s:5.0f} s: {row.held:.1%} hold, {row.mean_width:.3f} wide {mark}"
        )
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
