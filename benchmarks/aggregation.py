"""Results that are counted exactly once per processor second, Python and Redis together.

    python -m benchmarks.aggregation [--quick]

Results of one face each, several a room and batch, through `Store.commit` into a Redis on a
unix socket; beside it the bare sums of the same fields of the same batches as pipelined
HINCRBY, which tells no repeat from a first delivery; and the whole aggregator process.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import zmq

from benchmarks.plant import Plant
from benchmarks.processes import cpu_s
from benchmarks.rows import Options, Row, at_least, run_alone, stated
from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.clock import boot_ms, wall_ms
from roommood.shared.protocol import wire
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.shared.protocol.messages import Face, Report, Result, TicketedResult
from tests.redis_server import RedisServer

ROOMS: Final = 12
_P: Final = (0.6, 0.2, 0.1, 0.05, 0.03, 0.01, 0.005, 0.005)
_BARS: Final = {4: 10_000, 20: 30_000}
# So short that all results of a run fit into one bucket of 10 s: a camera that claims more time
# than there is takes another way through the script.
_INTERVAL_US: Final = 1_000


def aggregation(options: Options) -> Iterator[Row]:
    for each, bar in _BARS.items():
        batches = int(options.length(400, 60) * 20 / each)
        with RedisServer() as server:
            pid = pid_of(server)
            once = _rate(pid, batches, each, _commits(server, batches, each))
            bare = _rate(pid, batches, each, _sums(server, batches, each))
        beside = {"bare HINCRBY of the sums": bare, "half of it": bare / 2}
        name = f"counted once, {each} results a room and batch"
        yield at_least(name, once, "results/s CPU", bar, beside)
        ratio = once / bare
        yield at_least(f"  of the bare rate, {each} a batch", ratio, "x", 0.5)
    yield from _whole_process(options)


def _rate(pid: int, batches: int, each: int, work: Iterator[None]) -> float:
    next(work)
    used_s = time.process_time() + cpu_s(pid)
    for _ in work:
        pass
    return batches * each * ROOMS / (time.process_time() + cpu_s(pid) - used_s)


def _commits(server: RedisServer, batches: int, each: int) -> Iterator[None]:
    """Results are made before the clock runs; the first batch is not counted."""
    store = Store(server.url)
    made = [_deliveries(number * each, each) for number in range(batches + 1)]
    store.commit(made[0], wall_ms())
    yield
    for batch in made[1:]:
        store.commit(batch, wall_ms())
        yield
    store.close()


def _sums(server: RedisServer, batches: int, each: int) -> Iterator[None]:
    """The sums of each batch are made before the clock runs."""
    client = server.client()
    made = [_fields(_deliveries(number * each, each)) for number in range(batches)]
    yield
    for sums in made:
        with client.pipeline(transaction=False) as pipe:
            for (key, field), value in sums.items():
                pipe.hincrby(key, field, value)
            pipe.execute()
        yield
    client.close()


def _deliveries(first: int, each: int, rooms: int = ROOMS) -> list[Delivery]:
    face = Face((10, 10, 80, 80), 0.9, 2, _P, True)
    now_ms = wall_ms()
    return [
        Delivery(
            (room, seq),
            now_ms,
            Result("cam", f"r{room}", "b00t", seq, _INTERVAL_US, "net", (face,)),
        )
        for room in range(rooms)
        for seq in range(first, first + each)
    ]


def _fields(batch: Sequence[Delivery]) -> Counter[tuple[str, str]]:
    sums: Counter[tuple[str, str]] = Counter()
    for one in batch:
        result, second = one.result, int(one.captured_ms // 1000)
        for span in redis_keys.RESOLUTIONS:
            key = "bare:" + redis_keys.bucket(result.room, span, second - second % span.length_s)
            sums[key, f"frames:{result.camera}"] += 1
            sums[key, f"observed_us:{result.camera}"] += result.interval_us
            sums[key, f"face_us:{result.camera}"] += result.interval_us
            for name, p in zip(EXPRESSIONS, _P, strict=True):
                sums[key, f"us:net:large:{name}"] += round(result.interval_us * p)
            sums[key, f"label_us:net:large:{EXPRESSIONS[0]}"] += result.interval_us
    return sums


def _whole_process(options: Options) -> Iterator[Row]:
    """Reports over a socket to a real aggregator, 240 results each, one Ack awaited."""
    reports = int(options.length(250, 40))
    made = [report(number) for number in range(reports + 5)]
    with Plant() as plant:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        socket.connect(f"tcp://{plant.reports}")
        aggregator, redis = plant.aggregator.process.pid, pid_of(plant.site.redis)
        for number, data in enumerate(made):
            if number == 5:
                used_s = cpu_s(aggregator) + cpu_s(redis)
            _exchange(socket, data)
        used_s = cpu_s(aggregator) + cpu_s(redis) - used_s
        socket.close(0)
    rate = reports * 240 / used_s
    yield stated("aggregator process + Redis, 20 a room and report", rate, "results/s CPU")


def report(number: int, rooms: int = ROOMS, each: int = 20, worker: str = "w0rker") -> bytes:
    """A Report of `each` results of each room; `number` makes their frames' numbers new."""
    rows = [
        TicketedResult(number * rooms * each + place, 5.0, one.result)
        for place, one in enumerate(_deliveries(number * each, each, rooms))
    ]
    return wire.encode_report(Report(worker, "", boot_ms(), "bench", results=tuple(rows)))


def _exchange(socket: Any, data: bytes) -> None:
    socket.send(data)
    settled = 0
    while settled < 240:
        assert socket.poll(20_000), "no Ack"
        settled += len(wire.decode_ack(socket.recv()).committed)


def pid_of(server: RedisServer) -> int:
    """The process that answers at a server's socket."""
    with server.client() as client:
        found: Any = client.info("server")
    pid = int(found["process_id"])
    assert pid != os.getpid()
    return pid


if __name__ == "__main__":
    run_alone(aggregation, __doc__)
