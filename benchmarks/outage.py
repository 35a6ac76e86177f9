"""The receiver of a camera's frames is killed, is away for 5 s, and comes back.

    python -m benchmarks.outage [--quick]

A camera node at 30 frames a second and a worker, beside imagezmq REQ/REP, NetGear and bare
PUSH/PULL with the same pictures. All receivers come back at the same address.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks import peers
from benchmarks.peer_runs import (
    arrivals,
    at_once,
    longest_ms,
    ports_of,
    start_receiver,
    start_sender,
)
from benchmarks.pictures import write_jpegs
from benchmarks.plant import logged_site
from benchmarks.processes import end
from benchmarks.rows import Options, Row, at_most, run_alone
from tests.end_to_end.site import Component, Line, Site, numbers, select_for, until

_PEERS: Final = {
    "req": "imagezmq REQ/REP",
    "netgear": "vidgear NetGear",
    "push": "bare pyzmq PUSH/PULL",
}
_AWAY_S: Final = 5.0
_WARM_UP_S: Final = 6.0
# Of each frame, so that it is most often at work when it is killed.
_WORK_MS: Final = 25
# A frame that is older than this when it comes is stale.
_STALE_MS: Final = 200
_SETTLE: Final = 10


@dataclass(frozen=True)
class _Return:
    """`fresh_ms`: from the receiver's start to the first frame that is not stale."""

    fresh_ms: float
    stale: int
    longest_ms: float


def outage(options: Options) -> Iterator[Row]:
    peers.install()
    patience_s = options.length(20, 10)
    with tempfile.TemporaryDirectory() as name:
        picture = write_jpegs(Path(name), 1, 1)[0]
        theirs = at_once(_PEERS, lambda kind: _peer(kind, picture, patience_s))
        ours = _ours(name)
    named = {_named(who, one, patience_s): one for who, one in theirs.items()}
    beside = {who: one.fresh_ms for who, one in named.items()}
    yield at_most("worker back: first fresh frame after", ours.fresh_ms, "ms", 200, beside)
    stale = {who: float(one.stale) for who, one in named.items()}
    yield at_most("worker back: stale frames", ours.stale, "frames", 0, stale)
    held = {who: one.longest_ms for who, one in named.items()}
    name = "worker away: longest that the camera was held up"
    yield at_most(name, ours.longest_ms, "ms", 50, held)


def _named(who: str, one: _Return, patience_s: float) -> str:
    never = one.fresh_ms >= patience_s * 1000
    return f"{who} (none came in {patience_s:g} s)" if never else who


def _peer(kind: str, picture: Path, patience_s: float) -> _Return:
    (port,) = ports_of(kind, 1)
    first = start_receiver(kind, port, picture, 600, _WORK_MS)
    sender = start_sender(kind, [port], picture)
    try:
        select_for(_WARM_UP_S)
        end(first)
        select_for(_AWAY_S)
        second = start_receiver(kind, port, picture, patience_s, _WORK_MS)
        came = arrivals(second, patience_s)
    finally:
        end(first)
        held_ms = min(longest_ms(sender), (_AWAY_S + patience_s) * 1000)
    fresh = [one.after_ms for one in came if one.age_ms <= _STALE_MS]
    stale = sum(one.age_ms > _STALE_MS for one in came)
    return _Return(min(fresh, default=patience_s * 1000), stale, held_ms)


def _ours(folder: str) -> _Return:
    with logged_site() as site:
        reports, frames = site.address(), site.address()
        site.aggregator(reports)
        first = site.worker(frames, reports, "--min-frame-ms", str(_WORK_MS))
        camera = _camera(site, folder, frames)
        until(lambda: len(first.lines("started")) > _SETTLE, "the first worker works")
        first.kill()
        last = first.lines("started")[-1]["seq"]
        select_for(_AWAY_S)
        second = site.worker(frames, reports, "--min-frame-ms", str(_WORK_MS))
        until(lambda: len(second.lines("started")) > _SETTLE, "the second worker works")
        camera.stop()
        started = second.lines("started")
        fresh_ms = _ms(started[0]) - _ms(second.lines("worker ready")[0])
        stale = sum(line["seq"] <= last for line in started)
        stale += sum(age > _STALE_MS for age in numbers(started, "age_ms"))
        return _Return(fresh_ms, stale, camera.lines("longest call")[-1]["ms"])


def _camera(site: Site, folder: str, frames: str) -> Component:
    who = ("--name", "cam", "--room", "room", "--worker", frames, "--rate-hz", "30")
    camera = site.start("benchmarks.timed_camera", *who, "--source", f"{folder}?pixels")
    camera.wait_for("camera ready")
    return camera


def _ms(line: Line) -> float:
    return datetime.fromisoformat(line["time"]).timestamp() * 1000


if __name__ == "__main__":
    run_alone(outage, __doc__)
