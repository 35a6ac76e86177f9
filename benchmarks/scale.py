"""What 10,000 cameras in 2,000 rooms need, and how well the reckoning fits what fits here.

    python -m benchmarks.scale [--quick]

Unit costs are measured on small runs and taken from results.json; from them a model predicts
runs with 10, 100 and 1,000 simulated cameras, a simulated hour of 100 rooms and a year of one
room, all into a real Redis; then the large site. See docs/scale.md.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.aggregation import pid_of
from benchmarks.cluster import one_redis
from benchmarks.processes import cpu_s
from benchmarks.rows import Options, Row, run_alone, stated
from benchmarks.scale_load import Load
from benchmarks.scale_model import Needs, Site, Units, counting_s, needs, room_bytes
from benchmarks.scale_units import fill, hour_s, measured, used_bytes
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from tests.redis_server import RedisServer

_RESULTS: Final = Path(__file__).parent / "results.json"
# What other benchmarks measure, by the name of their row, and what that is in our unit.
_KNOWN: Final = {
    "worker_frame_ms": ("worker's CPU per frame, 3 faces, input 640", 1.0),
    "worker_empty_ms_per_s": ("a camera-hour of an empty room", 1000 / 3600),
    "worker_link_ms_per_s": ("worker's CPU for a Hello", 1.0),
    "worker_link_kb": ("worker's memory per idle camera", 1.0),
}
_RATE_HZ: Final = 2.0
_A_ROOM: Final = 5
_DAYS: Final = 400
_LARGE: Final = (10_000, 2_000)
# Four fifths of the time nobody is there.
_MOSTLY_EMPTY: Final = Site(*_LARGE, 5.0, people=0.2)


def scale(options: Options) -> Iterator[Row]:
    units = measured(_known(), options.quick)
    yield from _memory(units, options)
    for cameras in (10, 100, 1000):
        yield from _traffic(units, cameras, options)
    for site in (Site(*_LARGE, 10.0), *(replace(_MOSTLY_EMPTY, rate_hz=hz) for hz in (5.0, 2.0))):
        yield from _large(site, units)


def _known() -> dict[str, float]:
    """Figures of other benchmarks. Raises SystemExit where they were not run yet."""
    rows = json.loads(_RESULTS.read_text()) if _RESULTS.is_file() else []
    values = {row["name"].strip(): float(row["value"]) for row in rows}
    missing = [name for name, _ in _KNOWN.values() if name not in values]
    if missing:
        raise SystemExit(
            f"{_RESULTS} lacks {', '.join(missing)}: run "
            "python -m benchmarks first, or with --only those that measure it"
        )
    return {field: values[name] * factor for field, (name, factor) in _KNOWN.items()}


def _fits(
    name: str, found: float, reckoned: float, unit: str, within: float, note: str = ""
) -> Row:
    """A measured figure that the model should have predicted, give or take a part of it."""
    off = abs(found / reckoned - 1)
    bar = f"model +- {within * 100:.0f} %"
    return Row(name, found, unit, bar, off <= within, {"model": reckoned}, note)


# Memory


def _memory(units: Units, options: Options) -> Iterator[Row]:
    minutes = int(options.length(30, 10))
    rooms = 100
    found = _grown(rooms, minutes * 6)
    site = Site(rooms * _A_ROOM, rooms, 0.2)
    reckoned = room_bytes(site, units, minutes / 1440) * rooms
    name = f"Redis memory, {rooms} rooms of {_A_ROOM} cameras, {minutes} simulated minutes"
    yield _fits(name, found / 1e6, reckoned / 1e6, "MB", 0.15)
    yield from _year(units, options)


def _grown(rooms: int, steps: int) -> float:
    with RedisServer() as server:
        before = _warm(server)
        store = Store(server.url)
        fill(store, rooms, _A_ROOM, 10, steps, hour_s())
        store.close()
        return used_bytes(server) - before


def _warm(server: RedisServer) -> int:
    """Bytes used by a Redis that has run the script once: half a megabyte more than a fresh one."""
    store = Store(server.url)
    fill(store, 1, _A_ROOM, 3600, 3, hour_s())
    store.close()
    with server.client() as client:
        client.flushall()
    return used_bytes(server)


def _year(units: Units, options: Options) -> Iterator[Row]:
    """The hours of 400 days, the minutes of 7 and the tens of seconds of 6 hours of one room."""
    part = options.length(0.25, 0.1)
    found = 0.0
    for span in redis_keys.RESOLUTIONS:
        steps = int(part * span.keep_s / span.length_s)
        found += _kept(span, steps) / part
    site = Site(_A_ROOM, 1, 0.0)
    reckoned = room_bytes(site, units)
    note = f"a room of {_A_ROOM} cameras, without bitmaps; part of it measured: {part:g}"
    yield _fits(
        f"Redis memory, one room, {_DAYS} days", found / 1e6, reckoned / 1e6, "MB", 0.15, note
    )


def _kept(span: redis_keys.Resolution, steps: int) -> float:
    """Bytes of so many buckets of one span: what else was written is deleted again."""
    with RedisServer() as server, server.client() as client:
        before = _warm(server)
        store = Store(server.url)
        fill(store, 1, _A_ROOM, span.length_s, steps, hour_s())
        store.close()
        keys = list(client.scan_iter(redis_keys.of_room("room-0000"), count=1000))
        doomed = [key for key in keys if f"}}:{span.name}:" not in key]
        for first in range(0, len(doomed), 500):
            client.delete(*doomed[first : first + 500])
        return float(used_bytes(server) - before)


# Results a second


@dataclass(frozen=True)
class _Used:
    """In a second: processor milliseconds, and bytes of Redis."""

    redis_ms: float
    aggregator_ms: float
    in_bytes: float
    per_call: float


def _traffic(units: Units, cameras: int, options: Options) -> Iterator[Row]:
    site = Site(cameras, max(1, cameras // _A_ROOM), _RATE_HZ)
    workers = min(8, cameras)
    found = _driven(site, workers, options.length(12, 8))
    site = replace(site, per_call=found.per_call)
    redis_s, aggregator_s = counting_s(site, units, workers)
    calls_hz = site.results_hz / site.per_call
    what = f"{cameras} cameras, {site.rooms} rooms, {site.results_hz:g} results/s"
    note = f"{found.per_call:.2f} results a call"
    pairs = (
        ("Redis", found.redis_ms, redis_s * 1000, "ms CPU/s", 0.3),
        ("aggregator", found.aggregator_ms, aggregator_s * 1000, "ms CPU/s", 0.3),
        ("into Redis", found.in_bytes / 1e3,
         calls_hz * units.redis_in_call_bytes.at(site.per_call) / 1e3, "kB/s", 0.15),
    )  # fmt: skip
    for name, value, reckoned, unit, within in pairs:
        if cameras == 1000:
            yield _fits(f"{what}: {name}", value, reckoned, unit, within, note)
        else:
            yield stated(f"{what}: {name}", value, unit, {"model": reckoned}, note)


def _driven(site: Site, workers: int, seconds: float) -> _Used:
    with one_redis() as (redis, plant):
        address = plant.address()
        aggregator = plant.aggregator(address).process.pid
        pids = (pid_of(redis), aggregator)
        load = Load(f"tcp://{address}", site, workers)
        with redis.client() as client:
            idle = _over(client, pids, lambda: load.rest(2.0), 2.0)
            load.run(2.0)
            busy = _over(client, pids, lambda: load.run(seconds), seconds)
        load.close()
    redis_ms, aggregator_ms, in_bytes, calls = (b - a for a, b in zip(idle, busy, strict=True))
    return _Used(redis_ms, aggregator_ms, in_bytes, site.results_hz / calls)


def _over(
    client: Any, pids: tuple[int, int], work: Callable[[], None], seconds: float
) -> tuple[float, float, float, float]:
    before = _books(client, pids)
    work()
    after = _books(client, pids)
    used = [(b - a) / seconds for a, b in zip(before, after, strict=True)]
    return used[0] * 1000, used[1] * 1000, used[2], used[3]


def _books(client: Any, pids: tuple[int, int]) -> list[float]:
    """Processor seconds, bytes that came in, and script calls, since their start."""
    came: Any = client.info("stats")["total_net_input_bytes"]
    calls: Any = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    return [*(cpu_s(pid) for pid in pids), float(came), float(calls)]


# The large site

_SAID: Final = {
    "worker_cores": ("cores of workers", "cores", 1),
    "aggregators": ("aggregators, of a core each", "cores", 1),
    "redis_cores": ("Redis shards by processor", "cores", 1),
    "redis_bytes": (f"Redis memory after {_DAYS} days", "GB", 1e9),
    "redis_in_per_s": ("into Redis", "MB/s", 1e6),
    "frames_per_s": ("frames over the network", "MB/s", 1e6),
    "reports_per_s": ("reports and Acks", "MB/s", 1e6),
    "links_per_worker": ("connections of one worker process", "links", 1),
}


def _large(site: Site, units: Units) -> Iterator[Row]:
    found: Needs = needs(site, units)
    figures = asdict(found)
    what = (
        f"{site.cameras:,} cameras, {site.rooms:,} rooms, people {site.people * 100:.0f} % "
        f"of the time, then {site.rate_hz:g} frames/s"
    )
    for field, (name, unit, divisor) in _SAID.items():
        yield stated(f"{what}: {name}", figures[field] / divisor, unit)


if __name__ == "__main__":
    run_alone(scale, __doc__)
