"""Three Redis shards and three aggregators beside one of each.

    python -m benchmarks.cluster [--quick]

Real aggregator processes and a real Redis Cluster on loopback; results of one face in 60 rooms,
four a room and report. Redis runs scripts on one thread, so the processor time of the busiest
node bounds what a Cluster takes; the same holds for the busiest aggregator. Wall time says little
where all of them share the cores of one machine.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import zmq

from benchmarks.aggregation import pid_of, report
from benchmarks.plant import QuietSite
from benchmarks.processes import cpu_s
from benchmarks.rows import Options, Row, at_least, run_alone, stated
from roommood.aggregator.redis import keys as redis_keys
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from roommood.shared.clock import wall_ms
from roommood.shared.protocol import wire
from tests.end_to_end.site import select_for
from tests.redis_cluster import Cluster
from tests.redis_server import RedisServer

_ROOMS: Final = 60
_EACH: Final = 4
# Reports under way to one aggregator at a time.
_WINDOW: Final = 3
_WARM_UP: Final = 5
# Rooms that Redis holds already: of more new ones at once an aggregator counts some later.
_KNOWN_ROOMS: Final = 2_000


@dataclass(frozen=True)
class _Rate:
    """Results per second: of all processor time, of the busiest Redis node, of the busiest
    aggregator, and by the clock."""

    cpu: float
    redis: float
    aggregator: float
    wall: float


def cluster(options: Options) -> Iterator[Row]:
    reports = int(options.length(600, 150))
    with one_redis() as (redis, site):
        one = _rate(site, [redis], 1, reports)
    with _three_nodes() as (three, site):
        many = _rate(site, three.nodes, 3, reports)
    beside = {"one Redis, one aggregator": one.redis}
    name = "three shards: results per second of the busiest Redis node's time"
    yield stated(name, many.redis, "results/s", beside)
    yield at_least("  of one Redis, three shards", many.redis / one.redis, "x", 2.0)
    beside = {"one Redis, one aggregator": one.aggregator}
    name = "three aggregators: results per second of the busiest one's time"
    yield stated(name, many.aggregator, "results/s", beside)
    ratio = many.aggregator / one.aggregator
    yield at_least("  of one aggregator, three of them", ratio, "x", 2.0)
    beside = {"one Redis, one aggregator": one.cpu}
    yield stated("three shards, three aggregators: cost", many.cpu, "results/s CPU", beside)
    beside = {"one Redis, one aggregator": one.wall}
    note = "wall time, all eight processes on this machine"
    yield stated("three shards, three aggregators", many.wall, "results/s", beside, note)


@contextmanager
def one_redis() -> Iterator[tuple[RedisServer, QuietSite]]:
    with _site(RedisServer(appendonly="yes")) as site:
        with site.redis.client() as client:
            client.zadd(redis_keys.ROOMS, {f"room-{n:04d}": wall_ms() for n in range(_KNOWN_ROOMS)})
        yield site.redis, site


@contextmanager
def _three_nodes() -> Iterator[tuple[Cluster, QuietSite]]:
    nodes = Cluster(appendfsync="everysec")
    with _site(nodes) as site:
        yield nodes, site


@contextmanager
def _site(redis: RedisServer | Cluster) -> Iterator[QuietSite]:
    with tempfile.TemporaryDirectory(prefix="roommood-bench-") as name:
        site = QuietSite(Path(name), str(SHIPPED_EXPRESSION))
        site.redis = cast(Any, redis)
        with site:
            yield site


def _rate(site: QuietSite, nodes: Sequence[RedisServer], aggregators: int, reports: int) -> _Rate:
    """Reports go round the aggregators, each of which always has some to do."""
    addresses = [site.address() for _ in range(aggregators)]
    workers = [site.aggregator(address).process.pid for address in addresses]
    servers = [pid_of(node) for node in nodes]
    made = [
        (number % aggregators, report(number, _ROOMS, _EACH, f"w0rker{number % aggregators}"))
        for number in range(reports + _WARM_UP * aggregators)
    ]
    _drive(addresses, made[: _WARM_UP * aggregators])
    before = [cpu_s(pid) for pid in (*servers, *workers)]
    began_s = time.monotonic()
    _drive(addresses, made[_WARM_UP * aggregators :])
    wall_s = time.monotonic() - began_s
    # What is acknowledged is not always done with: Redis has its log to write.
    select_for(1.0)
    used = [cpu_s(pid) - old for pid, old in zip((*servers, *workers), before, strict=True)]
    count = reports * _ROOMS * _EACH
    of_redis, of_aggregators = used[: len(servers)], used[len(servers) :]
    return _Rate(
        count / sum(used), count / max(of_redis), count / max(of_aggregators), count / wall_s
    )


def _drive(addresses: Sequence[str], made: Sequence[tuple[int, bytes]]) -> None:
    """Brings all reports to their aggregators and waits until every result is acknowledged."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    sockets = [context.socket(zmq.DEALER) for _ in addresses]
    waiting = [[data for place, data in reversed(made) if place == i] for i in range(len(sockets))]
    open_results = [0] * len(sockets)
    for socket, address in zip(sockets, addresses, strict=True):
        socket.connect(f"tcp://{address}")
    while any(waiting) or any(open_results):
        for place, socket in enumerate(sockets):
            while waiting[place] and open_results[place] < _WINDOW * _ROOMS * _EACH:
                socket.send(waiting[place].pop())
                open_results[place] += _ROOMS * _EACH
        ready = zmq.select(sockets, [], [], 20)[0]
        assert ready, "no Ack"
        for socket in ready:
            settled = len(wire.decode_ack(socket.recv()).committed)
            open_results[sockets.index(socket)] -= settled
    for socket in sockets:
        socket.close(0)


if __name__ == "__main__":
    run_alone(cluster, __doc__)
