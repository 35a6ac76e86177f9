"""How old a frame is when its analysis starts, and who is served, when workers are too slow.

    python -m benchmarks.overload [--seconds 60] [--json FILE]

Real camera nodes, workers, an aggregator and Redis on loopback; workers are slowed with
`--min-frame-ms`. Prints a table: figures, and the bar that each is held to.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from inference_worker.model_files import SHIPPED_EXPRESSION
from tests.end_to_end.site import Component, Line, Site, numbers, quantile, select_for, until

_SETTLE = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; `held` says whether it met its bar."""

    name: str
    value: float
    unit: str
    bar: str
    held: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[Row] = []
    for run in (one_camera, four_cameras, unequal_workers, back_again):
        for row in run(options.seconds):
            rows.append(row)
            print(f"{row.name:58} {row.value:8.2f} {row.unit:9} {row.bar:12} "
                  f"{'held' if row.held else 'MISSED'}", flush=True)  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def one_camera(seconds: float) -> Iterator[Row]:
    """One camera at 30 frames/s, one worker that takes 200 ms a frame."""
    with _site() as site:
        reports, frames = site.address(), site.address()
        site.aggregator(reports)
        worker = site.worker(frames, reports, "--min-frame-ms", "200")
        site.camera("cam", "room", "simulated", frames, "--rate-hz", "30")
        lines = _measure([worker], seconds)
        ages = numbers(lines, "age_ms")
        for name, part, most in (("p50", 0.5, 50), ("p95", 0.95, 50), ("max", 1.0, 200)):
            age = quantile(ages, part)
            yield Row(f"overload: age at start, {name}", age, "ms", f"<= {most}", age <= most)
        used = len(lines) / seconds / 5
        yield Row("overload: capacity used", used * 100, "%", ">= 95", used >= 0.95)
        half = len(lines) // 2
        drift = quantile(numbers(lines[half:], "age_ms"), 0.5) - quantile(
            numbers(lines[:half], "age_ms"), 0.5
        )
        yield Row("overload: median age, second half - first", drift, "ms", "<= 10", drift <= 10)


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
        yield Row("three cameras: Jain's fairness", jain, "", ">= 0.98", jain >= 0.98)
        used = len(lines) / seconds / 5
        yield Row("with a slow camera: capacity used", used * 100, "%", ">= 90", used >= 0.9)
        slow = sum(line["camera"] == "slow" for line in lines) / seconds
        yield Row("the slow camera's frames", slow, "frames/s", ">= 0.8", slow >= 0.8)
        age = quantile(numbers([one for one in lines if one["camera"] != "slow"], "age_ms"), 0.95)
        yield Row("the fast cameras' age at start, p95", age, "ms", "<= 50", age <= 50)


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
        share = len(lines) / seconds / 22.5
        yield Row("two unequal workers: joint capacity", share * 100, "%", ">= 90", share >= 0.9)
        twice = len(lines) - len({(line["boot"], line["seq"]) for line in lines})
        yield Row("two unequal workers: frames twice", twice, "frames", "0", twice == 0)
        age = quantile(numbers(lines, "age_ms"), 0.95)
        yield Row("two unequal workers: age at start, p95", age, "ms", "<= 50", age <= 50)


def back_again(seconds: float) -> Iterator[Row]:
    """A worker killed, away for 5 s, and back at the same address."""
    del seconds
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
        yield Row("worker back: first frame after", wait_s * 1000, "ms", "<= 200", wait_s <= 0.2)
        oldest = numbers(started, "age_ms")[-1]
        yield Row("worker back: oldest frame", oldest, "ms", "<= 200", oldest <= 200)
        stale = sum(line["seq"] <= last for line in started)
        yield Row("worker back: frames from before", stale, "frames", "0", stale == 0)


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
    from datetime import datetime

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
    main()
