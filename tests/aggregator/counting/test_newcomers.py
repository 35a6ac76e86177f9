"""A bounded rate of what is new."""

from roommood.aggregator.counting.newcomers import Budget, Newcomers, Rate

RATE = Rate(at_once=3, every_ms=1_000.0, remembered=4)


def test_so_many_at_once_and_then_one_by_one() -> None:
    budget = Budget(RATE)
    assert [budget.take(0.0) for _ in range(5)] == [True, True, True, False, False]
    assert [budget.take(999.0), budget.take(1_000.0), budget.take(1_001.0)] == [False, True, False]


def test_what_was_not_used_for_long_is_no_more_than_so_many_at_once() -> None:
    budget = Budget(RATE)
    budget.take(0.0)
    assert [budget.take(1e9) for _ in range(4)] == [True, True, True, False]


def test_what_is_known_is_admitted_whatever_was_used_up() -> None:
    names = Newcomers(RATE)
    assert [names.admits(name, 0.0) for name in "abcd"] == [True, True, True, False]
    assert all(names.admits("a", 0.0) for _ in range(100))
    names.know(["d"])
    assert names.admits("d", 0.0)


def test_a_newcomer_needs_a_place_in_both_budgets() -> None:
    names, shared = Newcomers(RATE), Budget(Rate(1, 1_000.0, 0))
    assert [names.admits(name, 0.0, shared) for name in "aab"] == [True, True, False]


def test_the_one_not_met_for_longest_is_forgotten() -> None:
    names = Newcomers(RATE)
    names.know("abcd")
    names.admits("a", 0.0)
    names.know("e")
    assert len(names) == 4
    assert list(names._known) == ["c", "d", "a", "e"]
