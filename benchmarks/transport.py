"""What it costs to bring a frame from one process to another, beside the peers.

    python -m benchmarks.transport [--quick]

Processor time per frame, I/O threads included, on loopback. First the same JPEG bytes are passed
on, as fast as it goes and at 100 frames a second, where each frame wakes a core that rested; then
each side also compresses and decodes, all at quality 80.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import peers
from benchmarks.pictures import write_jpegs
from benchmarks.processes import ROOT, answer, early_answer, end, start
from benchmarks.rows import Options, Row, at_most, run_alone, stated
from tests.ports import free_port

FULL_HZ: Final = 5000
PACED_HZ: Final = 100
# Times what a bare loop with credit costs, in the same run.
_SIDE_BAR: Final = 2.5
_NAMES: Final = {
    "push": "bare pyzmq PUSH/PULL",
    "credit": "bare pyzmq, a credit a frame",
    "req": "imagezmq REQ/REP",
    "pub": "imagezmq PUB/SUB",
    "netgear": "vidgear NetGear",
    "netgear-raw": "vidgear NetGear, uncompressed",
}
# Those that pass on bytes as they are.
_BYTES: Final = ("push", "credit", "req", "pub")
Sides = tuple[float, float]


def transport(options: Options) -> Iterator[Row]:
    peers.install()
    count = int(options.length(1000, 400))
    with tempfile.TemporaryDirectory() as folder:
        picture = write_jpegs(Path(folder), 1, 3)[0]
        for rate_hz in (FULL_HZ, PACED_HZ):
            frames = count * 3 if rate_hz == FULL_HZ else count
            own = _own(picture, frames, rate_hz, "raw")
            others = {one: peer_link(one, picture, frames, rate_hz, "raw") for one in _BYTES}
            yield from _alone(own, others, rate_hz)
        codecs = {mode: _own(picture, count, PACED_HZ, mode) for mode in ("codec", "luma")}
        kinds = [kind for kind in _NAMES if kind != "credit"]
        others = {one: peer_link(one, picture, count, PACED_HZ, "codec") for one in kinds}
        yield from _with_codec(codecs, others)


def _alone(own: Sides, others: dict[str, Sides], rate_hz: int) -> Iterator[Row]:
    for side, place in (("camera", 0), ("worker", 1)):
        beside = {_NAMES[kind]: sides[place] for kind, sides in others.items()}
        if rate_hz == FULL_HZ:
            name = f"transport alone, {side} side, full speed"
            bar = _SIDE_BAR * others["credit"][place]
            yield at_most(name, own[place], "ms CPU/frame", bar, beside)
        else:
            name = f"transport alone, {side} side, {rate_hz} frames/s"
            yield stated(name, own[place], "ms CPU/frame", beside)


def _with_codec(own: dict[str, Sides], others: dict[str, Sides]) -> Iterator[Row]:
    beside = {_NAMES[kind]: sum(sides) for kind, sides in others.items()}
    bar = min(beside[_NAMES["req"]], beside[_NAMES["netgear"]])
    for mode, name, note in (
        ("codec", "codec + transport, both sides", "all compress and decode colour"),
        ("luma", "codec + transport, models that read gray", "the luma alone is decoded"),
    ):
        cost = sum(own[mode])
        yield Row(
            name, cost, "ms CPU/frame", "< imagezmq REQ/REP, NetGear", cost < bar, beside, note
        )  # fmt: skip


def _own(picture: Path, count: int, rate_hz: int, mode: str) -> Sides:
    address = f"tcp://127.0.0.1:{free_port()}"
    program = ["-m", "benchmarks.own_link"]
    how = [address, str(picture), str(count), str(rate_hz), mode]
    receiver = start([*program, "receive", *how])
    sender = start([*program, "send", *how])
    try:
        return answer(sender, 120)["cpu_ms"], answer(receiver, 120)["cpu_ms"]
    finally:
        end(sender)
        end(receiver)


def peer_link(kind: str, picture: Path, count: int, rate_hz: float, mode: str) -> Sides:
    """Processor milliseconds a frame of a peer's sender and of its receiver."""
    program = [str(ROOT / "benchmarks" / "peer_link.py"), kind]
    how = [str(free_port()), str(picture), str(count), str(rate_hz), mode]
    receiver = start([*program, "receive", *how], str(peers.PYTHON))
    sender = start([*program, "send", *how], str(peers.PYTHON))
    try:
        received = answer(receiver, 180)["cpu_ms"]
        sent = early_answer(sender)["cpu_ms"]
        return sent, received
    finally:
        end(sender)
        end(receiver)


if __name__ == "__main__":
    run_alone(transport, __doc__)
