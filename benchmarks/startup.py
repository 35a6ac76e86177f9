"""From nothing to the first statistic in Redis; `--help`; size and memory of a camera node.

python -m benchmarks.startup [--quick] [--detector FILE]
"""

import importlib.metadata
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import peers
from benchmarks.pictures import write_jpegs
from benchmarks.plant import ROOM, Plant
from benchmarks.processes import ROOT, cpu_s, rss_mb
from benchmarks.rows import Options, Row, at_most, run_alone, stated
from roommood.aggregator.redis import keys as redis_keys
from tests.end_to_end.site import EVERY_FRAME, select_for, until

_HELP: Final = (sys.executable, "-c", "from roommood.deploy.cli import main; main()", "--help")


def startup(options: Options) -> Iterator[Row]:
    rounds = int(options.length(5, 2))
    yield from _first_statistic(options, rounds)
    yield from _help(rounds * 2)
    yield from _memory(options)
    yield from _size()


def _first_statistic(options: Options, rounds: int) -> Iterator[Row]:
    times, used = [], []
    with tempfile.TemporaryDirectory() as name:
        write_jpegs(Path(name), 6, 1)
        for _ in range(rounds):
            took_s, cpu = _one_start(name, options)
            times.append(took_s)
            used.append(cpu)
    note = f"{min(times):.2f} to {max(times):.2f} s; all three processes start at once"
    beside = {"CPU of all three": median(used)}
    yield at_most("start to first statistic in Redis", median(times), "s", 3, beside, note)


def _one_start(folder: str, options: Options) -> tuple[float, float]:
    """Seconds of wall time, and of processor time; Redis is there, all else is started."""
    with Plant(options.detector) as plant:
        plant.aggregator.kill()
        began_s = time.monotonic()
        where = ("--bind", plant.reports, "--redis", plant.site.redis.url)
        to = ("--bind", plant.frames, "--aggregator", plant.reports)
        who = ("--name", "cam", "--room", ROOM, "--worker", plant.frames)
        started = [
            plant.site.start("roommood.aggregator.cli", *where),
            plant.site.start(
                "roommood.inference_worker.cli", *to, *EVERY_FRAME, "--detector", options.detector
            ),
            plant.site.start(
                "roommood.camera_node.cli", *who, "--source", folder, "--rate-hz", "30"
            ),
        ]
        with plant.site.redis.client() as client:
            until(lambda: client.exists(redis_keys.live(ROOM)), "a statistic")
        took_s = time.monotonic() - began_s
        return took_s, sum(cpu_s(one.process.pid) for one in started)


def _help(rounds: int) -> Iterator[Row]:
    times = []
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(rounds):
        began_s = time.monotonic()
        subprocess.run(_HELP, check=True, capture_output=True, timeout=60)
        times.append(time.monotonic() - began_s)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / rounds
    yield at_most("roommood --help", median(times), "s", 0.3, {"CPU": used, "best": min(times)})


def _memory(options: Options) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, Plant(options.detector) as plant:
        write_jpegs(Path(name), 6, 1)
        worker = plant.worker()
        files = plant.camera(name, "--rate-hz", "30")
        drawn = plant.camera("simulated", "--rate-hz", "30", name="drawn")
        select_for(options.length(10, 4))
        memory = rss_mb(files.process.pid)
        beside = {
            "with a simulated source": rss_mb(drawn.process.pid),
            "worker": rss_mb(worker.process.pid),
            "aggregator": rss_mb(plant.aggregator.process.pid),
        }
    yield at_most("memory of a camera node (RSS)", memory, "MB", 120, beside)


def _size() -> Iterator[Row]:
    beside = {"a worker": _installed_mb("worker"), "all": _installed_mb("all")}
    if peers.PYTHON.is_file():
        beside["the peers' environment, without torch"] = _folder_mb(peers.FOLDER)
    yield stated("installed size of a camera node", _installed_mb("camera"), "MB", beside)


def _installed_mb(extra: str) -> float:
    """All packages that `roommood[extra]` brings, and roommood's own files."""
    names = _needed("roommood", extra, set())
    own = ("shared", "camera_node", "inference_worker", "aggregator", "deploy")
    files = [path for name in names - {"roommood"} for path in _files(name)]
    files += [path for folder in own for path in (ROOT / folder).rglob("*.*")]
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


def _needed(name: str, extra: str, found: set[str]) -> set[str]:
    """Names of distributions that are installed for it, itself included."""
    found.add(name)
    for line in importlib.metadata.requires(name) or ():
        wanted = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", line)
        marked = re.search(r"extra == ['\"](\w+)['\"]", line)
        if wanted is None or (marked is not None and marked[1] != extra):
            continue
        for inner in (wanted[2] or "").split(","):
            if _is_installed(wanted[1]) and (wanted[1] not in found or inner):
                _needed(wanted[1], inner, found)
    return found


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _files(name: str) -> list[Path]:
    return [Path(str(path.locate())) for path in importlib.metadata.files(name) or ()]


def _folder_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    run_alone(startup, __doc__)
