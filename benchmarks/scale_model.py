"""What a site needs, reckoned from unit costs. Pure: numbers in, numbers out.

Units are measured by `benchmarks.scale_units` and by the other benchmarks; `benchmarks.scale`
holds the predictions against runs at sizes that fit one machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from roommood.aggregator.counting.gathering import BUSY_PER_S, GATHER_MS
from roommood.aggregator.redis.keys import RESOLUTIONS
from roommood.inference_worker.serving.stats import CAMERAS_A_REPORT, ROUND_REPORTS
from roommood.shared.protocol.limits import MAX_WORKERS_PER_CAMERA, SEEN_BITS, SEEN_TTL_S

# Part of a core that may be busy; the rest is for what comes in bursts.
BUSY: Final = 0.7
# Milliseconds between two reports of a worker that always has results.
REPORTS_EVERY_MS: Final = 20.0


@dataclass(frozen=True)
class Line:
    """A cost of `fixed + per_unit * n`."""

    fixed: float
    per_unit: float

    def at(self, n: float) -> float:
        return self.fixed + self.per_unit * n

    @classmethod
    def through(cls, one: tuple[float, float], other: tuple[float, float]) -> "Line":
        """The line through two measured points (n, cost)."""
        slope = (other[1] - one[1]) / (other[0] - one[0])
        return cls(one[1] - slope * one[0], slope)


@dataclass(frozen=True)
class Units:
    """What one of each costs. Times in microseconds of processor time, sizes in bytes.

    `redis_call_us` and `aggregator_call_us` are for all the results of one room in one batch, each
    of another camera;
    `bucket_bytes` by span, for a room with so many cameras.
    """

    redis_call_us: Line
    aggregator_call_us: Line
    redis_in_call_bytes: Line
    redis_out_call_bytes: Line
    redis_batch_us: float
    aggregator_report_us: float
    aggregator_batch_us: float
    redis_health_us: float
    aggregator_health_us: float
    result_bytes: float
    ack_bytes: float
    bucket_bytes: Mapping[str, Line]
    seen_bytes: float
    frame_bytes: float
    hello_bytes: float
    worker_frame_ms: float
    worker_empty_ms_per_s: float
    worker_link_ms_per_s: float
    worker_link_kb: float


@dataclass(frozen=True)
class Site:
    """`rate_hz`: results of one camera a second while it shows people, by whichever worker, and
    `empty_rate_hz` while it shows none; `people`: the part of the time in which it shows some;
    `per_call`: results of one room that an aggregator finds in one batch."""

    cameras: int
    rooms: int
    rate_hz: float
    per_call: float = 1.0
    links: int = MAX_WORKERS_PER_CAMERA
    threads: int = 1
    people: float = 1.0
    empty_rate_hz: float = 2.0

    @property
    def busy_hz(self) -> float:
        """Results with people a second, of all cameras."""
        return self.cameras * self.people * self.rate_hz

    @property
    def results_hz(self) -> float:
        return self.busy_hz + self.cameras * (1 - self.people) * self.empty_rate_hz

    @property
    def cameras_a_room(self) -> float:
        return self.cameras / self.rooms


@dataclass(frozen=True)
class Needs:
    """Cores are counted as busy to `BUSY`; bytes a second are those of all machines together."""

    worker_cores: float
    workers: float
    aggregators: float
    redis_cores: float
    redis_bytes: float
    redis_in_per_s: float
    redis_out_per_s: float
    frames_per_s: float
    reports_per_s: float
    links_per_worker: float
    worker_link_bytes: float
    camera_health_per_s: float


def needs(site: Site, units: Units) -> Needs:
    """What a site needs to run for a year and longer."""
    worker_s = site.busy_hz * units.worker_frame_ms / 1e3
    worker_s += site.cameras * (1 - site.people) * units.worker_empty_ms_per_s / 1e3
    worker_s += site.cameras * site.links * units.worker_link_ms_per_s / 1e3
    workers = worker_s / BUSY / site.threads
    calls_hz = site.results_hz / site.per_call
    links = min(site.cameras * site.links / max(workers, 1.0), site.cameras)
    redis_s, aggregator_s = counting_s(site, units, workers)
    told_hz = max(workers, 1.0) * min(links, max(CAMERAS_A_REPORT, links / ROUND_REPORTS))
    redis_s += units.redis_health_us * site.cameras / 1e6
    aggregator_s += units.aggregator_health_us * told_hz / 1e6
    return Needs(
        worker_cores=worker_s / BUSY,
        workers=workers,
        aggregators=aggregator_s / BUSY,
        redis_cores=redis_s / BUSY,
        redis_bytes=room_bytes(site, units) * site.rooms,
        redis_in_per_s=calls_hz * units.redis_in_call_bytes.at(site.per_call),
        redis_out_per_s=calls_hz * units.redis_out_call_bytes.at(site.per_call),
        frames_per_s=site.results_hz * (units.frame_bytes + units.hello_bytes),
        reports_per_s=site.results_hz * (units.result_bytes + units.ack_bytes),
        links_per_worker=links,
        worker_link_bytes=links * units.worker_link_kb * 1000,
        camera_health_per_s=told_hz,
    )


def counting_s(site: Site, units: Units, workers: float) -> tuple[float, float]:
    """Processor seconds a second of Redis and of the aggregators for results alone."""
    calls_hz = site.results_hz / site.per_call
    reports_hz = min(site.results_hz, workers * 1000 / REPORTS_EVERY_MS)
    batches_hz = batches_per_s(site.results_hz, reports_hz)
    redis_us = calls_hz * units.redis_call_us.at(site.per_call)
    redis_us += batches_hz * units.redis_batch_us
    aggregator_us = calls_hz * units.aggregator_call_us.at(site.per_call)
    aggregator_us += reports_hz * units.aggregator_report_us
    aggregator_us += batches_hz * units.aggregator_batch_us
    return redis_us / 1e6, aggregator_us / 1e6


def batches_per_s(results_hz: float, reports_hz: float) -> float:
    """Batches of results that aggregators commit: each report is one, until results come by the
    thousand and wait for others."""
    if results_hz < BUSY_PER_S:
        return reports_hz
    return min(reports_hz, results_hz / BUSY_PER_S * 1000 / GATHER_MS)


def room_bytes(site: Site, units: Units, days: float = float("inf")) -> float:
    """Redis memory of one room after so many days; it grows no more after 400."""
    after_s = days * 86_400
    buckets = sum(
        min(span.keep_s + span.length_s, after_s)
        / span.length_s
        * units.bucket_bytes[span.name].at(site.cameras_a_room)
        for span in RESOLUTIONS
    )
    seen = min(SEEN_TTL_S, after_s) * site.results_hz / site.cameras / SEEN_BITS + 1
    return buckets + site.cameras_a_room * seen * units.seen_bytes
