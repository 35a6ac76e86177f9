"""How old a frame is when its analysis starts, and who is served, when workers are too slow.

    python -m benchmarks.overload [--quick]

Real camera nodes, workers, an aggregator and Redis on loopback; workers are slowed with
`--min-frame-ms`. Beside the first run imagezmq and NetGear: 30 frames a second from pixels in
memory into a receiver that decodes, then sleeps 200 ms.
"""

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks import peers
from benchmarks.pictures import write_jpegs
from benchmarks.processes import ROOT, answer, cpu_s, end, start
from benchmarks.rows import Options, Row, at_least, at_most, run_alone
from inference_worker.model_files import SHIPPED_EXPRESSION
from tests.end_to_end.site import Component, Line, Site, numbers, quantile, select_for, until
from tests.redis_server import free_port

_SETTLE: Final = 10
_PEERS: Final = {"pub": "imagezmq PUB/SUB", "netgear": "vidgear NetGear"}


def overload(options: Options) -> Iterator[Row]:
    seconds = options.length(60, 12)
    for run in (one_camera, four_cameras, unequal_workers):
        yield from run(seconds)
    yield from back_again()


def one_camera(seconds: float) -> Iterator[Row]:
    """One camera at 30 frames/s, one worker that takes 200 ms a frame."""
    peers.install()
    with tempfile.TemporaryDirectory() as name, _site() as site:
        picture = write_jpegs(Path(name), 1, 1)[0]
        theirs = {kind: _peer(kind, picture, seconds) for kind in _PEERS}
        reports, frames = site.address(), site.address()
        site.aggregator(reports)
        worker = site.worker(frames, reports, "--min-frame-ms", "200", *_CHEAP)
        camera = _memory_camera(site, name, frames)
        until(lambda: len(worker.lines("started")) > _SETTLE, "the worker works")
        used = cpu_s(camera.process.pid)
        lines = _measure([worker], seconds)
        used = (cpu_s(camera.process.pid) - used) * 1000 / seconds
    yield from _ages(lines, {_PEERS[kind]: age for kind, (age, _) in theirs.items()})
    beside = {_PEERS[kind]: cpu for kind, (_, cpu) in theirs.items()}
    third = beside[_PEERS["pub"]] / 3
    note = "NetGear's sender is held up by its receiver: it compresses 5 frames a second, all stale"
    yield Row(
        "overload: sender's CPU", used, "ms CPU/s", "<= imagezmq / 3", used <= third, beside, note
    )
    yield at_least("overload: capacity used", len(lines) / seconds / 5 * 100, "%", 95)
    half = len(lines) // 2
    middle = [quantile(numbers(part, "age_ms"), 0.5) for part in (lines[:half], lines[half:])]
    drift = middle[1] - middle[0]
    yield at_most("overload: median age, second half - first", drift, "ms", 10)


def _ages(lines: list[Line], theirs: dict[str, float]) -> Iterator[Row]:
    ages = numbers(lines, "age_ms")
    yield at_most("overload: age at start, p50", quantile(ages, 0.5), "ms", 50)
    yield at_most("overload: age at start, p95", quantile(ages, 0.95), "ms", 50, theirs)
    yield at_most("overload: age at start, max", quantile(ages, 1.0), "ms", 200)


def _memory_camera(site: Site, folder: str, frames: str) -> Component:
    who = ("--name", "cam", "--room", "room", "--worker", frames, "--rate-hz", "30")
    camera = site.start("benchmarks.memory_camera", *who, "--source", f"{folder}?pixels")
    camera.wait_for("camera ready")
    return camera


def _peer(kind: str, picture: Path, seconds: float) -> tuple[float, float]:
    """Age at the start of the work (p95), and the sender's processor ms per second."""
    program = [str(ROOT / "benchmarks" / "peer_link.py"), kind]
    how = [str(free_port()), str(picture), str(seconds), "30", "slow"]
    receiver = start([*program, "receive", *how], str(peers.PYTHON))
    sender = start([*program, "send", *how], str(peers.PYTHON))
    try:
        select_for(seconds / 2)
        used = cpu_s(sender.pid)
        select_for(seconds / 3)
        used = (cpu_s(sender.pid) - used) * 1000 / (seconds / 3)
        return answer(receiver, seconds + 60)["p95_ms"], used
    finally:
        end(sender)
        end(receiver)


def four_cameras(seconds: float) -> Iterator[Row]:
    """Three cameras at 30 frames/s and one at 1, one worker that takes 200 ms a frame."""
    with _site() as site:
        reports, frames = site.address(), site.address()
        site.aggregator(reports)
        worker = site.worker(frames, reports, "--min-frame-ms", "200")
        for name in ("a", "b", "c"):
            site.camera(name, "room", "simulated", frames, "--rate-hz", "30")
        site.camera("slow", "room", "simulated", frames, "--rate-hz", "1")
        lines = _measure([worker], seconds)
        fast = [sum(line["camera"] == name for line in lines) for name in ("a", "b", "c")]
        jain = sum(fast) ** 2 / (3 * sum(n * n for n in fast))
        yield at_least("three cameras: Jain's fairness", jain, "", 0.98)
        used = len(lines) / seconds / 5 * 100
        yield at_least("with a slow camera: capacity used", used, "%", 90)
        slow = sum(line["camera"] == "slow" for line in lines) / seconds
        yield at_least("the slow camera's frames", slow, "frames/s", 0.8)
        age = quantile(numbers([one for one in lines if one["camera"] != "slow"], "age_ms"), 0.95)
        yield at_most("the fast cameras' age at start, p95", age, "ms", 50)


def unequal_workers(seconds: float) -> Iterator[Row]:
    """One camera at 30 frames/s, workers that take 50 and 400 ms a frame."""
    with _site() as site:
        reports, quick, slow = site.address(), site.address(), site.address()
        site.aggregator(reports)
        workers = [
            site.worker(quick, reports, "--min-frame-ms", "50", *_CHEAP),
            site.worker(slow, reports, "--min-frame-ms", "400", *_CHEAP),
        ]
        site.camera("cam", "room", "simulated", f"{quick} {slow}", "--rate-hz", "30")
        lines = _measure(workers, seconds)
        share = len(lines) / seconds / 22.5 * 100
        yield at_least("two unequal workers: joint capacity", share, "%", 90)
        twice = len(lines) - len({(line["boot"], line["seq"]) for line in lines})
        yield at_most("two unequal workers: frames twice", twice, "frames", 0)
        age = quantile(numbers(lines, "age_ms"), 0.95)
        yield at_most("two unequal workers: age at start, p95", age, "ms", 50)


def back_again() -> Iterator[Row]:
    """A worker killed, away for 5 s, and back at the same address."""
    with _site() as site:
        reports, frames = site.address(), site.address()
        site.aggregator(reports)
        first = site.worker(frames, reports, *_CHEAP)
        site.camera("cam", "room", "simulated", frames, "--rate-hz", "30")
        until(lambda: len(first.lines("started")) > _SETTLE, "the first worker works")
        first.kill()
        last = first.lines("started")[-1]["seq"]
        select_for(5.0)
        second = site.worker(frames, reports, *_CHEAP)
        until(lambda: len(second.lines("started")) > _SETTLE, "the second worker works")
        ready = _seconds(second.lines("worker ready")[0])
        started = second.lines("started")
        wait_s = _seconds(started[0]) - ready
        yield at_most("worker back: first frame after", wait_s * 1000, "ms", 200)
        oldest = numbers(started, "age_ms")[-1]
        yield at_most("worker back: oldest frame", oldest, "ms", 200)
        stale = sum(line["seq"] <= last for line in started)
        yield at_most("worker back: frames from before", stale, "frames", 0)


# A detector that finds little costs little, so that --min-frame-ms alone sets the pace.
_CHEAP = ("--input-size", "160")


def _measure(workers: list[Component], seconds: float) -> list[Line]:
    """The "started" lines of so many seconds, after the site has settled."""
    until(lambda: all(len(w.lines("started")) > _SETTLE for w in workers), "the workers work")
    before = [len(worker.lines("started")) for worker in workers]
    select_for(seconds)
    return [
        line
        for worker, skip in zip(workers, before, strict=True)
        for line in worker.lines("started")[skip:]
    ]


def _seconds(line: Line) -> float:
    return datetime.fromisoformat(line["time"]).timestamp()


class _site:
    def __enter__(self) -> Site:
        self._folder = tempfile.TemporaryDirectory()
        self._site = Site(Path(self._folder.name), str(SHIPPED_EXPRESSION))
        return self._site.__enter__()

    def __exit__(self, *what: object) -> None:
        self._site.__exit__(None, None, None)
        self._folder.cleanup()


if __name__ == "__main__":
    run_alone(overload, __doc__)
