"""From a picture's capture to its statistic in Redis, on a site with nothing else to do.

    python -m benchmarks.latency [--quick] [--detector FILE]

Four pictures a second, captured when the machine's clock is a multiple of 250 ms; a listener on
the room's channel of updates notes when Redis tells of each. Beside it the stages, each timed
alone: compress, decode + detect + classify, commit.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.pictures import encoded, jpegs, scenes, write_jpegs
from benchmarks.plant import ROOM, Plant
from benchmarks.rows import Options, Row, at_most, run_alone, stated
from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.inference_worker.vision.analysis import Analyzer, open_analyzer
from roommood.shared.clock import boot_ms, wall_ms
from roommood.shared.protocol.messages import Result
from tests.end_to_end.site import quantile

RATE_HZ: Final = 4
_PEOPLE: Final = 1
_SLACK_MS: Final = 10.0


def latency(options: Options) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, Plant(options.detector) as plant:
        write_jpegs(Path(name), 12, _PEOPLE)
        analyzer = open_analyzer(options.detector)
        analyzer.warm_up()
        before = _stages(analyzer, plant.site.redis.url)
        plant.worker()
        who = ("--name", "cam", "--room", ROOM, "--worker", plant.frames)
        source = ("--source", f"{name}?pixels", "--rate-hz", str(RATE_HZ))
        plant.program("benchmarks.memory_camera", *who, *source)
        latencies = sorted(_listen(plant, options.length(30, 10)))
        after = _stages(analyzer, plant.site.redis.url)
    stages = {stage: (before[stage] + after[stage]) / 2 for stage in before}
    whole = sum(stages.values())
    p50, p99 = quantile(latencies, 0.5), quantile(latencies, 0.99)
    beside = {**stages, "sum of the stages": whole}
    note = f"{len(latencies)} frames; wall time: wants an idle machine"
    yield at_most("camera to Redis, p50", p50, "ms", round(whole + _SLACK_MS, 1), beside, note)
    yield stated("camera to Redis, p99", p99, "ms", note=note)


def _listen(plant: Plant, seconds: float) -> Iterator[float]:
    """Milliseconds from capture to the update of each picture."""
    interval_ms = 1000 / RATE_HZ
    with plant.site.redis.client() as client, client.pubsub() as updates:
        updates.subscribe(redis_keys.updates(ROOM))
        _settle(updates)
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            if updates.get_message(ignore_subscribe_messages=True, timeout=1.0):
                yield boot_ms() % interval_ms


def _settle(updates: object) -> None:
    """Leaves out the first seconds."""
    get = getattr(updates, "get_message")  # noqa: B009
    seen = 0
    while seen < 2 * RATE_HZ:
        seen += get(ignore_subscribe_messages=True, timeout=30.0) is not None


def _stages(analyzer: Analyzer, redis_url: str) -> dict[str, float]:
    """Median wall milliseconds of each stage by itself."""
    pictures, files = scenes(12, _PEOPLE), jpegs(12, _PEOPLE)
    faces = analyzer.analyze(files[0]).faces
    store = Store(redis_url)

    def commit(seq: int) -> None:
        result = Result("alone", "elsewhere", "b00t", seq, 250_000, "model", faces)
        store.commit([Delivery(seq, wall_ms(), result)], wall_ms())

    try:
        commit(0)
        base = int(time.monotonic() * 1000)
        return {
            "compress": _median_ms(lambda n: encoded(pictures[n % 12])),
            "decode + detect + classify": _median_ms(lambda n: analyzer.analyze(files[n % 12])),
            "commit": _median_ms(lambda n: commit(base + n)),
        }
    finally:
        store.close()


def _median_ms(act: object) -> float:
    assert callable(act)
    times = []
    for number in range(48):
        began_s = time.perf_counter()
        act(number)
        times.append((time.perf_counter() - began_s) * 1000)
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    run_alone(latency, __doc__)
