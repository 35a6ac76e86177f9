"""A full disk, and no more descriptors: what runs goes on, and all is as before afterwards."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zmq

from benchmarks.processes import cpu_s
from roommood.shared.clock import boot_ms
from roommood.shared.protocol import wire
from roommood.shared.protocol.messages import Hello
from tests.end_to_end.site import Component, select_for, until
from tests.faults.checker import judge
from tests.faults.plant import (
    CHEAP,
    ROOM,
    WATCHED,
    WORKER,
    FaultSite,
    first_after,
    first_counted,
    ids,
    true_ages_ms,
)
from tests.rows import Outcome, Row, Skipped, Trial

_SMALL_DISK: Final = "64k"
_DESCRIPTORS: Final = 256
_CROWD: Final = 300
# A log line that cannot be written ends the process.
_LOGGING_OR_DEATH: Final = {
    WORKER: """
import logging, os
logging.Handler.handleError = lambda self, record: os._exit(1)
"""
}


# A full disk


def full_disk(trial: Trial) -> Outcome:
    """A worker logs to a disk that is full: it works on, and logs again once there is room."""
    with _small_disk(trial.folder / "disk") as disk:
        preludes = {} if trial.protected else _LOGGING_OR_DEATH
        with FaultSite(trial.folder, preludes) as site:
            reports, frames = site.address(), site.address()
            aggregator = site.aggregator(reports)
            worker = _logging_to(disk, site, frames, reports)
            camera = site.camera("a", ROOM, "simulated", frames, "--rate-hz", "10")
            until(lambda: site.frames(ROOM, "a") > 5, "frames are counted")
            ballast = disk / "ballast"
            _fill(ballast)
            until(lambda: _is_full(disk), "the disk is full")
            counted = site.frames(ROOM, "a")
            until(lambda: site.frames(ROOM, "a") > counted + 30, "frames are counted still", 15.0)
            written = (disk / "log").stat().st_size
            ballast.unlink()
            until(lambda: (disk / "log").stat().st_size > written, "it logs again", 15.0)
            codes = [component.stop() for component in (camera, worker, aggregator)]
            sent = camera.wait_for("camera ended")["sent"]
            counted = site.frames(ROOM, "a")
    wrong = f"exit codes {codes}" if any(codes) else ""
    return Outcome(wrong=wrong, detail=f"{counted} of {sent} frames sent were counted")


@contextlib.contextmanager
def _small_disk(place: Path) -> Iterator[Path]:
    place.mkdir(parents=True, exist_ok=True)
    mount = ("mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK}", "tmpfs", str(place))
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        raise Skipped("to mount a small disk wants root")
    try:
        yield place
    finally:
        subprocess.run(("umount", "--lazy", str(place)), check=False)


def _logging_to(disk: Path, site: FaultSite, frames: str, reports: str) -> Component:
    """A worker whose log lies on that disk from its first line on."""
    site.wrap = ("sh", "-c", f'exec "$@" >>{disk}/log 2>&1', "sh")
    worker = site.start_worker(frames, reports, *CHEAP)
    site.wrap = ()
    worker.log = disk / "log"
    until(worker.log.exists, "its log is there")
    worker.wait_for("worker ready")
    return worker


def _fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))


def _is_full(disk: Path) -> bool:
    return os.statvfs(disk).f_bavail == 0


# No more descriptors


def few_descriptors(trial: Trial) -> Outcome:
    """300 cameras connect to a worker that may open 256 descriptors: the one it had is served."""
    limit = _DESCRIPTORS
    with FaultSite(trial.folder, WATCHED) as site:
        reports, frames = site.address(), site.address()
        site.wrap = ("prlimit", f"--nofile={limit}:{limit}")
        aggregator = site.aggregator(reports)
        worker = site.worker(frames, reports, *CHEAP)
        site.wrap = ()
        camera = site.camera("a", ROOM, "simulated", frames, "--rate-hz", "10")
        first_counted(lambda: [worker], time.time())
        with _crowd(frames):
            until(lambda: _descriptors(worker) >= limit - 2, "the worker has no descriptor left")
            since, used_s = time.time(), cpu_s(worker.process.pid)
            select_for(8.0)
            load = (cpu_s(worker.process.pid) - used_s) / 8.0
            served = [line for line in worker.lines("began") if line["camera"] == "a"]
            ages = true_ages_ms(site, since)
        gone = time.time()
        late = site.camera("late", ROOM, "simulated", frames, "--rate-hz", "10")
        back = _begun(worker, "late", gone)
        codes = [component.stop() for component in (camera, late, worker, aggregator)]
        wrong = [f"exit codes {codes}"] if any(codes) else []
        begun = [age for frame, age in ages.items() if frame in {ids(line) for line in served}]
        if len(begun) < 40:
            wrong.append(f"{len(begun)} frames of the served camera in 8 s")
        return judge(site).outcome(
            wrong="; ".join(wrong),
            detail=f"{len(begun)} frames of the served camera in 8 s, none older than "
            f"{max(begun, default=0):.0f} ms; {load:.0%} of a processor; a newcomer was served "
            f"{back - gone:.1f} s after the crowd had gone",
        )


def _begun(worker: Component, camera: str, since: float) -> float:
    until(
        lambda: [line for line in worker.lines("began") if line["camera"] == camera], "it is served"
    )
    return first_after(lambda: [worker], "began", since)


def _descriptors(worker: Component) -> int:
    return len(os.listdir(f"/proc/{worker.process.pid}/fd"))


@contextlib.contextmanager
def _crowd(address: str) -> Iterator[None]:
    """Connections of cameras that say Hello once and want no credit."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.setsockopt(zmq.MAX_SOCKETS, _CROWD + 8)
    sockets = []
    for number in range(_CROWD):
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(f"tcp://{address}")
        name = f"crowd-{number}"
        hello = Hello(name, ROOM, name, 0, 1, 0, 1.0, 640, 480, 0, boot_ms())
        socket.send(wire.encode_hello(hello))
        sockets.append(socket)
    try:
        yield
    finally:
        for socket in sockets:
            socket.close(0)
        context.term()


ROWS: Final = (
    Row(
        "full-disk",
        "a worker's log on a full disk",
        full_disk,
        group="Resources",
        control="errors of logging stay in logging",
    ),
    Row(
        "few-descriptors",
        "300 cameras at a worker of 256 descriptors",
        few_descriptors,
        group="Resources",
    ),
)
