"""One worker with 1 to 1,000 cameras: cost per frame, fairness, and memory per camera.

    python -m benchmarks.many_cameras [--quick] [--detector FILE]

A real worker and aggregator; the cameras are simulated, each with a socket of its own and a Hello
every second, in four processes. All of them always have a fresh frame.
"""

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.camera_swarm import room_of
from benchmarks.pictures import write_jpegs
from benchmarks.plant import Plant
from benchmarks.processes import answer, cpu_s, end, rss_mb, start
from benchmarks.rows import Options, Row, at_least, at_most, run_alone, stated
from tests.end_to_end.site import Component, select_for, until

_SWARMS: Final = 4
_SIZES: Final = (1, 10, 100, 1000)
_IDLE: Final = 1000
# Of so many spans the one in the middle tells what a Hello costs: so small a cost is half as much
# again while something else runs on the machine.
_SPANS: Final = 5


@dataclass(frozen=True)
class Crowd:
    """Processor milliseconds per frame, Jain's fairness, frames a second."""

    cost_ms: float
    fairness: float
    frames_hz: float


@dataclass(frozen=True)
class Idle:
    """Processor milliseconds a Hello, kB a camera, MB without any."""

    hello_ms: float
    camera_kb: float
    empty_mb: float


def many_cameras(options: Options) -> Iterator[Row]:
    costs: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        write_jpegs(Path(name), 12, 1)
        idle = _idle(name, options)
        yield at_most("worker's CPU for a Hello", idle.hello_ms, "ms CPU", 0.1)
        beside = {"worker without cameras, MB": idle.empty_mb}
        yield stated("worker's memory per idle camera", idle.camera_kb, "kB", beside)
        for cameras in _SIZES:
            crowd = _crowd(name, cameras, options)
            # Each says Hello each second; how many frames share that is a matter of the machine.
            hellos_ms = cameras * idle.hello_ms / crowd.frames_hz
            costs[f"{cameras} cameras ({crowd.frames_hz:.0f} frames/s)"] = crowd.cost_ms - hellos_ms
        least, most = min(costs.values()), max(costs.values())
        around = (most - least) / (most + least) * 100
        what = "1 to 1,000 cameras: cost per frame without Hellos, around their middle"
        yield at_most(what, around, "+-%", 10, costs)
        yield at_least(f"Jain's fairness of {cameras} cameras", crowd.fairness, "", 0.98)


def _crowd(folder: str, cameras: int, options: Options) -> Crowd:
    with Plant(options.detector) as plant:
        worker = plant.worker("--input-size", "320")
        swarms = _swarms(plant, folder, cameras, "ready")
        try:
            until(lambda: len(_counts(plant, cameras)) == cameras, "all are counted", 90.0)
            select_for(3.0)
            before, used = _counts(plant, cameras), cpu_s(worker.process.pid)
            seconds = options.length(8, 6) * (3 if cameras > 100 else 1)
            select_for(seconds)
            used = cpu_s(worker.process.pid) - used
            after = _counts(plant, cameras)
        finally:
            _end(swarms)
    each = [after.get(name, 0) - before.get(name, 0) for name in after]
    frames = sum(each)
    each += [0] * (cameras - len(each))
    jain = frames**2 / (cameras * sum(n * n for n in each))
    return Crowd(used * 1000 / frames, jain, frames / seconds)


def _counts(plant: Plant, cameras: int) -> dict[str, int]:
    """Frames counted by camera."""
    rooms = sorted({room_of(number) for number in range(cameras)})
    return {
        field.removeprefix("frames:"): count
        for room in rooms
        for field, count in plant.site.buckets(room).items()
        if field.startswith("frames:")
    }


def _idle(folder: str, options: Options) -> Idle:
    """A thousand cameras without a frame to send: the worker hears and answers their Hellos."""
    with Plant(options.detector) as plant:
        worker = plant.worker()
        select_for(2.0)
        empty = rss_mb(worker.process.pid)
        swarms = _swarms(plant, folder, _IDLE, "idle")
        try:
            select_for(options.length(15, 8))
            full = rss_mb(worker.process.pid)
            spans_s = [options.length(3, 2)] * _SPANS
            hello_ms = median(_cost_ms(worker, seconds) / _IDLE for seconds in spans_s)
        finally:
            _end(swarms)
    return Idle(hello_ms=hello_ms, camera_kb=(full - empty) * 1000 / _IDLE, empty_mb=empty)


def _cost_ms(worker: Component, seconds: float) -> float:
    """Processor milliseconds of each second."""
    used_s, began_s = cpu_s(worker.process.pid), time.monotonic()
    select_for(seconds)
    used_s = cpu_s(worker.process.pid) - used_s
    return used_s * 1000 / (time.monotonic() - began_s)


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
