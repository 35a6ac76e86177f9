"""What an aggregator tells Prometheus of itself."""

from collections.abc import Iterator, Mapping
from typing import Final

from roommood.aggregator.counting.memory_watch import RedisMemory
from roommood.shared.process.metrics import Sample, outcome_samples

# Told from the start, at 0: Prometheus does not see a counter rise that begins above it.
_OUTCOMES: Final = (
    "committed", "duplicate", "forgotten", "unsettled",
    "refused-too-old", "deferred-bitmap", "deferred-bucket", "deferred-camera", "deferred-model",
    "deferred-room",
)  # fmt: skip
_MESSAGES: Final = ("refused-malformed", "refused-wire-version")


def aggregator_samples(
    counts: Mapping[str, int], workers: int, redis_away: bool, shards_away: int
) -> Iterator[Sample]:
    """From an aggregator's counts, and what it hears of at this moment."""
    name = "roommood_aggregator_results_total"
    results = {key: n for key, n in counts.items() if key.partition("-")[0] in _RESULT_WORDS}
    yield from outcome_samples(name, "Results by outcome.", results, _OUTCOMES)
    name = "roommood_aggregator_messages_total"
    messages = {
        key.removeprefix("message-"): n for key, n in counts.items() if key.startswith("message-")
    }
    yield from outcome_samples(name, "Messages that were no report.", messages, _MESSAGES)
    name = "roommood_aggregator_room_errors_total"
    yield Sample(name, "Batches of a room that Redis refused.", counts.get("room-errors", 0))
    yield Sample("roommood_aggregator_workers", "Workers heard in the last 5 s.", workers)
    yield Sample("roommood_aggregator_redis_up", "1 if Redis answers.", float(not redis_away))
    name = "roommood_aggregator_shards_away"
    yield Sample(name, "Nodes of a Redis Cluster that do not answer.", shards_away)


def store_samples(memory: RedisMemory, clock_off_ms: float) -> Iterator[Sample]:
    """What is known of Redis: how full it is, and by how much this machine's clock differs."""
    name = "roommood_aggregator_redis_memory_bytes"
    yield Sample(name, "Memory that Redis uses.", memory.used)
    name = "roommood_aggregator_redis_may_evict"
    yield Sample(name, "1 if Redis may throw away what was counted.", memory.may_evict)
    name = "roommood_aggregator_redis_memory_limit_bytes"
    yield Sample(name, "Memory that Redis may use (maxmemory), 0 for no limit.", memory.limit)
    name = "roommood_aggregator_redis_clock_off_seconds"
    yield Sample(name, "This machine's clock less that of Redis.", clock_off_ms / 1000.0)


_RESULT_WORDS: Final = {outcome.partition("-")[0] for outcome in _OUTCOMES}
