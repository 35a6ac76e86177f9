"""Shards that gave no answer are left alone in proportion to what asking them costs."""

from roommood.aggregator.redis.shards import PAUSE_S, PAUSE_TIMES, ShardPauses


def test_a_shard_that_refused_at_once_is_left_alone_for_half_a_second() -> None:
    pauses = ShardPauses()
    pauses.failed("a:1", 10.0, 10.001)
    assert pauses.is_paused("a:1", 10.001 + PAUSE_S - 0.01)
    assert not pauses.is_paused("a:1", 10.001 + PAUSE_S + 0.01)
    assert not pauses.is_paused("b:1", 10.01)


def test_a_shard_that_hung_costs_at_most_a_fifth_of_the_time() -> None:
    pauses = ShardPauses()
    pauses.failed("a:1", 10.0, 12.0)
    assert pauses.is_paused("a:1", 12.0 + PAUSE_TIMES * 2.0 - 0.01)
    assert not pauses.is_paused("a:1", 12.0 + PAUSE_TIMES * 2.0 + 0.01)


def test_a_shard_counts_as_failing_until_it_answers() -> None:
    pauses = ShardPauses()
    pauses.failed("a:1", 10.0, 10.0)
    assert pauses.failing == {"a:1"}
    assert not pauses.is_paused("a:1", 99.0)
    assert pauses.failing == {"a:1"}
    pauses.answered("a:1")
    assert pauses.failing == frozenset()


def test_all_are_paused_only_when_none_is_left() -> None:
    pauses = ShardPauses()
    pauses.failed("a:1", 10.0, 10.0)
    assert pauses.all_paused(["a:1"], 10.1)
    assert not pauses.all_paused(["a:1", "b:1"], 10.1)
    pauses.failed("b:1", 10.0, 10.0)
    assert pauses.all_paused(["a:1", "b:1"], 10.1)
