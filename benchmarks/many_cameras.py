"""One worker with 1 to 1,000 cameras: cost per frame, fairness, and memory per camera.

    python -m benchmarks.many_cameras [--quick] [--detector FILE]

A real worker and aggregator; the cameras are simulated, each with a socket of its own and a Hello
every second, in four processes. All of them always have a fresh frame.
"""

import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from benchmarks.pictures import write_jpegs
from benchmarks.plant import ROOM, Plant
from benchmarks.processes import answer, cpu_s, end, rss_mb, start
from benchmarks.rows import Options, Row, at_least, at_most, run_alone, stated
from tests.end_to_end.site import select_for, until

_SWARMS: Final = 4
_SIZES: Final = (1, 10, 100, 1000)


def many_cameras(options: Options) -> Iterator[Row]:
    costs: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        write_jpegs(Path(name), 12, 1)
        for cameras in _SIZES:
            cost, fairness, rate = _crowd(name, cameras, options)
            costs[f"{cameras} cameras ({rate:.0f} frames/s)"] = cost
        least, most = min(costs.values()), max(costs.values())
        spread = (most / least - 1) * 100
        yield at_most("1 to 1,000 cameras: spread of the cost per frame", spread, "%", 15)
        yield stated(
            "worker's CPU per frame, 1 camera", next(iter(costs.values())), "ms CPU/frame", costs
        )
        yield at_least(f"Jain's fairness of {cameras} cameras", fairness, "", 0.98)
        yield from _memory(name, options)


def _crowd(folder: str, cameras: int, options: Options) -> tuple[float, float, float]:
    """Processor milliseconds per frame, Jain's fairness, frames a second."""
    with Plant(options.detector) as plant:
        worker = plant.worker("--input-size", "320")
        swarms = _swarms(plant, folder, cameras, "ready")
        try:
            until(lambda: _counts(plant), "frames are counted", 90.0)
            select_for(3.0)
            before, used = _counts(plant), cpu_s(worker.process.pid)
            seconds = options.length(8, 6) * (3 if cameras > 100 else 1)
            select_for(seconds)
            used = cpu_s(worker.process.pid) - used
            after = _counts(plant)
        finally:
            _end(swarms)
    each = [after.get(name, 0) - before.get(name, 0) for name in after]
    frames = sum(each)
    each += [0] * (cameras - len(each))
    jain = frames**2 / (cameras * sum(n * n for n in each))
    return used * 1000 / frames, jain, frames / seconds


def _counts(plant: Plant) -> dict[str, int]:
    """Frames counted by camera."""
    fields = plant.site.buckets(ROOM)
    return {
        field.removeprefix("frames:"): count
        for field, count in fields.items()
        if field.startswith("frames:")
    }


def _memory(folder: str, options: Options) -> Iterator[Row]:
    with Plant(options.detector) as plant:
        worker = plant.worker()
        select_for(2.0)
        empty = rss_mb(worker.process.pid)
        swarms = _swarms(plant, folder, 1000, "idle")
        try:
            select_for(options.length(15, 8))
            full = rss_mb(worker.process.pid)
            seconds = options.length(10, 5)
            used = cpu_s(worker.process.pid)
            select_for(seconds)
            used = (cpu_s(worker.process.pid) - used) / seconds
        finally:
            _end(swarms)
    # Its thousand links hear Hello and answer it each second.
    yield stated("worker's CPU per idle camera", used * 1000 / 1000, "ms CPU/s")
    name = "worker's memory per idle camera"
    yield stated(name, (full - empty), "kB", {"worker without cameras, MB": empty})


def _swarms(plant: Plant, folder: str, cameras: int, what: str) -> list[subprocess.Popen[str]]:
    parts = min(_SWARMS, cameras)
    edges = [round(part * cameras / parts) for part in range(parts + 1)]
    program = ["-m", "benchmarks.camera_swarm", plant.frames]
    return [
        start([*program, str(first), str(last - first), folder, what])
        for first, last in pairwise(edges)
    ]


def _end(swarms: Sequence[subprocess.Popen[str]]) -> None:
    for swarm in swarms:
        swarm.send_signal(signal.SIGTERM)
    for swarm in swarms:
        try:
            answer(swarm, 20)
        except RuntimeError:
            end(swarm)


if __name__ == "__main__":
    run_alone(many_cameras, __doc__)
