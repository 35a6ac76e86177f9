"""Every benchmark in one run: `python -m benchmarks [--quick] [--only NAME ...]`, `make bench`.

Writes results.json and RESULTS.md beside this file; with --only, the other rows stay as they
were. `flicker` and `honest_room` want a data set and run by themselves.
"""

import argparse
import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks import peers
from benchmarks.aggregation import aggregation
from benchmarks.analysis_cost import analysis_cost
from benchmarks.camera_cost import camera_cost
from benchmarks.latency import latency
from benchmarks.many_cameras import many_cameras
from benchmarks.overload import overload
from benchmarks.render import rendered
from benchmarks.rows import Benchmark, add_options, options_of, printed
from benchmarks.startup import startup
from benchmarks.transport import transport
from benchmarks.worker_share import worker_share

FOLDER: Final = Path(__file__).parent
BENCHMARKS: Final[dict[str, Benchmark]] = {
    "transport": transport,
    "overload": overload,
    "analysis_cost": analysis_cost,
    "worker_share": worker_share,
    "latency": latency,
    "camera_cost": camera_cost,
    "aggregation": aggregation,
    "many_cameras": many_cameras,
    "startup": startup,
}
_PACKAGES: Final = ("pyzmq", "msgpack", "numpy", "opencv-python-headless", "onnxruntime", "redis")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS), metavar="NAME")
    given = parser.parse_args()
    peers.install()
    names = given.only or list(BENCHMARKS)
    kept = _kept()
    for number, name in enumerate(names, start=1):
        print(f"[{number}/{len(names)}] {name}", flush=True)
        run = {
            "benchmark": name,
            "at": datetime.now(UTC).isoformat(timespec="minutes"),
            "quick": given.quick,
            "load": round(os.getloadavg()[0], 1),
        }
        rows = list(printed(BENCHMARKS[name](options_of(given))))
        kept[name] = [{**asdict(row), **run} for row in rows]
        _write([row for one in BENCHMARKS for row in kept.get(one, [])])


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
