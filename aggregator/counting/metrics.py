"""What an aggregator tells Prometheus of itself."""

from collections.abc import Iterator, Mapping
from typing import Final

from roommood.shared.process.metrics import Fact, outcome_facts

# Told from the start, at 0: Prometheus does not see a counter rise that begins above it.
_OUTCOMES: Final = (
    "committed", "duplicate", "forgotten", "unsettled",
    "refused-too-old", "refused-boots", "refused-seq-jump",
)  # fmt: skip
_MESSAGES: Final = ("refused-malformed", "refused-wire-version")


def aggregator_facts(
    counts: Mapping[str, int], workers: int, redis_away: bool, shards_away: int
) -> Iterator[Fact]:
    """From an aggregator's counts, and what it hears of at this moment."""
    name = "roommood_aggregator_results_total"
    results = {key: n for key, n in counts.items() if key.partition("-")[0] in _RESULT_WORDS}
    yield from outcome_facts(name, "Results by outcome.", results, _OUTCOMES)
    name = "roommood_aggregator_messages_total"
    messages = {
        key.removeprefix("message-"): n for key, n in counts.items() if key.startswith("message-")
    }
    yield from outcome_facts(name, "Messages that were no report.", messages, _MESSAGES)
    name = "roommood_aggregator_room_errors_total"
    yield Fact(name, "Batches of a room that Redis refused.", counts.get("room-errors", 0))
    yield Fact("roommood_aggregator_workers", "Workers heard in the last 5 s.", workers)
    yield Fact("roommood_aggregator_redis_up", "1 if Redis answers.", float(not redis_away))
    name = "roommood_aggregator_shards_away"
    yield Fact(name, "Nodes of a Redis Cluster that do not answer.", shards_away)


_RESULT_WORDS: Final = {outcome.partition("-")[0] for outcome in _OUTCOMES}
