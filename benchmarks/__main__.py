"""Every benchmark in one run: `python -m benchmarks [--quick] [--only NAME ...]`, `make bench`.

Writes results.json and RESULTS.md beside this file; with --only, the other rows stay as they
were. `flicker`, `honest_room` and `unseen_faces` want a data set and run by themselves.
"""

import argparse
import json
import os
import platform
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, Final

from benchmarks import peers
from benchmarks.aggregation import aggregation
from benchmarks.analysis_cost import analysis_cost
from benchmarks.camera_cost import camera_cost
from benchmarks.cluster import cluster
from benchmarks.latency import latency
from benchmarks.many_cameras import many_cameras
from benchmarks.model_speed import model_speed
from benchmarks.outage import outage
from benchmarks.overload import overload
from benchmarks.people_driven import people_driven
from benchmarks.render import rendered
from benchmarks.rows import Benchmark, Options, add_options, options_of, printed
from benchmarks.scale import scale
from benchmarks.slow_link import slow_link
from benchmarks.source_cost import source_cost
from benchmarks.startup import startup
from benchmarks.starved_stream import starved_stream
from benchmarks.transport import transport
from benchmarks.worker_share import worker_share

FOLDER: Final = Path(__file__).parent
BENCHMARKS: Final[dict[str, Benchmark]] = {
    "transport": transport,
    "overload": overload,
    "outage": outage,
    "slow_link": slow_link,
    "analysis_cost": analysis_cost,
    "model_speed": model_speed,
    "worker_share": worker_share,
    "people_driven": people_driven,
    "latency": latency,
    "camera_cost": camera_cost,
    "source_cost": source_cost,
    "starved_stream": starved_stream,
    "aggregation": aggregation,
    "cluster": cluster,
    "many_cameras": many_cameras,
    "startup": startup,
    "scale": scale,
}
# They are compared with nobody else's program.
_WITHOUT_PEERS: Final = {"source_cost", "starved_stream"}
# Seconds that one benchmark may take; and from the start of all to when the rest are made the short
# way, so that a slow machine has them all after a quarter of an hour.
_LIMIT_S: Final = 600
_LONG_UNTIL_S: Final = 600
_PACKAGES: Final = ("pyzmq", "msgpack", "numpy", "opencv-python-headless", "onnxruntime", "redis")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS), metavar="NAME")
    given = parser.parse_args()
    names = given.only or list(BENCHMARKS)
    if set(names) - _WITHOUT_PEERS:
        peers.install()
    kept, failed, began_s = _kept(), [], time.monotonic()
    for number, name in enumerate(names, start=1):
        print(f"[{number}/{len(names)}] {name}, {time.monotonic() - began_s:.0f} s", flush=True)
        try:
            is_late = time.monotonic() - began_s > _LONG_UNTIL_S
            _run(name, replace(options_of(given), quick=given.quick or is_late), kept)
        except Exception as error:
            failed.append(name)
            print(f"  {name} failed: {error!r}", flush=True)
    print(f"{time.monotonic() - began_s:.0f} s")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}; their earlier rows stay")


def _run(name: str, options: Options, kept: dict[str, list[Any]]) -> None:
    """One benchmark; each row is written as it comes. Raises TimeoutError if it takes too long.

    Rows of an earlier run stay until their own row comes; those without one go at the end.
    """
    run = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "quick": options.quick,
        "load": round(os.getloadavg()[0], 1),
    }
    earlier, rows = kept.get(name, []), []
    with _limited(_LIMIT_S):
        for row in printed(BENCHMARKS[name](options)):
            rows.append({**asdict(row), **run})
            done = {one["name"] for one in rows}
            kept[name] = rows + [one for one in earlier if one["name"] not in done]
            _write([one for each in BENCHMARKS for one in kept.get(each, [])])
    kept[name] = rows
    _write([one for each in BENCHMARKS for one in kept.get(each, [])])


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Raises TimeoutError inside when the time is up."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _kept() -> dict[str, list[Any]]:
    """The rows of earlier runs, by benchmark."""
    path = FOLDER / "results.json"
    kept: dict[str, list[Any]] = {}
    for row in json.loads(path.read_text()) if path.is_file() else []:
        kept.setdefault(row["benchmark"], []).append(row)
    return kept


def _write(rows: list[Any]) -> None:
    (FOLDER / "results.json").write_text(json.dumps(rows, indent=2) + "\n")
    (FOLDER / "RESULTS.md").write_text(rendered(rows, machine(), versions()))


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "processor": f"{len(models)} x {models[0] if models else platform.machine()}",
        "memory": f"{memory_kb / 1e6:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    ours = {name: version(name) for name in ("roommood", *_PACKAGES)}
    theirs = {f"{name} (peers)": number for name, number in peers.versions().items()}
    return ours | theirs


if __name__ == "__main__":
    main()
