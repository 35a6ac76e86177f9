"""How much of a worker's processor time goes into the pictures, and what more threads bring.

    python -m benchmarks.worker_share [--quick] [--detector FILE]

The share: decode + detect + classify timed alone, against all that a saturated worker uses
per frame, with a real camera node, an aggregator and Redis around it.
"""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from benchmarks.analysis_cost import FRAMES, PEOPLE, measure
from benchmarks.pictures import jpegs, write_jpegs
from benchmarks.plant import ROOM, Plant
from benchmarks.rows import Options, Row, at_least, run_alone, stated
from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.serving.compute import Compute, Finished
from roommood.inference_worker.serving.job import Job
from roommood.inference_worker.serving.ledger import Account
from roommood.inference_worker.vision.analysis import open_analyzer
from roommood.shared.clock import TransitClock, boot_ms
from roommood.shared.protocol.messages import Frame, Hello

# Together more than a worker can analyse: one that waits for frames is woken for each.
_CAMERAS: Final = ("cam-1", "cam-2")
_RATE_HZ: Final = "240"


def worker_share(options: Options) -> Iterator[Row]:
    for size in (640, 320):
        yield from _share(options, size)
    yield from _threads(options)


def _share(options: Options, size: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, Plant(options.detector) as plant:
        write_jpegs(Path(folder), FRAMES, PEOPLE)
        rounds = int(options.length(20, 4))
        before = measure(folder, rounds, options.detector, size)["cpu_ms"]
        worker = plant.worker("--input-size", str(size))
        for name in _CAMERAS:
            memory = ("--name", name, "--room", ROOM, "--source", folder, "--worker", plant.frames)
            plant.program("benchmarks.memory_camera", *memory, "--rate-hz", _RATE_HZ)
        whole, frames = plant.cost_ms(worker, options.length(20, 6), _CAMERAS)
        after = measure(folder, rounds, options.detector, size)["cpu_ms"]
        alone = (before + after) / 2
        note = (
            f"{whole:.2f} ms CPU a frame in the worker, alone {before:.2f} before it and "
            f"{after:.2f} after it; {frames} frames"
        )
        name = f"share of the worker's CPU in the pictures, input {size}"
        yield at_least(name, min(100.0, alone / whole * 100), "%", 90, note=note)
        name = f"worker's CPU per frame, 3 faces, input {size}"
        yield stated(name, whole, "ms CPU/frame", {"decode + detect + classify alone": alone})


def _threads(options: Options) -> Iterator[Row]:
    rounds, count = int(options.length(5, 2)), int(options.length(120, 30))
    rates: dict[str, list[float]] = {"one": [], "threads": [], "processes": []}
    fork = get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=fork) as pool:
        both = [(options.detector, count)] * 2
        list(pool.map(_one_process, both))
        for _ in range(rounds):
            rates["one"].append(_frames_a_second(options.detector, 1, count))
            rates["threads"].append(_frames_a_second(options.detector, 2, count * 2))
            began_s = time.monotonic()
            list(pool.map(_one_process, both))
            rates["processes"].append(count * 2 / (time.monotonic() - began_s))
    best = {name: max(all_of) for name, all_of in rates.items()}
    note = (
        f"{best['one']:.0f}, {best['threads']:.0f} and {best['processes']:.0f} frames/s; "
        "wall time: needs both cores to itself; best of the rounds"
    )
    against = best["threads"] / best["processes"]
    yield at_least("two compute threads against two processes", against, "x", 0.95, note=note)
    yield stated("two processes against one", best["processes"] / best["one"], "x", note=note)


_pools: dict[str, Compute] = {}


def _one_process(what: tuple[str, int]) -> float:
    return _frames_a_second(*what[:1], 1, what[1])


def _frames_a_second(detector: str, threads: int, count: int) -> float:
    """Frames fed in the process, through the threads of a worker."""
    key = f"{detector} {threads}"
    compute = _pools.get(key)
    if compute is None:
        analyzer = open_analyzer(detector)
        analyzer.warm_up()
        compute = Compute(analyzer, threads, lambda: None, max_age_ms=1e9, min_frame_ms=0)
        compute.start()
        _pools[key] = compute
        _feed(compute, threads * 4)
    began_s = time.monotonic()
    _feed(compute, count)
    return count / (time.monotonic() - began_s)


def _feed(compute: Compute, count: int) -> None:
    pictures = _pictures()
    for number in range(count):
        compute.submit(_job(number, pictures[number % FRAMES]))
    done = 0
    while done < count:
        while compute.events:
            done += isinstance(compute.events.popleft(), Finished)
        time.sleep(0.002)


@cache
def _pictures() -> list[bytes]:
    return jpegs(FRAMES, PEOPLE)


def _job(seq: int, jpeg: bytes) -> Job:
    hello = Hello("cam", "room", "b00t", 0, 1, 0, 30.0, 640, 480, 0, boot_ms())
    frame = Frame("cam", "room", "b00t", seq, 640, 480, 0, 0.0, 1, boot_ms(), jpeg)
    key, account = ("cam", "b00t", 0), Account(0, 0, 0)
    session = CameraSession(key, b"id", hello, account, boot_ms(), TransitClock())
    return Job(session, frame, 0.0, boot_ms())


if __name__ == "__main__":
    run_alone(worker_share, __doc__)
