"""A camera on a link of 4 Mbit/s: how old a frame is when work on it begins.

    python -m benchmarks.slow_link [--quick]

A camera node at 30 frames a second (7 Mbit/s of JPEG) and a worker that takes 5 ms a frame, beside
imagezmq PUB/SUB and REQ/REP and NetGear with the same pictures, each through a proxy that passes on
no more than the link. `make faults` has the same over a cable that is throttled by the kernel.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import peers
from benchmarks.overload import memory_camera
from benchmarks.peer_runs import arrivals, at_once, ports_of, start_receiver, start_sender
from benchmarks.pictures import write_jpegs
from benchmarks.plant import logged_site
from benchmarks.processes import end
from benchmarks.rows import Options, Row, at_most, run_alone, stated
from tests.end_to_end.site import numbers, quantile, select_for, until
from tests.faults.proxy import FaultProxy

_PEERS: Final = {
    "pub": "imagezmq PUB/SUB",
    "req": "imagezmq REQ/REP",
    "netgear": "vidgear NetGear",
}
_MBIT_PER_S: Final = 4.0
_WORK_MS: Final = 5.0
# Until the link is full and each side knows it.
_SETTLE_S: Final = 5.0


def slow_link(options: Options) -> Iterator[Row]:
    peers.install()
    seconds = options.length(40, 12)
    with tempfile.TemporaryDirectory() as name:
        picture = write_jpegs(Path(name), 1, 1)[0]
        theirs = at_once(_PEERS, lambda kind: _peer(kind, picture, seconds))
        p95_ms, rate_hz = _ours(name, seconds)
    ages = {who: age for who, (age, _) in theirs.items()}
    yield at_most("4 Mbit/s: age at start, p95", p95_ms, "ms", 300, ages)
    rates = {who: rate for who, (_, rate) in theirs.items()}
    note = "REQ/REP, as NetGear speaks too, sends one frame at a time and holds up its camera"
    yield stated("4 Mbit/s: frames that arrive", rate_hz, "frames/s", rates, note)


def _peer(kind: str, picture: Path, seconds: float) -> tuple[float, float]:
    """Age at the start of the work (p95, ms), and frames a second."""
    (port,) = ports_of(kind, 1)
    whole_s = _SETTLE_S + seconds
    with FaultProxy(f"127.0.0.1:{port}") as proxy:
        proxy.limit(_MBIT_PER_S * 1e6)
        behind = int(proxy.address.rpartition(":")[2])
        # A publisher is connected to; the others connect.
        to_receiver, to_sender = (behind, port) if kind == "pub" else (port, behind)
        receiver = start_receiver(kind, to_receiver, picture, whole_s, _WORK_MS)
        sender = start_sender(kind, [to_sender], picture)
        try:
            came = arrivals(receiver, whole_s)
        finally:
            end(sender)
            end(receiver)
    settled = [one for one in came if one.after_ms >= _SETTLE_S * 1000]
    ages = sorted(float(one.age_ms) for one in settled)
    return quantile(ages, 0.95) if ages else float("inf"), len(ages) / seconds


def _ours(folder: str, seconds: float) -> tuple[float, float]:
    with logged_site() as site:
        reports, frames = site.address(), site.address()
        with FaultProxy(frames) as proxy:
            proxy.limit(_MBIT_PER_S * 1e6)
            site.aggregator(reports)
            told = ("--advertise", proxy.address)
            worker = site.worker(frames, reports, "--min-frame-ms", f"{_WORK_MS:g}", *told)
            camera = memory_camera(site, folder, proxy.address)
            until(lambda: worker.lines("started"), "the worker works")
            select_for(_SETTLE_S)
            before = len(worker.lines("started"))
            select_for(seconds)
            came = worker.lines("started")[before:]
            camera.stop()
        return quantile(numbers(came, "age_ms"), 0.95), len(came) / seconds


if __name__ == "__main__":
    run_alone(slow_link, __doc__)
