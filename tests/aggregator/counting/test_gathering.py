"""Results wait for others only where they come by the thousand, and never for long."""

import itertools

from roommood.aggregator.counting.gathering import BUSY_PER_S, GATHER_MS, IDLE_MS, Gathering

_STEP_MS = 5.0


def drive(gathering: Gathering, per_s: float, began_ms: float, seconds: float) -> list[float]:
    """When results were counted, in ms, if so many come each second, some each 5 ms."""
    counted, waiting, came = [], 0, 0.0
    for step in range(round(seconds * 1000 / _STEP_MS)):
        now_ms = began_ms + step * _STEP_MS
        came += per_s * _STEP_MS / 1000
        new, came = int(came), came % 1
        waiting += new
        if waiting and not gathering.holds(waiting, now_ms):
            counted.append(now_ms)
            waiting = 0
    return counted


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_a_small_site_sees_each_result_at_once() -> None:
    assert len(drive(Gathering(), 100.0, 1e6, 10.0)) == 1000


def test_a_thousand_a_second_are_counted_four_times_a_second() -> None:
    gathering = Gathering()
    drive(gathering, 2 * BUSY_PER_S, 1e6, 2.0)
    later = drive(gathering, 2 * BUSY_PER_S, 1e6 + 2000.0, 5.0)
    assert set(gaps(later)) == {GATHER_MS + _STEP_MS}


def test_when_nothing_more_comes_what_waits_is_counted() -> None:
    gathering = Gathering()
    drive(gathering, 2 * BUSY_PER_S, 1e6, 2.0)
    gathering.holds(0, 1e6 + 2000.0)
    assert gathering.holds(10, 1e6 + 2000.0)
    assert gathering.holds(10, 1e6 + 2000.0 + IDLE_MS - 1)
    assert not gathering.holds(10, 1e6 + 2000.0 + IDLE_MS)


def test_a_backlog_is_counted_in_pieces_that_fit_into_memory() -> None:
    gathering = Gathering()
    drive(gathering, 50 * BUSY_PER_S, 1e6, 2.0)
    assert not gathering.holds(10_000, 1e6 + 2000.0)


def test_a_site_that_has_become_quiet_sees_each_result_at_once_again() -> None:
    gathering = Gathering()
    drive(gathering, 2 * BUSY_PER_S, 1e6, 2.0)
    later = drive(gathering, 100.0, 1e6 + 2000.0, 5.0)
    assert set(gaps(later)[200:]) == {10.0}
