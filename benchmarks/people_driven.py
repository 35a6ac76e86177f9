"""What a camera costs its worker by what it shows, and what that does to the figures.

    python -m benchmarks.people_driven [--quick] [--detector FILE]

Made-up streams (`benchmarks/rooms.py`): an empty room, two people who sit, people who come and go.
Costs are of real processes, four cameras at 30 frames/s each, side by side at all rates; shares and
people are counted in virtual time, against every frame, in several rooms; entrances are seen from
capture to the live hash.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

from benchmarks.paced_stream import Counted, PacedStream, stream_of
from benchmarks.pictures import encoded
from benchmarks.plant import Plant
from benchmarks.processes import cpu_s
from benchmarks.rooms import Room, passing, seated, visitor, write_stream
from benchmarks.rows import Options, Row, at_most, run_alone, stated
from roommood.aggregator.redis import keys as redis_keys
from roommood.inference_worker.serving.pace import Pace
from roommood.inference_worker.serving.repeats import Repeats
from roommood.inference_worker.vision.analysis import open_analyzer
from roommood.shared.clock import boot_ms
from tests.end_to_end.site import quantile, select_for, until

_CAMERAS: Final = 4
_RATE_HZ: Final = 30.0
_TEN: Final = ("--rate-hz", "10", "--empty-rate-hz", "10", "--repeat-ms", "0")
_DEFAULT: Final = ("--rate-hz", "5", "--empty-rate-hz", "2", "--repeat-ms", "2000")
_HISTORY: Final = ("--rate-hz", "2", "--empty-rate-hz", "2", "--repeat-ms", "2000")
_PICTURES: Final = 60
_SPANS: Final = 5
_STREAM_HZ: Final = 15.0
_STREAM_S: Final = 120.0
_ROOMS: Final = 6
# Of one entrance to the next; somebody stays for the end of it.
_CYCLE_S, _STAY_S = 8.3, 3.0


def people_driven(options: Options) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="roommood-bench-") as name:
        room, folder = Room(), Path(name)
        numbers = range(_PICTURES)
        empty = write_stream(folder / "empty", (room.draw(n) for n in numbers))
        drawn = (room.draw(n, seated(n / _RATE_HZ)) for n in numbers)
        full = write_stream(folder / "seated", drawn)
        yield from _costs(options, empty, full)
        yield from _figures(options)
        yield from _entrances(options, folder)


def _costs(options: Options, empty: Path, full: Path) -> Iterator[Row]:
    unit = "ms CPU/s"
    ungated = (*_DEFAULT, "--repeat-ms", "0")
    ten, nobody, without = _side_by_side(options, empty, (_TEN, _DEFAULT, ungated))
    beside = {"10 frames/s": ten, "without repeated looks": without}
    yield stated("a camera-hour of an empty room", nobody * 3.6, "s CPU", {"10/s": ten * 3.6})
    yield at_most("an empty room, against 10 frames/s", nobody / ten, "x", round(1 / 15, 3))
    yield stated("  of which each second", nobody, unit, beside)
    ten, live, history = _side_by_side(options, full, (_TEN, _DEFAULT, _HISTORY))
    beside = {"10/s": ten * 3.6, "2/s": history * 3.6}
    yield stated("a camera-hour of two people seated, 5/s", live * 3.6, "s CPU", beside)
    yield at_most("two people seated, 5/s against 10/s", live / ten, "x", 0.55)
    yield at_most("two people seated, 2/s against 10/s", history / ten, "x", 0.25)


def _side_by_side(
    options: Options, source: Path, rates: Sequence[tuple[str, ...]]
) -> Iterator[float]:
    """Processor milliseconds of a worker at each of these rates, for each camera and second: of
    several spans the one in the middle. All run at once: a worker that has the machine to itself
    finds its code in the caches, the busier one more of it."""
    with ExitStack() as stack:
        pids = [_watching(stack.enter_context(Plant(options.detector)), source, r) for r in rates]
        select_for(3.0)
        spans = [_used_ms(pids, options.length(5, 2)) for _ in range(_SPANS)]
    return (median(used) / _CAMERAS for used in zip(*spans, strict=True))


def _watching(plant: Plant, source: Path, rates: tuple[str, ...]) -> int:
    """The process of a worker whose cameras are there."""
    worker = plant.worker(*rates)
    for number in range(_CAMERAS):
        who = ("--name", f"cam-{number}", "--room", f"room-{number}", "--worker", plant.frames)
        what = ("--source", str(source), "--rate-hz", f"{_RATE_HZ:g}")
        plant.program("benchmarks.memory_camera", *who, *what)
    last = f"room-{_CAMERAS - 1}"
    until(lambda: plant.site.frames(last, f"cam-{_CAMERAS - 1}") > 5, "frames count", 60.0)
    return worker.process.pid


def _used_ms(pids: Sequence[int], seconds: float) -> list[float]:
    """Processor milliseconds of each process and second."""
    used_s, began_s = [cpu_s(pid) for pid in pids], time.monotonic()
    select_for(seconds)
    took_s = time.monotonic() - began_s
    return [(cpu_s(pid) - used) * 1000 / took_s for pid, used in zip(pids, used_s, strict=True)]


def _figures(options: Options) -> Iterator[Row]:
    analyzer = open_analyzer(options.detector)
    analyzer.warm_up()
    rooms = [Room(seed) for seed in range(1, 1 + int(options.length(_ROOMS, 2)))]
    for name, people in (("seated", seated), ("coming and going", passing)):
        draws = [partial(_drawn, room, people) for room in rooms]
        streams = (stream_of(analyzer, draw, _STREAM_S, _STREAM_HZ) for draw in draws)
        yield from _against_every_frame(name, [_looked_at(stream) for stream in streams])


def _drawn(room: Room, people: Any, number: int) -> bytes:
    return encoded(room.draw(number, people(number / _STREAM_HZ)))


def _looked_at(stream: PacedStream) -> tuple[Counted, Counted, Counted]:
    """Every frame, at 5 looks a second, and at 2."""
    return (
        stream.every_frame(),
        stream.looked_at(Pace(5.0, 2.0), Repeats(2_000.0)),
        stream.looked_at(Pace(2.0, 2.0), Repeats(2_000.0)),
    )


def _against_every_frame(name: str, rooms: list[tuple[Counted, Counted, Counted]]) -> Iterator[Row]:
    """The mean of the rooms: of one alone chance tells more, since a face that is barely sure
    counts in one frame and not in the next, so that it matters which ones were looked at."""
    looks, repeated = (
        sum(getattr(paced, what) for _, paced, _ in rooms) for what in ("looks", "repeated")
    )
    frames = sum(every.looks for every, _, _ in rooms)
    note = f"{len(rooms)} rooms: {looks} looks, {repeated} repeated, at {frames} frames"
    paced_by = [every.distance(paced) for every, paced, _ in rooms]
    beside = {
        "the farthest room": max(paced_by),
        "2/s": fmean(every.distance(slow) for every, _, slow in rooms),
    }
    distance = fmean(paced_by)
    yield at_most(f"{name}: shares against every frame", distance, "% TV", 1.5, beside, note)
    of_all, at_five, at_two = (
        fmean(one.people for one in looked) for looked in zip(*rooms, strict=True)
    )
    beside = {"every frame": of_all, "5/s": at_five, "2/s": at_two}
    off = fmean(abs(every.people - paced.people) for every, paced, _ in rooms)
    yield at_most(f"{name}: people against every frame", off, "people", 0.1, beside)


def _entrances(options: Options, folder: Path) -> Iterator[Row]:
    room, empty = Room(2), round((_CYCLE_S - _STAY_S) * _STREAM_HZ)
    pictures = (
        room.draw(n, visitor() if n >= empty else ()) for n in range(round(_CYCLE_S * _STREAM_HZ))
    )
    source = write_stream(folder / "entrances", pictures)
    with Plant(options.detector) as plant:
        plant.worker(*_DEFAULT)
        times = [folder / f"entrances-{n}" for n in range(_CAMERAS)]
        for number, file in enumerate(times):
            who = ("--name", f"cam-{number}", "--room", f"room-{number}", "--worker", plant.frames)
            what = ("--source", f"{source}#{empty}#{file}", "--rate-hz", f"{_STREAM_HZ:g}")
            plant.program("benchmarks.entrance_camera", *who, *what)
            select_for(0.37)
        seen_ms = _rises(plant, options.length(60, 30))
        took = sorted(
            took_ms
            for number, file in enumerate(times)
            for took_ms in _delays(file, seen_ms[f"room-{number}"])
        )
    note = f"{len(took)} entrances; wall time: wants an idle machine"
    beside = {"p50": quantile(took, 0.5), "longest": took[-1]}
    p95 = quantile(took, 0.95)
    yield at_most("somebody comes in: on the live hash, p95", p95, "ms", 1000, beside, note)


def _rises(plant: Plant, seconds: float) -> dict[str, list[float]]:
    """When each room's live hash told of more people than before."""
    rooms = [f"room-{number}" for number in range(_CAMERAS)]
    rises: dict[str, list[float]] = {room: [] for room in rooms}
    last, end_s = dict.fromkeys(rooms, 0.0), time.monotonic() + seconds
    with plant.site.redis.client() as client:
        while time.monotonic() < end_s:
            for room in rooms:
                people = float(client.hget(redis_keys.live(room), "people") or 0.0)
                if people > last[room] + 0.01:
                    rises[room].append(boot_ms())
                last[room] = people
            select_for(0.01)
    return rises


def _delays(file: Path, seen_ms: list[float]) -> Iterator[float]:
    """From each entrance to the first rise after it; the last one may not have been seen yet."""
    entered = [float(line) for line in file.read_text().split()] if file.exists() else []
    for at_ms, next_ms in pairwise(entered):
        after = [seen - at_ms for seen in seen_ms if at_ms <= seen < next_ms]
        if seen_ms and at_ms > seen_ms[0] - _CYCLE_S * 1000:
            yield min(after, default=next_ms - at_ms)


if __name__ == "__main__":
    run_alone(people_driven, __doc__)
