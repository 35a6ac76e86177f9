"""What the counters of Redis say about a room. Pure: hashes and times in, figures out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import sqrt
from typing import Final

from shared.emotions import EXPRESSIONS, valence
from shared.redis_keys import CAMERA_FIELDS, LIVE_CAMERA, LIVE_MAX_AGE_MS, LIVE_TTL_S

# Consecutive frames show the same people: so much face time counts as one observation.
INDEPENDENT_AFTER_S: Final = 10.0
# The 97.5 % point of the normal distribution.
_Z: Final = 1.959964

Counters = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Share:
    """An expression's part, 0..1, of the time for which sure faces were seen.

    `low` and `high` are its 95 % interval after Wilson (1927, J. Am. Stat. Assoc. 22) with
    one observation for each 10 s of face time. `corrected` is None without a correction.
    """

    raw: float
    low: float
    high: float
    corrected: float | None = None


@dataclass(frozen=True, slots=True)
class CameraPeriod:
    """One camera in a period. `people` is None where it observed nothing; `coverage` 0..1."""

    camera: str
    frames: int
    observed_s: float
    face_s: float
    suppressed_s: float
    unsure_s: float
    people: float | None
    coverage: float


@dataclass(frozen=True, slots=True)
class RoomPeriod:
    """A room from `start` to `end` (UTC; the last period of a history is still under way).

    What was not observed is not made up: without a frame `coverage` is 0 and `people` None;
    without a sure face `shares` is empty, `dominant` "" and `valence` None.

    Attributes:
        coverage: observed time of the best camera / elapsed time, 0..1.
        people: faces at once, by the camera that sees most of those with at least a tenth of
            the best camera's observed time.
        shares: by expression shown, adding up to 1.
        valence: mean pleasure of the expressions shown, -1..1.
        sure_share: part of the face time, outside suppressed frames, of sure faces.
        suppressed_share: part of the face time in frames with fewer faces than min_people.
        face_s: face time of all cameras, seconds.
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


@dataclass(frozen=True, slots=True)
class CameraNow:
    """One camera of a room at this moment; `age_s` is that of its newest frame."""

    camera: str
    people: float | None
    frames_per_s: float
    age_s: float


@dataclass(frozen=True, slots=True)
class RoomNow:
    """A room at this moment, over about the last 4 s; each frame's weight halves in 3 s.

    A room without a frame in the last 10 s is `silent` and has no figures, never old ones.
    """

    room: str
    people: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    dominant: str = ""
    valence: float | None = None
    sure_share: float | None = None
    frames_per_s: float = 0.0
    captured: datetime | None = None
    updated: datetime | None = None
    age_s: float | None = None
    cameras: tuple[CameraNow, ...] = ()

    @property
    def silent(self) -> bool:
        return self.age_s is None


@dataclass(slots=True)
class _Sums:
    """Counters sorted out; times in microseconds."""

    cameras: dict[str, dict[str, int]] = field(default_factory=dict)
    us: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EXPRESSIONS, 0))
    sure_us: int = 0

    def total(self, name: str) -> int:
        return sum(camera[name] for camera in self.cameras.values())


def add_up(hashes: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """Add bucket hashes field by field."""
    sums: dict[str, int] = defaultdict(int)
    for one in hashes:
        for name, value in one.items():
            sums[name] += int(value)
    return sums


def room_period(
    room: str, counters: Counters, start_s: float, end_s: float, now_s: float
) -> RoomPeriod:
    """Figures of a period from the counters of its buckets; it has elapsed up to `now_s`."""
    sums = _sort(counters)
    elapsed_us = max(0.0, min(end_s, now_s) - start_s) * 1e6
    cameras = [_camera(name, sums.cameras[name], elapsed_us) for name in sorted(sums.cameras)]
    shares = _shares(sums)
    face_us, suppressed_us = sums.total("face_us"), sums.total("suppressed_us")
    return RoomPeriod(
        room=room,
        start=_utc(start_s),
        end=_utc(end_s),
        coverage=max((camera.coverage for camera in cameras), default=0.0),
        people=_people(cameras),
        shares=shares,
        dominant=max(shares, key=lambda one: shares[one].raw, default=""),
        valence=valence([shares[one].raw for one in EXPRESSIONS]) if shares else None,
        sure_share=_part(sums.sure_us, sums.sure_us + sums.total("unsure_us")),
        suppressed_share=_part(suppressed_us, face_us),
        frames=sums.total("frames"),
        face_s=face_us / 1e6,
        cameras=tuple(cameras),
    )


def wilson(share: float, observations: float) -> tuple[float, float]:
    """95 % interval of a share seen in so many independent observations (a real number > 0)."""
    spread = _Z * _Z / observations
    middle = share + spread / 2
    half = _Z * sqrt(share * (1 - share) / observations + spread / observations / 4)
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def room_now(room: str, live: Mapping[str, str], ttl_ms: float) -> RoomNow:
    """Figures of a live hash that has `ttl_ms` to live.

    Its age comes from that, so that the reader's clock does not matter.
    """
    if not live or ttl_ms < 0:
        return RoomNow(room)
    updated_ms = float(live["updated_ms"])
    said_ago_ms = max(0.0, LIVE_TTL_S * 1000 - ttl_ms)
    age_ms = said_ago_ms + max(0.0, updated_ms - float(live["captured_ms"]))
    if age_ms > LIVE_MAX_AGE_MS:
        return RoomNow(room)
    shares = {one: float(live[f"share:{one}"]) for one in EXPRESSIONS}
    has_sure_face = any(shares.values())
    return RoomNow(
        room=room,
        people=float(live["people"]),
        shares=shares if has_sure_face else {},
        dominant=live["dominant"],
        valence=float(live["valence"]) if has_sure_face else None,
        sure_share=float(live["sure_share"]) if float(live["people"]) > 0 else None,
        frames_per_s=float(live["frames_per_s"]),
        captured=_utc(float(live["captured_ms"]) / 1000),
        updated=_utc(updated_ms / 1000),
        age_s=age_ms / 1000,
        cameras=tuple(_cameras_now(live, updated_ms + said_ago_ms)),
    )


def _cameras_now(live: Mapping[str, str], now_ms: float) -> Iterator[CameraNow]:
    for name in sorted(live):
        if not name.startswith(LIVE_CAMERA):
            continue
        t_ms, _, obs_us, face_us, _, frames, *_ = map(float, live[name].split())
        yield CameraNow(
            camera=name.removeprefix(LIVE_CAMERA),
            people=_part(face_us, obs_us),
            frames_per_s=frames * 1e6 / obs_us if obs_us else 0.0,
            age_s=max(0.0, now_ms - t_ms) / 1000,
        )


def _sort(counters: Counters) -> _Sums:
    sums = _Sums()
    for name, value in counters.items():
        kind, *rest = name.split(":")
        if kind in CAMERA_FIELDS:
            camera = sums.cameras.setdefault(rest[0], dict.fromkeys(CAMERA_FIELDS, 0))
            camera[kind] = value
        elif kind == "us":
            sums.us[rest[-1]] += value
        elif kind == "label_us":
            sums.sure_us += value
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
        people=_part(counters["face_us"], observed_us),
        coverage=min(1.0, observed_us / elapsed_us) if elapsed_us else 0.0,
    )


def _people(cameras: Sequence[CameraPeriod]) -> float | None:
    best_s = max((camera.observed_s for camera in cameras), default=0.0)
    near = (one.people for one in cameras if one.observed_s * 10 >= best_s)
    return max((people for people in near if people is not None), default=None)


def _shares(sums: _Sums) -> dict[str, Share]:
    total_us = sum(sums.us.values())
    if total_us == 0 or sums.sure_us == 0:
        return {}
    observations = sums.sure_us / 1e6 / INDEPENDENT_AFTER_S
    raw = {one: us / total_us for one, us in sums.us.items()}
    return {one: Share(share, *wilson(share, observations)) for one, share in raw.items()}


def _part(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
