"""An aggregator whose clock is a minute off Redis' says so and counts nothing until it is right."""

import logging

import pytest

from roommood.aggregator.counting.clock_guard import MAX_OFF_MS, ClockGuard
from roommood.aggregator.counting.store import Store
from roommood.shared.clock import wall_ms
from roommood.shared.errors import StoreAway, StoreRefuses
from roommood.shared.process.metrics import Health
from tests import hooks

# In 2027.
NOW_MS = 1.8e12


class Clocks:
    """This machine's two clocks, and that of Redis, which says what it is told to."""

    def __init__(self) -> None:
        self.boot_ms, self.wall_ms, self.redis_ms = 5_000.0, NOW_MS, NOW_MS
        self.away_with: Exception | None = None
        self.asked = 0
        self.health = Health("aggregator")
        self.health.ready = True
        self.guard = ClockGuard(self._ask, self.health, lambda: self.wall_ms, lambda: self.boot_ms)

    def _ask(self) -> float:
        self.asked += 1
        if self.away_with is not None:
            raise self.away_with
        return self.redis_ms

    def step(self, ms: float) -> None:
        self.wall_ms += ms

    def pass_by(self, ms: float) -> None:
        self.boot_ms, self.wall_ms = self.boot_ms + ms, self.wall_ms + ms
        self.redis_ms += ms


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.mark.parametrize("off_ms", [0.0, MAX_OFF_MS, -MAX_OFF_MS])
def test_up_to_a_minute_off_it_counts(clocks: Clocks, off_ms: float) -> None:
    clocks.step(off_ms)
    assert clocks.guard.may_count()
    assert clocks.health.ready


@pytest.mark.parametrize("off_ms", [MAX_OFF_MS + 1, -MAX_OFF_MS - 1, -25 * 3_600_000.0])
def test_further_off_it_counts_nothing_and_says_so_once(
    clocks: Clocks, off_ms: float, caplog: pytest.LogCaptureFixture
) -> None:
    clocks.step(off_ms)
    for _ in range(3):
        assert not clocks.guard.may_count()
        clocks.guard.compare()
    assert not clocks.health.ready
    where = "ahead of" if off_ms > 0 else "behind"
    assert f" s {where} Redis': nothing is counted" in clocks.health.fault
    assert clocks.health.detail["redis_clock_off_s"] == round(off_ms / 1000, 1)
    assert [record.message for record in caplog.records] == ["clock wrong, nothing is counted"]


@pytest.mark.parametrize("may_ask", [True, False])
def test_a_clock_that_was_not_set_yet_is_wrong_though_redis_has_the_same(
    clocks: Clocks, may_ask: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """As both are on one machine without a battery for its clock, until the network is there."""
    clocks.wall_ms = clocks.redis_ms = 40_000.0
    clocks.away_with = None if may_ask else StoreRefuses("no right to ask")
    assert not clocks.guard.may_count()
    assert "clock says 1970-01-01: it was not set yet: nothing is counted" in clocks.health.fault
    assert "clock wrong, nothing is counted" in [record.message for record in caplog.records]
    clocks.wall_ms = clocks.redis_ms = NOW_MS
    assert clocks.guard.may_count()
    assert clocks.health.ready


def test_when_it_is_set_right_it_counts_again_at_once(
    clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clocks.step(-3_600_000.0)
    assert not clocks.guard.may_count()
    clocks.step(3_600_000.0)
    assert clocks.guard.may_count()
    assert (clocks.health.ready, clocks.health.fault) == (True, "")
    assert caplog.records[-1].message == "clock right again"


def test_a_step_is_noticed_before_the_next_result_is_counted(clocks: Clocks) -> None:
    assert clocks.guard.may_count()
    clocks.pass_by(400.0)
    assert clocks.guard.may_count()
    assert clocks.asked == 1
    clocks.step(-3_600_000.0)
    assert not clocks.guard.may_count()


def test_what_the_answer_took_is_not_taken_for_a_wrong_clock(
    clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> float:
        clocks.pass_by(90_000.0)
        return clocks.redis_ms

    hooks.redis_tells_the_time(monkeypatch, clocks.guard, slow)
    assert clocks.guard.may_count()


def test_a_redis_that_gives_no_answer_leaves_it_unknown(clocks: Clocks) -> None:
    clocks.away_with = StoreAway("away")
    assert not clocks.guard.may_count()
    clocks.away_with = None
    assert clocks.guard.may_count()


def test_a_user_who_may_not_ask_is_told_once_and_counts(
    clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    clocks.away_with = StoreRefuses("no permission for TIME")
    for _ in range(3):
        clocks.guard.compare()
        assert clocks.guard.may_count()
    assert [record.message for record in caplog.records] == ["clock not compared with Redis'"]


def test_a_real_redis_and_this_machine_agree(store: Store) -> None:
    guard = ClockGuard(store.clock_ms, Health("aggregator"))
    assert guard.may_count()
    assert abs(guard.off_ms) < 1_000
    assert abs(store.clock_ms() - wall_ms()) < 1_000
