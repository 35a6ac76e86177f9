"""Measures what one of each costs: a bucket, a bitmap, a script call, a camera's health."""

import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import zmq

from benchmarks.aggregation import pid_of
from benchmarks.cluster import one_redis
from benchmarks.pictures import jpegs
from benchmarks.processes import cpu_s
from benchmarks.scale_model import Line, Units
from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.clock import boot_ms, wall_ms
from roommood.shared.protocol import wire
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.shared.protocol.limits import SEEN_BITS
from roommood.shared.protocol.messages import (
    Ack,
    CameraHealth,
    CameraReport,
    Face,
    Hello,
    Report,
    Result,
    TicketedResult,
)
from tests.end_to_end.site import select_for
from tests.redis_server import RedisServer

FACES: Final = 2
# Results of a report, where scripts rather than reports are measured.
REPORT: Final = 240
# Results of one camera in one bucket, where memory is measured.
_PER_BUCKET: Final = 4
# Results of a report of one worker among many; how many such reports an aggregator finds in one
# batch where results come by the thousand, and seconds from one to the next: each wakes it.
_SMALL_REPORT: Final = 4
_REPORTS_A_BATCH: Final = 100
_APART_S: Final = 0.0025
# Expressions as rooms show them; the first is neutral.
_WEIGHTS: Final = (80.0, 12.0, 3.0, 1.0, 2.0, 0.5, 0.5, 1.0)
_HELLO: Final = Hello("cam-00000", "room-0000", "0" * 16, 0, 1, 10_000, 2.0, 640, 480, 0, 1e9)


def result(rng: random.Random, room: str, camera: str, seq: int) -> Result:
    """One frame with two faces of any size."""
    faces = tuple(_face(rng) for _ in range(FACES))
    return Result(camera, room, "0" * 16, seq, 500_000, "expression-2", faces)


def _face(rng: random.Random) -> Face:
    winner = rng.choices(range(len(EXPRESSIONS)), _WEIGHTS)[0]
    shares = [0.6 if place == winner else 0.4 / 7 for place in range(len(EXPRESSIONS))]
    return Face((100, 100, 60, 60), 0.9, rng.randrange(3), tuple(shares), True)


# Memory


def fill(
    store: Store,
    rooms: int,
    cameras: int,
    step_s: int,
    steps: int,
    began_s: float,
) -> None:
    """Results of `rooms` rooms with `cameras` cameras each, every `step_s` of simulated time."""
    rng = random.Random(rooms)
    for step in range(steps):
        now_ms = (began_s + step * step_s + 5) * 1000
        batch = [
            Delivery(
                (room, camera, seq),
                now_ms - 1000,
                result(rng, f"room-{room:04d}", f"cam-{room:04d}-{camera}", seq),
            )
            for room in range(rooms)
            for camera in range(cameras)
            for seq in range(step * _PER_BUCKET, (step + 1) * _PER_BUCKET)
        ]
        outcomes = store.commit(batch, now_ms).outcomes
        assert set(outcomes) == {"committed"}, set(outcomes)


def hour_s() -> float:
    """The beginning of the next hour: what is written then has not expired yet."""
    return (wall_ms() // 3_600_000 + 1) * 3600


def used_bytes(server: RedisServer) -> int:
    with server.client() as client:
        info: Any = client.info("memory")
    return int(info["used_memory"])


def bucket_bytes() -> dict[str, Line]:
    """Bytes of one bucket of each span, by cameras in the room."""
    points = {cameras: _bytes_with(cameras) for cameras in (1, 8)}
    return {
        span.name: Line.through((1, points[1][span.name]), (8, points[8][span.name]))
        for span in redis_keys.RESOLUTIONS
    }


def _bytes_with(cameras: int) -> dict[str, float]:
    """From the keys themselves, and what Redis needs beside each."""
    return {span.name: _bytes_of(span, cameras) for span in redis_keys.RESOLUTIONS}


def _bytes_of(span: redis_keys.Resolution, cameras: int) -> float:
    with RedisServer() as server, server.client() as client:
        store = Store(server.url)
        fill(store, 1, cameras, span.length_s, 60, hour_s())
        store.close()
        return _overhead(server, client) + statistics.fmean(_usages(client, span.name))


def _usages(client: Any, span: str) -> Iterator[int]:
    for key in client.scan_iter(redis_keys.of_room("room-0000")):
        if f"}}:{span}:" in key:
            yield int(client.memory_usage(key, samples=0))


def _overhead(server: RedisServer, client: Any) -> float:
    """Bytes that a key with an end costs beyond what MEMORY USAGE says: its place in the tables
    of keys and of ends."""
    before, count = used_bytes(server), 20_000
    with client.pipeline(transaction=False) as pipe:
        for number in range(count):
            pipe.set(f"overhead:{number:06d}", "x", ex=100_000)
        pipe.execute()
    said = int(client.memory_usage("overhead:000001"))
    grown = (used_bytes(server) - before) / count
    with client.pipeline(transaction=False) as pipe:
        for number in range(count):
            pipe.delete(f"overhead:{number:06d}")
        pipe.execute()
    return max(0.0, grown - said)


def seen_bytes() -> float:
    """Bytes of one full bitmap with its key, grown as frames fill it: a byte at a time."""
    with RedisServer() as server, server.client() as client:
        before, count = used_bytes(server), 300
        for number in range(count):
            with client.pipeline(transaction=False) as pipe:
                key = redis_keys.seen("room-0000", "cam-0000-0", "0" * 16, number * SEEN_BITS)
                for bit in range(0, SEEN_BITS, 8):
                    pipe.setbit(key, bit, 1)
                pipe.expire(key, 100_000)
                pipe.execute()
        return (used_bytes(server) - before) / count


# Script calls


@dataclass(frozen=True)
class Costs:
    """Of one script call: processor microseconds and bytes."""

    redis_us: float
    aggregator_us: float
    in_bytes: float
    out_bytes: float


def call_costs(per_call: int, reports: int, per_report: int = REPORT, at_once: int = 1) -> Costs:
    """A real aggregator that is given so many reports of so many results at a time."""
    rooms = per_report // per_call
    with one_redis() as (redis, site):
        address = site.address()
        aggregator = site.aggregator(address).process.pid
        made = [
            _report(
                number, range(rooms * (number % at_once), rooms * (number % at_once + 1)), per_call
            )
            for number in range((reports + 5) * at_once)
        ]
        rounds = [made[first : first + at_once] for first in range(0, len(made), at_once)]
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        socket.connect(f"tcp://{address}")
        with redis.client() as client:
            for together in rounds[:5]:
                _exchange(socket, together, per_report)
            before = _books(client, pid_of(redis), aggregator)
            for together in rounds[5:]:
                _exchange(socket, together, per_report)
            select_for(0.5)
            after = _books(client, pid_of(redis), aggregator)
        socket.close(0)
    redis_s, aggregator_s, bytes_in, bytes_out = (b - a for a, b in zip(before, after, strict=True))
    calls = reports * at_once * rooms
    each = redis_s * 1e6 / calls, aggregator_s * 1e6 / calls
    return Costs(*each, bytes_in / calls, bytes_out / calls)


def _books(client: Any, redis: int, aggregator: int) -> tuple[float, float, float, float]:
    info: Any = client.info("stats")
    traffic = float(info["total_net_input_bytes"]), float(info["total_net_output_bytes"])
    return cpu_s(redis), cpu_s(aggregator), *traffic


def _report(number: int, rooms: range, per_call: int) -> bytes:
    """Of each room as many results as make one call, each of another camera."""
    rng = random.Random(number)
    rows = [
        TicketedResult(
            (number * len(rooms) + row) * per_call + place,
            5.0,
            result(rng, f"room-{room:04d}", f"cam-{room:04d}-{place}", number),
        )
        for row, room in enumerate(rooms)
        for place in range(per_call)
    ]
    return wire.encode_report(Report("w" * 16, "", boot_ms(), "bench", results=tuple(rows)))


def _exchange(socket: Any, reports: list[bytes], per_report: int) -> None:
    for data in reports:
        socket.send(data)
        if len(reports) > 1:
            time.sleep(_APART_S)
    results = per_report * len(reports)
    while results:
        assert socket.poll(20_000), "no Ack"
        results -= len(wire.decode_ack(socket.recv()).committed)


# Health


def health_costs(seconds: int) -> tuple[float, float]:
    """Microseconds of Redis for one camera's hash, of the aggregator for one report of it."""
    workers, cameras = 8, 256
    with one_redis() as (redis, site):
        address = site.address()
        aggregator = site.aggregator(address).process.pid
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        socket.connect(f"tcp://{address}")
        quiet = _used(redis, aggregator, 2.0)
        used = [cpu_s(pid_of(redis)), cpu_s(aggregator)]
        for _ in range(seconds):
            for worker in range(workers):
                socket.send(_health(worker, cameras))
            select_for(1.0)
        used = [cpu_s(pid_of(redis)) - used[0], cpu_s(aggregator) - used[1]]
        socket.close(0)
    redis_s, aggregator_s = (one - rest * seconds for one, rest in zip(used, quiet, strict=True))
    # All eight workers tell of the same cameras, as the eight links of a camera do.
    return redis_s * 1e6 / (seconds * cameras), aggregator_s * 1e6 / (seconds * cameras * workers)


def _used(redis: RedisServer, aggregator: int, seconds: float) -> tuple[float, float]:
    """Processor seconds per second with nothing to do."""
    before = cpu_s(pid_of(redis)), cpu_s(aggregator)
    select_for(seconds)
    after = cpu_s(pid_of(redis)), cpu_s(aggregator)
    redis_s, aggregator_s = (b - a for a, b in zip(before, after, strict=True))
    return redis_s / seconds, aggregator_s / seconds


def _health(worker: int, cameras: int) -> bytes:
    told = tuple(
        CameraReport(
            camera=f"cam-{number:05d}",
            room="room-0000",
            session_id="0" * 16,
            release="1.0",
            silent_ms=100.0,
            rate_hz=10.0,
            width=640,
            height=480,
            counts={"analysed": 12_345, "refused-stale": 3},
            health=CameraHealth(100_000, 20_000, 80_000, 3, 1.2, 50.0, "ok"),
        )
        for number in range(cameras)
    )
    numbers = {f"figure_{number}": 1.5 for number in range(12)}
    report = Report(f"{worker:016x}", "tcp://10.0.0.1:5701", boot_ms(), "1.0", numbers, told)
    return wire.encode_report(report)


# All


def measured(known: dict[str, float], quick: bool) -> Units:
    """Unit costs; `known` are those that other benchmarks measure."""
    reports = 60 if quick else 120
    few, many = call_costs(1, reports), call_costs(8, reports)
    alone = call_costs(1, reports * 10, _SMALL_REPORT)
    together = call_costs(1, reports // 5, _SMALL_REPORT, _REPORTS_A_BATCH)
    report_us = (together.aggregator_us - few.aggregator_us) * _SMALL_REPORT
    batch_us = (alone.aggregator_us - few.aggregator_us) * _SMALL_REPORT - report_us
    redis_health_us, aggregator_health_us = health_costs(4 if quick else 10)
    return Units(
        redis_call_us=Line.through((1, few.redis_us), (8, many.redis_us)),
        aggregator_call_us=Line.through((1, few.aggregator_us), (8, many.aggregator_us)),
        redis_in_call_bytes=Line.through((1, few.in_bytes), (8, many.in_bytes)),
        redis_out_call_bytes=Line.through((1, few.out_bytes), (8, many.out_bytes)),
        redis_batch_us=max(0.0, alone.redis_us - few.redis_us) * _SMALL_REPORT,
        aggregator_report_us=max(0.0, report_us),
        aggregator_batch_us=max(0.0, batch_us),
        redis_health_us=redis_health_us,
        aggregator_health_us=aggregator_health_us,
        result_bytes=len(_report(0, range(REPORT), 1)) / REPORT,
        ack_bytes=_ack_bytes(),
        bucket_bytes=bucket_bytes(),
        seen_bytes=seen_bytes(),
        frame_bytes=statistics.fmean(map(len, jpegs(24, 3))) + 200,
        hello_bytes=len(wire.encode_hello(_HELLO)),
        **known,
    )


def _ack_bytes() -> float:
    tickets = tuple(range(10**6, 10**6 + REPORT))
    return len(wire.encode_ack(Ack("a" * 16, 1e9, committed=tickets))) / REPORT
