"""Health of cameras and workers, as their hashes in Redis say. Pure: hashes in, values out."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

Hash = Mapping[str, str]

# After so long a camera or worker that says nothing counts as silent.
SILENT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """What a camera said last, and what its workers counted of it, since their starts.

    None is what was not said. `silent_s` is how long nothing was heard: then all else is old.
    """

    camera: str
    silent_s: float
    room: str = ""
    rate_hz: float | None = None
    width: int | None = None
    height: int | None = None
    captured: int = 0
    sent: int = 0
    skipped: int = 0
    lost_with_worker: int = 0
    lost_on_wire: int = 0
    analysed: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    encode_ms: float | None = None
    transit_ms: float | None = None
    temperature_c: float | None = None
    picture: str = ""
    source: str = ""
    release: str = ""
    workers: tuple[str, ...] = ()

    @property
    def trouble(self) -> str:
        """What is wrong with its picture, in its own words; "" where nothing is."""
        said = self.picture or self.source
        return "" if said == "ok" else said


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """What a worker said last; times are moving averages or medians of its latest frames."""

    worker: str
    silent_s: float
    address: str = ""
    release: str = ""
    up_s: float | None = None
    cameras: int = 0
    threads: int = 0
    analysed: int = 0
    refused: int = 0
    results_waiting: int = 0
    analysis_ms: float | None = None
    decode_ms: float | None = None
    detect_ms: float | None = None
    classify_ms: float | None = None
    age_p50_ms: float | None = None
    age_p95_ms: float | None = None


def camera_health(camera: str, said: Hash, silent_s: float) -> CameraHealth:
    """From the fields of `roommood:camera:<id>`."""
    counts = _by_worker(said)
    return CameraHealth(
        camera=camera,
        silent_s=silent_s + (_number(said, "silent_ms") or 0.0) / 1000,
        room=said.get("room", ""),
        rate_hz=_number(said, "rate_hz"),
        width=_count_or_none(said, "width"),
        height=_count_or_none(said, "height"),
        captured=_count(said, "captured"),
        sent=_count(said, "sent"),
        skipped=_count(said, "skipped"),
        lost_with_worker=_count(said, "lost_with_worker"),
        lost_on_wire=round(sum(counts["lost-on-wire"].values())),
        analysed=round(sum(counts["analysed"].values())),
        refused=dict(_refusals(counts)),
        encode_ms=_number(said, "encode_ms") or None,
        transit_ms=max(counts["transit_ms"].values(), default=None),
        # A camera without a thermometer says 0.
        temperature_c=_number(said, "temperature_c") or None,
        picture=said.get("picture", ""),
        source=said.get("source", ""),
        release=said.get("release", ""),
        workers=tuple(sorted(workers_of(said))),
    )


def worker_health(worker: str, said: Hash, silent_s: float) -> WorkerHealth:
    """From the fields of `roommood:worker:<id>`."""
    return WorkerHealth(
        worker=worker,
        silent_s=silent_s,
        address=said.get("address", ""),
        release=said.get("release", ""),
        up_s=_number(said, "up_s"),
        cameras=_count(said, "cameras"),
        threads=_count(said, "threads"),
        analysed=_count(said, "analysed"),
        refused=_count(said, "refused"),
        results_waiting=_count(said, "results_waiting"),
        analysis_ms=_number(said, "analysis_ms"),
        decode_ms=_number(said, "decode_ms"),
        detect_ms=_number(said, "detect_ms"),
        classify_ms=_number(said, "classify_ms"),
        age_p50_ms=_number(said, "age_at_start_p50_ms"),
        age_p95_ms=_number(said, "age_at_start_p95_ms"),
    )


def workers_of(said: Hash) -> set[str]:
    """The workers that have counted frames of a camera."""
    return {name.partition("@")[2] for name in said if "@" in name}


def _by_worker(said: Hash) -> dict[str, dict[str, float]]:
    """Fields like `analysed@<worker>`: by name, then by worker."""
    counts: dict[str, dict[str, float]] = defaultdict(dict)
    for name in said:
        what, at, worker = name.partition("@")
        number = _number(said, name) if at else None
        if number is not None:
            counts[what][worker] = number
    return counts


def _refusals(counts: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[str, int]]:
    for what in sorted(counts):
        total = round(sum(counts[what].values()))
        if what.startswith("refused-") and total:
            yield what.removeprefix("refused-"), total


def _number(said: Hash, name: str) -> float | None:
    try:
        number = float(said[name])
    except (KeyError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _count(said: Hash, name: str) -> int:
    return _count_or_none(said, name) or 0


def _count_or_none(said: Hash, name: str) -> int | None:
    number = _number(said, name)
    return None if number is None else round(number)
