"""How old a frame is when its analysis starts, and who is served, when workers are too slow.

    python -m benchmarks.overload [--quick]

Real camera nodes, workers, an aggregator and Redis on loopback; workers are slowed with
`--min-frame-ms`. Beside the first run imagezmq and NetGear: 30 frames a second from pixels in
memory into a receiver that decodes, then sleeps 200 ms.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import peers
from benchmarks.peer_runs import arrivals, at_once, ports_of, start_receiver, start_sender
from benchmarks.pictures import write_jpegs
from benchmarks.plant import logged_site
from benchmarks.processes import answer, cpu_s, end, start
from benchmarks.rows import Options, Row, at_least, at_most, run_alone
from benchmarks.transport import peer_link
from tests.end_to_end.site import Component, Line, Site, numbers, quantile, select_for, until

_SETTLE: Final = 10
_PEERS: Final = {"pub": "imagezmq PUB/SUB", "netgear": "vidgear NetGear"}
_PAIRS: Final = {
    "pub": "imagezmq PUB/SUB",
    "netgear-two": "vidgear NetGear",
    "push": "bare pyzmq PUSH/PULL",
}
# The least that sends frames on credit, and how many times as much of that a camera node may need:
# as in `benchmarks.transport`.
_CREDIT: Final = "bare pyzmq, a credit a frame, alone"
_TIMES_CREDIT: Final = 2.5
# Frames a second that workers of 50 and of 400 ms a frame take together.
_BOTH_HZ: Final = 22.5


def overload(options: Options) -> Iterator[Row]:
    peers.install()
    yield from one_camera(options.length(60, 12))
    for run in (four_cameras, unequal_workers):
        yield from run(options.length(15, 12))


def one_camera(seconds: float) -> Iterator[Row]:
    """One camera at 30 frames/s, one worker that takes 200 ms a frame."""
    with tempfile.TemporaryDirectory() as name, logged_site() as site:
        picture = write_jpegs(Path(name), 1, 1)[0]
        theirs = at_once(_PEERS, lambda kind: _peer(kind, picture, seconds))
        reports, frames = site.address(), site.address()
        site.aggregator(reports)
        worker = site.worker(frames, reports, "--min-frame-ms", "200", *CHEAP)
        camera = memory_camera(site, name, frames)
        until(lambda: len(worker.lines("started")) > _SETTLE, "the worker works")
        lines = _measure([worker], seconds)
        # Beside each other, since what else the machine does makes all of them dearer.
        used_s, began_s = cpu_s(camera.process.pid), time.monotonic()
        own = _least(name, picture, len(lines) / seconds, seconds / 3)
        used_s = cpu_s(camera.process.pid) - used_s
        used = used_s * 1000 / (time.monotonic() - began_s)
    yield from _ages(lines, {who: age for who, (age, _) in theirs.items()})
    beside = {who: cpu for who, (_, cpu) in theirs.items()}
    beside |= own
    most = own["capture alone"] + own["compress alone"] + _TIMES_CREDIT * own[_CREDIT]
    note = (
        "imagezmq's sender captures nothing: its pictures lie in memory; "
        "NetGear's is held up by its receiver and compresses 5 frames a second, all stale"
    )
    bar = f"<= capture + compress + {_TIMES_CREDIT:g} x bare credit"
    yield Row("overload: sender's CPU", used, "ms CPU/s", bar, used <= most, beside, note)
    yield at_least("overload: capacity used", len(lines) / seconds / 5 * 100, "%", 95)
    # Work of 200 ms takes six pictures' time to the millisecond, so that a frame's age creeps up
    # and down by the time of one picture within the minute; what must not be is that it grows.
    half = len(lines) // 2
    late = [quantile(numbers(part, "age_ms"), 0.95) for part in (lines[:half], lines[half:])]
    yield at_most("overload: age p95, second half - first", late[1] - late[0], "ms", 34)


def _ages(lines: list[Line], theirs: dict[str, float]) -> Iterator[Row]:
    ages = numbers(lines, "age_ms")
    yield at_most("overload: age at start, p50", quantile(ages, 0.5), "ms", 50)
    yield at_most("overload: age at start, p95", quantile(ages, 0.95), "ms", 50, theirs)
    yield at_most("overload: age at start, max", quantile(ages, 1.0), "ms", 200)


def memory_camera(site: Site, folder: str, frames: str) -> Component:
    """A camera node at 30 frames a second whose pictures lie in memory as pixels."""
    who = ("--name", "cam", "--room", "room", "--worker", frames, "--rate-hz", "30")
    camera = site.start("benchmarks.memory_camera", *who, "--source", f"{folder}?pixels")
    camera.wait_for("camera ready")
    return camera


def _least(folder: str, picture: Path, frames_hz: float, seconds: float) -> dict[str, float]:
    """Processor ms a second of what no sender does without, while the site still runs."""
    capture = ["benchmarks.memory_camera", "capture", f"{folder}?pixels", "30", str(seconds)]
    compress = ["benchmarks.bare", "compress", str(picture), str(frames_hz), str(seconds)]
    runs = {"capture alone": start(["-m", *capture]), "compress alone": start(["-m", *compress])}
    sent_ms, _ = peer_link("credit", picture, round(frames_hz * seconds), frames_hz, "raw")
    least = {what: answer(run, seconds + 60)["cpu_ms_per_s"] for what, run in runs.items()}
    return least | {_CREDIT: sent_ms * frames_hz}


def _peer(kind: str, picture: Path, seconds: float) -> tuple[float, float]:
    """Age at the start of the work (p95), and the sender's processor ms per second."""
    (port,) = ports_of(kind, 1)
    receiver = start_receiver(kind, port, picture, seconds, 200)
    sender = start_sender(kind, [port], picture)
    try:
        select_for(seconds / 2)
        used = cpu_s(sender.pid)
        select_for(seconds / 3)
        used = (cpu_s(sender.pid) - used) * 1000 / (seconds / 3)
        ages = sorted(float(one.age_ms) for one in arrivals(receiver, seconds))
        return quantile(ages, 0.95), used
    finally:
        end(sender)
        end(receiver)


def four_cameras(seconds: float) -> Iterator[Row]:
    """Three cameras at 30 frames/s and one at 1, one worker that takes 200 ms a frame."""
    with logged_site() as site:
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
    with tempfile.TemporaryDirectory() as name:
        picture = write_jpegs(Path(name), 1, 1)[0]
        theirs = at_once(_PAIRS, lambda kind: _pair(kind, picture, seconds))
    with logged_site() as site:
        reports, quick, slow = site.address(), site.address(), site.address()
        site.aggregator(reports)
        workers = [
            site.worker(quick, reports, "--min-frame-ms", "50", *CHEAP),
            site.worker(slow, reports, "--min-frame-ms", "400", *CHEAP),
        ]
        site.camera("cam", "room", "simulated", f"{quick} {slow}", "--rate-hz", "30")
        lines = _measure(workers, seconds)
        twice = len(lines) - len({(line["session"], line["seq"]) for line in lines})
        age = quantile(numbers(lines, "age_ms"), 0.95)
    share = (len(lines) - twice) / seconds / _BOTH_HZ * 100
    names = ("joint capacity", "frames twice", "age at start, p95")
    capacity, doubled, ages = (
        {who: figures[place] for who, figures in theirs.items()} for place in range(3)
    )
    yield at_least(f"two unequal workers: {names[0]}", share, "%", 90, capacity)
    yield at_most(f"two unequal workers: {names[1]}", twice, "frames", 0, doubled)
    yield at_most(f"two unequal workers: {names[2]}", age, "ms", 50, ages)


def _pair(kind: str, picture: Path, seconds: float) -> tuple[float, float, float]:
    """Joint capacity (%, each frame once), frames worked on twice, p95 of their age (ms)."""
    ports = ports_of(kind, 2)
    receivers = [
        start_receiver(kind, port, picture, seconds, work_ms)
        for port, work_ms in zip(ports, (50, 400), strict=True)
    ]
    sender = start_sender(kind, sorted(set(ports)), picture)
    try:
        came = [one for receiver in receivers for one in arrivals(receiver, seconds)]
    finally:
        for process in (sender, *receivers):
            end(process)
    # Receivers of NetGear read the time of capture from the picture, to the millisecond.
    once = len({one.captured_ms for one in came})
    began_ms = min(one.after_ms for one in came)
    share = once / (seconds - began_ms / 1000) / _BOTH_HZ * 100
    ages = sorted(float(one.age_ms) for one in came)
    return share, len(came) - once, quantile(ages, 0.95)


# A detector that finds little costs little, so that --min-frame-ms alone sets the pace.
CHEAP = ("--input-size", "160")


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


if __name__ == "__main__":
    run_alone(overload, __doc__)
