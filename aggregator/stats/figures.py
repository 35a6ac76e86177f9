"""What a room's counters say about a period. Pure: hashes and times in, figures out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from roommood.aggregator.redis.keys import CAMERA_FIELDS
from roommood.aggregator.stats.correction import Estimate, Evidence, Matrix, corrected, interval
from roommood.aggregator.stats.sampling import Sampling, sampling
from roommood.shared.protocol.emotions import EXPRESSIONS, valence

# A period observed up to so little is taken as observed whole: frames do not begin with it.
_WHOLE: Final = 0.995

Counters = Mapping[str, int]
# By model and size class, how often each label wins for each true expression.
Matrices = Mapping[str, Mapping[str, Matrix]]


@dataclass(frozen=True, slots=True)
class Share:
    """An expression's part, 0..1, of the time for which sure faces were seen.

    `raw` is the mean probability; `low` and `high` are its 95 % interval after Wilson (1927,
    J. Am. Stat. Assoc. 22): the chance in what was not seen (`stats.sampling`), not the model's
    mistakes. `corrected` allows for those by the model's own confusion matrix, and
    `corrected_low` and `corrected_high` for both; faces without a matrix may show anything.
    Without an interval too little was seen yet; without `corrected` no face has a matrix.
    """

    raw: float
    low: float | None
    high: float | None
    corrected: float | None = None
    corrected_low: float | None = None
    corrected_high: float | None = None


@dataclass(frozen=True, slots=True)
class CameraPeriod:
    """One camera in a period. `people` is None where it observed nothing; `coverage` 0..1.

    `still` are the boxes at once that never moved for an hour: things or pictures, no people.
    """

    camera: str
    frames: int
    observed_s: float
    face_s: float
    suppressed_s: float
    unsure_s: float
    people: float | None
    coverage: float
    still: float = 0.0


@dataclass(frozen=True, slots=True)
class RoomPeriod:
    """A room from `start` to `end` (UTC; the last period of a history is still under way).

    What was not observed is not made up: without a frame `coverage` is 0 and `people` None;
    without a sure face `shares` is empty, `dominant` "" and `valence` None.

    Attributes:
        coverage: observed time of the best camera / elapsed time, 0..1.
        people: faces at once, by the camera that sees most of those with at least a tenth of
            the best camera's observed time; their sum where the cameras see different people.
        shares: by expression shown, adding up to 1.
        valence: mean pleasure of the expressions shown, -1..1.
        sure_share: part of the face time, outside suppressed frames, of sure faces.
        suppressed_share: part of the face time in frames with fewer faces than min_people.
        face_s: face time of all cameras, seconds.
        looks: independent looks at sure faces that stand behind the shares.
        uncorrected_share: part of the sure face time, 0..1, whose model has no confusion matrix.
        uncorrected_models: these models.
    """

    room: str
    start: datetime
    end: datetime
    coverage: float
    people: float | None
    shares: Mapping[str, Share]
    dominant: str
    valence: float | None
    sure_share: float | None
    suppressed_share: float | None
    frames: int
    face_s: float
    cameras: tuple[CameraPeriod, ...]
    looks: float = 0.0
    uncorrected_share: float = 0.0
    uncorrected_models: tuple[str, ...] = ()

    @property
    def is_too_little(self) -> bool:
        """Whether too little was seen for an interval, so that the shares have none."""
        return any(share.low is None for share in self.shares.values())


@dataclass(slots=True)
class _Sure:
    """Sure faces of one size, seen by one model: times in microseconds in wire order, `us` times
    probability, `label_us` by winning label."""

    us: list[int] = field(default_factory=lambda: [0] * len(EXPRESSIONS))
    label_us: list[int] = field(default_factory=lambda: [0] * len(EXPRESSIONS))

    @property
    def face_us(self) -> int:
        return sum(self.label_us)


@dataclass(slots=True)
class _Sums:
    """Counters sorted out: by camera; by model and size class."""

    cameras: dict[str, dict[str, int]] = field(default_factory=dict)
    sure: dict[tuple[str, str], _Sure] = field(default_factory=dict)

    def total(self, name: str) -> int:
        return sum(camera[name] for camera in self.cameras.values())

    def all_sure(self) -> _Sure:
        every = list(self.sure.values())
        return _Sure(_added(sums.us for sums in every), _added(sums.label_us for sums in every))


def add_up(hashes: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """Add bucket hashes field by field."""
    sums: dict[str, int] = defaultdict(int)
    for fields in hashes:
        for name, value in fields.items():
            sums[name] += int(value)
    return sums


def _added(rows: Iterable[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def models_of(counters: Counters) -> set[str]:
    """The models that saw sure faces."""
    return {name.split(":")[1] for name in counters if name.startswith("us:")}


def room_period(
    room: str,
    counters: Counters,
    start_s: float,
    end_s: float,
    now_s: float,
    matrices: Matrices | None = None,
    parts: Sequence[Counters] = (),
    *,
    apart: bool = False,
) -> RoomPeriod:
    """Figures of a period from the counters of its buckets; it has elapsed up to `now_s`.

    `parts` are the counters of consecutive parts of it, where they are at hand. `apart`: its
    cameras see different people.
    """
    sums = _sort(counters)
    sure_us = sums.all_sure().face_us
    elapsed_us = max(0.0, min(end_s, now_s) - start_s) * 1e6
    cameras = [_camera(name, sums.cameras[name], elapsed_us) for name in sorted(sums.cameras)]
    coverage = max((camera.coverage for camera in cameras), default=0.0)
    seen = sampling(
        sure_us,
        1.0 if coverage >= _WHOLE else coverage,
        map(_sure_us, parts),
        1.0 if apart else _one_view(sums),
    )
    evidence = _evidence(sums, matrices or {}, seen)
    shares = _shares(sums, evidence, seen)
    face_us, suppressed_us = sums.total("face_us"), sums.total("suppressed_us")
    return RoomPeriod(
        room=room,
        start=utc(start_s),
        end=utc(end_s),
        coverage=coverage,
        people=_people(cameras, apart),
        shares=shares,
        dominant=max(shares, key=lambda expression: shares[expression].raw, default=""),
        valence=valence([shares[expression].raw for expression in EXPRESSIONS]) if shares else None,
        sure_share=part_of(sure_us, sure_us + sums.total("unsure_us")),
        suppressed_share=part_of(suppressed_us, face_us),
        frames=sums.total("frames"),
        face_s=face_us / 1e6,
        cameras=tuple(cameras),
        looks=seen.looks,
        uncorrected_share=evidence.uncorrected,
        uncorrected_models=evidence.uncorrected_models,
    )


def wilson(share: float, seen: Sampling) -> Estimate:
    """A share in so many looks, with what chance is left in them."""
    if seen.chance <= 0:
        return Estimate(share, share, share)
    worth = seen.looks / seen.chance
    return interval(share, share * (1 - share) / worth, worth)


def _sort(counters: Counters) -> _Sums:
    sums = _Sums()
    for name, value in counters.items():
        kind, *rest = name.split(":")
        if kind in CAMERA_FIELDS:
            camera = sums.cameras.setdefault(rest[0], dict.fromkeys(CAMERA_FIELDS, 0))
            camera[kind] = value
        elif kind in {"us", "label_us"}:
            model, size, expression = rest
            sure = sums.sure.setdefault((model, size), _Sure())
            counted = sure.us if kind == "us" else sure.label_us
            counted[EXPRESSIONS.index(expression)] += value
    return sums


def _camera(name: str, counters: Mapping[str, int], elapsed_us: float) -> CameraPeriod:
    observed_us = counters["observed_us"]
    return CameraPeriod(
        camera=name,
        frames=counters["frames"],
        observed_s=observed_us / 1e6,
        face_s=counters["face_us"] / 1e6,
        suppressed_s=counters["suppressed_us"] / 1e6,
        unsure_s=counters["unsure_us"] / 1e6,
        people=part_of(counters["face_us"], observed_us),
        coverage=min(1.0, observed_us / elapsed_us) if elapsed_us else 0.0,
        still=part_of(counters["still_us"], observed_us) or 0.0,
    )


def _people(cameras: Sequence[CameraPeriod], apart: bool) -> float | None:
    best_s = max((camera.observed_s for camera in cameras), default=0.0)
    near = [camera.people for camera in cameras if camera.observed_s * 10 >= best_s]
    known = [people for people in near if people is not None]
    if not known:
        return None
    return sum(known) if apart else max(known)


def _one_view(sums: _Sums) -> float:
    """Part of the face time that the camera with most of it saw: the others saw the same."""
    each = [camera["face_us"] for camera in sums.cameras.values()]
    return max(each) / sum(each) if sum(each) else 1.0


def _sure_us(counters: Counters) -> list[int]:
    us = [0] * len(EXPRESSIONS)
    for name, value in counters.items():
        if name.startswith("us:"):
            us[EXPRESSIONS.index(name.rpartition(":")[2])] += value
    return us


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What can be corrected, and which part of the sure face time cannot, by which models, with the
    shares that these saw."""

    each: list[Evidence]
    uncorrected: float
    uncorrected_models: tuple[str, ...]
    uncorrected_shares: list[float]


def _evidence(sums: _Sums, matrices: Matrices, seen: Sampling) -> _Evidence:
    total = sums.all_sure().face_us
    there = {place: sums for place, sums in sums.sure.items() if sums.face_us > 0}
    without = [place for place in there if place[1] not in matrices.get(place[0], {})]
    each = [
        Evidence(
            sums.label_us, seen.of(sums.face_us / total).looks, matrices[model][size], seen.chance
        )
        for (model, size), sums in there.items()
        if (model, size) not in without
    ]
    missing = sum(there[place].face_us for place in without)
    models = tuple(sorted({model for model, _ in without}))
    us = [sum(column) for column in zip(*(there[place].us for place in without), strict=True)]
    shares = [part_of(part, sum(us)) or 0.0 for part in us]
    return _Evidence(each, part_of(missing, total) or 0.0, models, shares)


def _shares(sums: _Sums, evidence: _Evidence, seen: Sampling) -> dict[str, Share]:
    sure = sums.all_sure()
    total_us = sum(sure.us)
    if total_us == 0 or sure.face_us == 0:
        return {}
    raw = [wilson(us / total_us, seen) for us in sure.us]
    mix = _corrected(evidence)
    shares = [_share(estimate, two, seen) for estimate, two in zip(raw, mix, strict=True)]
    return dict(zip(EXPRESSIONS, shares, strict=True))


def _corrected(evidence: _Evidence) -> Sequence[Estimate | None]:
    """What has a matrix is corrected; the rest counts as its model saw it, and may be anything."""
    estimates = corrected(evidence.each)
    if not estimates:
        return [None] * len(EXPRESSIONS)
    rest = evidence.uncorrected
    if not rest:
        return estimates
    return [
        Estimate(
            (1 - rest) * estimate.share + rest * share,
            (1 - rest) * estimate.low,
            (1 - rest) * estimate.high + rest,
        )
        for estimate, share in zip(estimates, evidence.uncorrected_shares, strict=True)
    ]


def _share(raw: Estimate, mix: Estimate | None, seen: Sampling) -> Share:
    share = None if mix is None else mix.share
    if seen.is_too_little:
        return Share(raw.share, None, None, share)
    if mix is None:
        return Share(raw.share, raw.low, raw.high)
    return Share(raw.share, raw.low, raw.high, mix.share, mix.low, mix.high)


def part_of(part: float, whole: float) -> float | None:
    """part / whole; None of nothing."""
    return part / whole if whole > 0 else None


def utc(seconds: float) -> datetime:
    """Seconds since 1970 as a time."""
    return datetime.fromtimestamp(seconds, UTC)
