"""Health of cameras and workers, as their hashes in Redis say. Pure: hashes in, values out."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from roommood.shared.protocol import messages
from roommood.shared.protocol.measures import Measured, measure, measured

Hash = Mapping[str, str]

# After so long a camera or worker that says nothing counts as silent.
SILENT_S: Final = 10.0
_SILENT: Final = {"description": "Since it was last heard; what follows is as old."}
_REDUCE: Final[Mapping[str, Callable[[Iterable[float]], float]]] = {"sum": sum, "max": max}


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraHealth(messages.CameraHealth):
    """What a camera said last, and what its workers counted of it, since their starts.

    None is what was not said. `silent_s` is how long nothing was heard: then all else is old.
    """

    camera: str
    silent_s: float = field(metadata=_SILENT)
    room: str = measure("", "Room that it watches.")
    rate_hz: float | None = measure(
        None, "Frames captured a second.", label="Rate", unit="Hz", sample="capture_rate_hertz"
    )
    width: int | None = measure(None, "Pixels of its pictures.")
    height: int | None = measure(None, "Pixels of its pictures.")
    lost_on_wire: int = measure(
        0, "Sent, but not received by a worker.", key="lost-on-wire", of_workers="sum",
        label="Lost on the wire", shown_digits=0,
    )  # fmt: skip
    analysed: int = measure(0, "Frames analysed, by all workers.", of_workers="sum")
    repeated: int = measure(
        0, "Frames not analysed, since nothing had changed in an empty room.", of_workers="sum"
    )
    evicted: int = measure(0, "1 where a worker evicted it: its key is revoked.", of_workers="max")
    refused: Mapping[str, int] = field(default_factory=dict, metadata={"description": "By reason."})
    transit_ms: float | None = measure(
        None, "What its newest frame spent on the wire.", of_workers="max",
        label="Time on the wire", unit="ms",
    )  # fmt: skip
    picture: str = measure("", "What is wrong with its picture; empty: nothing known.")
    release: str = measure("", "Its version.")
    workers: tuple[str, ...] = ()

    @property
    def trouble(self) -> str:
        """What is wrong with its pictures or with their way, in its own words; "" for nothing."""
        state = self.source if self.picture in ("", "ok") else self.picture
        return "" if state == "ok" else state


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHealth:
    """What a worker said last; times are moving averages or medians of its latest frames."""

    worker: str
    silent_s: float = field(metadata=_SILENT)
    address: str = measure("", "By which cameras reach it.")
    release: str = measure("", "Its version.")
    unreached: str = measure("", "Aggregators that it does not reach, and why.")
    provider: str = measure("", "The onnxruntime provider that finds faces.")
    up_s: float | None = measure(None, "Since its start.", label="Up for", unit="s")
    cameras: int = measure(0, "Cameras heard lately.", label="Cameras", shown_digits=0)
    threads: int = measure(0, "Compute threads.")
    analysed: int = measure(0, "Frames analysed.", label="Analysed", shown_digits=0)
    repeated: int = measure(
        0, "Looks spared, here or by cameras: nothing had changed in an empty room.",
        label="Repeated", shown_digits=0,
    )  # fmt: skip
    refused: int = measure(0, "Frames refused.", label="Refused", shown_digits=0)
    results_waiting: int = measure(
        0, "Results not yet acknowledged.", label="Results waiting", shown_digits=0
    )
    analysis_ms: float | None = measure(
        None, "Time of one analysis, mean over the latest 512.", label="Inference", unit="ms"
    )
    decode_ms: float | None = measure(
        None, "Of the time of one analysis, to decode.", label="Decode", unit="ms"
    )
    detect_ms: float | None = measure(
        None, "Of the time of one analysis, to find faces.", label="Detect", unit="ms"
    )
    classify_ms: float | None = measure(
        None, "Of the time of one analysis, to classify faces.", label="Classify", unit="ms"
    )
    age_p50_ms: float | None = measure(
        None, "Age of frames as their analysis starts, median.", key="age_at_start_p50_ms",
        label="Age, median", unit="ms", shown_digits=0,
    )  # fmt: skip
    age_p95_ms: float | None = measure(
        None, "Age below which 95 % of frames are as their analysis starts.",
        key="age_at_start_p95_ms", label="Age, 95 %", unit="ms", shown_digits=0,
    )  # fmt: skip


def camera_health(camera: str, fields: Hash, silent_s: float) -> CameraHealth:
    """From the fields of `roommood:camera:<id>`."""
    counts = _by_worker(fields)
    return CameraHealth(
        camera=camera,
        silent_s=silent_s + (_number(fields, "silent_ms") or 0.0) / 1000,
        refused=dict(_refusals(counts)),
        workers=tuple(sorted(workers_of(fields))),
        **{row.name: _value(row, fields, counts) for row in measured(CameraHealth)},
    )


def worker_health(worker: str, fields: Hash, silent_s: float) -> WorkerHealth:
    """From the fields of `roommood:worker:<id>`."""
    values = {row.name: _value(row, fields, {}) for row in measured(WorkerHealth)}
    return WorkerHealth(worker=worker, silent_s=silent_s, **values)


def workers_of(fields: Hash) -> set[str]:
    """The workers that have counted frames of a camera."""
    return {name.partition("@")[2] for name in fields if "@" in name}


def _by_worker(fields: Hash) -> dict[str, dict[str, float]]:
    """Fields like `analysed@<worker>`: by name, then by worker."""
    counts: dict[str, dict[str, float]] = defaultdict(dict)
    for name in fields:
        what, at, worker = name.partition("@")
        number = _number(fields, name) if at else None
        if number is not None:
            counts[what][worker] = number
    return counts


def _refusals(counts: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[str, int]]:
    for what in sorted(counts):
        total = round(sum(counts[what].values()))
        if what.startswith("refused-") and total:
            yield what.removeprefix("refused-"), total


def _number(fields: Hash, name: str) -> float | None:
    try:
        number = float(fields[name])
    except (KeyError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _value(row: Measured, fields: Hash, counts: Mapping[str, Mapping[str, float]]) -> Any:
    """What the hash says of a measure; its default where that is nothing."""
    if row.kind is str:
        return fields.get(row.key, row.default)
    how = row.measure.of_workers
    by_worker = counts.get(row.key, {}).values()
    number = _REDUCE[how](by_worker) if how and by_worker else _number(fields, row.key)
    if number is None or (row.measure.zero_is_unknown and number == 0):
        return row.default
    return round(number) if row.kind is int else number
