"""How many frames may be under way: the rules one by one, then a whole site in virtual time."""

import random
from collections import Counter

import pytest

from roommood.inference_worker.serving.arrivals import Arrivals
from roommood.inference_worker.serving.credit import CreditControl
from roommood.inference_worker.serving.ledger import Account, Ledger, Outcome
from roommood.shared.protocol.limits import CREDIT_VOID_MS, MAX_WAIT_MS
from tests.inference_worker.simulated_site import Began, SimulatedCamera, SimulatedSite

NOW = 50_000.0


class Worker:
    """A CreditControl, and a ledger in which one camera's frames stand where a test puts them."""

    def __init__(self, threads: int = 1) -> None:
        self.ledger = Ledger()
        self.account = Account(0, 0, 0)
        self.control = CreditControl(threads, self.ledger)

    def ask(self, frames: int = 1) -> None:
        for _ in range(frames):
            self.ledger.grant(self.account)

    def receive(self, frames: int = 1) -> None:
        for _ in range(frames):
            self.ledger.receive(self.account)

    def begin(self, job: object, now_ms: float) -> None:
        self.ledger.receive(self.account)
        self.ledger.begin(self.account, job, now_ms)

    def may_grant(self, fetch_ms: float, now_ms: float, *, asked: int = 0) -> bool:
        self.ask(asked - self.ledger.asked)
        return self.control.may_grant(fetch_ms, now_ms)


def busy(threads: int = 1, analysis_ms: float = 200.0) -> Worker:
    """All threads began at NOW, and an analysis is known to take so long."""
    worker = Worker(threads)
    worker.control.took(analysis_ms)
    for thread in range(threads):
        worker.begin(thread, NOW)
    return worker


def test_an_idle_worker_asks_for_one_frame_a_thread() -> None:
    worker = Worker(2)
    assert [worker.may_grant(5.0, NOW, asked=n) for n in range(4)] == [True, True, False, False]


def test_a_busy_worker_asks_one_fetch_time_before_a_thread_falls_free() -> None:
    worker = busy()
    assert not worker.may_grant(50.0, NOW + 140)
    assert worker.may_grant(50.0, NOW + 150)
    assert not worker.may_grant(50.0, NOW + 150, asked=1)


@pytest.mark.parametrize(("analysis_ms", "more"), [(10.0, 1), (10.1, 0)])
def test_where_analyses_are_short_one_more_frame_a_thread_is_asked_for(
    analysis_ms: float, more: int
) -> None:
    worker = busy(2, analysis_ms)
    assert [worker.may_grant(0.0, NOW, asked=n) for n in range(6)].count(True) == 2 * more


@pytest.mark.parametrize(("analysis_ms", "supplied"), [(2.5, True), (200.0, False)])
def test_a_worker_is_supplied_while_each_thread_has_its_next_frame_at_hand(
    analysis_ms: float, supplied: bool
) -> None:
    worker = busy(2, analysis_ms)
    worker.ask(2)
    worker.receive(1)
    assert not worker.control.is_supplied
    worker.receive(1)
    assert worker.control.is_supplied == supplied
    worker.ledger.begin(worker.account, "next", NOW)
    assert not worker.control.is_supplied


def test_it_is_quiet_where_no_frame_was_asked_for_lately_and_none_waits() -> None:
    worker = Worker()
    assert worker.control.is_quiet(NOW)
    worker.control.granted(NOW)
    worker.ask()
    assert not worker.control.is_quiet(NOW + 99)
    assert worker.control.is_quiet(NOW + 100)
    worker.receive()
    assert not worker.control.is_quiet(NOW + 100)


def test_the_time_until_a_thread_falls_free_is_told() -> None:
    assert busy().control.ready_ms(NOW + 50) == 150
    assert busy().control.ready_ms(NOW + 500) == 0
    assert Worker(1).control.ready_ms(NOW) == 0


def test_the_length_of_an_analysis_is_a_moving_average() -> None:
    control = busy(1, 200.0).control
    assert control.analysis_ms == 200
    control.took(100)
    assert control.analysis_ms == 180


def test_the_end_of_what_never_began_changes_nothing() -> None:
    worker = busy()
    assert worker.ledger.finish(worker.account, "unknown", Outcome.ANALYSED) is None
    assert (worker.control.analysis_ms, worker.control.idle_threads) == (200.0, 0)


def test_overcommit_grows_while_a_thread_idles_as_a_slow_camera_holds_the_credit() -> None:
    worker = Worker(1)
    worker.control.granted(NOW)
    worker.ask()
    assert not worker.control.may_grow(NOW + 1)
    assert worker.control.may_grow(NOW + 60)
    assert worker.control.overcommit == 1
    assert worker.may_grant(5.0, NOW + 60)
    assert not worker.may_grant(5.0, NOW + 60, asked=2)


def test_overcommit_makes_up_for_cameras_that_do_not_answer_never_for_frames_that_wait() -> None:
    worker = busy()
    worker.control.overcommit = 5
    soon = NOW + 195
    assert worker.may_grant(5.0, soon, asked=5)
    worker.receive()
    assert not worker.may_grant(5.0, soon, asked=5)
    worker.ledger.void(worker.account)
    assert not worker.may_grant(5.0, soon)


@pytest.mark.parametrize(("asked", "waiting"), [(0, 0), (0, 1), (1, 1)])
def test_overcommit_does_not_grow_while_credit_is_left_or_a_frame_waits(
    asked: int, waiting: int
) -> None:
    worker = Worker()
    worker.ask(asked + waiting)
    worker.receive(waiting)
    assert not worker.control.may_grow(NOW + 1e6)


def test_a_frame_that_is_expected_soon_is_counted_on_whatever_the_overcommit() -> None:
    worker = Worker(1)
    worker.control.overcommit = 1
    assert worker.may_grant(5.0, NOW, asked=1)
    assert not worker.control.may_grant(5.0, NOW, soon=1)
    worker.control.overcommit = 0
    assert not worker.control.may_grow(NOW + 60, soon=1)
    assert worker.control.may_grow(NOW + 60)


def test_overcommit_does_not_grow_while_no_thread_idles() -> None:
    worker = busy()
    worker.ask(5)
    assert not worker.control.may_grow(NOW + 1e6)


def test_overcommit_shrinks_when_a_frame_had_to_wait_and_never_below_none() -> None:
    control = Worker(3).control
    control.overcommit = 2
    control.waited(MAX_WAIT_MS)
    assert control.overcommit == 2
    for _ in range(3):
        control.waited(MAX_WAIT_MS + 0.1)
    assert control.overcommit == 0


def test_when_the_slow_cameras_frame_has_come_the_next_credit_is_counted_on_again() -> None:
    worker = Worker(1)
    worker.control.granted(NOW)
    worker.ask()
    assert worker.control.may_grow(NOW + 60)
    worker.ask()
    worker.begin("slow", NOW + 70)  # one of two credits is left: the other camera's
    worker.control.fetched(70.0)
    assert worker.control.overcommit == 1
    worker.begin("fast", NOW + 75)
    worker.control.fetched(5.0)
    assert worker.control.overcommit == 0


@pytest.mark.parametrize("elapsed_ms", [0.0, 100.0, 191.9, 192.0, 200.0, 1e6])
def test_the_next_look_never_lets_the_loop_spin_or_sleep_on(elapsed_ms: float) -> None:
    worker = busy()
    look_ms = worker.control.next_look_ms(5.0, NOW + elapsed_ms)
    assert 0 < look_ms <= 200
    if not worker.may_grant(5.0, NOW + elapsed_ms):
        assert worker.may_grant(5.0, NOW + elapsed_ms + look_ms)


# A whole site. `began` leaves out the first ten seconds, in which it finds its pace.


def began(site: SimulatedSite, for_ms: float = 60_000.0) -> list[Began]:
    site.run(10_000)
    before = len(site.began)
    site.run(for_ms)
    return site.began[before:]


def share_used(frames: list[Began], work_ms: float, threads: int = 1) -> float:
    return len(frames) * work_ms / (60_000.0 * threads)


def p95_age_ms(frames: list[Began]) -> float:
    ages = sorted(frame.age_ms for frame in frames)
    return ages[len(ages) * 95 // 100]


def jain(frames: list[Began], cameras: int) -> float:
    """Jain's fairness of the cameras' shares: 1 if all are equal, 1/n if one has all."""
    counts = Counter(frame.camera for frame in frames).values()
    return len(frames) ** 2 / (cameras * sum(count**2 for count in counts))


def many(count: int, rate_hz: float, **more: float) -> list[SimulatedCamera]:
    return [
        SimulatedCamera(f"c{n}", rate_hz, phase_ms=n * 7.3 % (1000 / rate_hz), **more)  # type: ignore[arg-type]
        for n in range(count)
    ]


def site(
    monkeypatch: pytest.MonkeyPatch,
    cameras: list[SimulatedCamera],
    work_ms: float,
    threads: int = 1,
    spread: float = 0.0,
) -> SimulatedSite:
    rng = random.Random(1)

    def work() -> float:
        return max(1.0, rng.gauss(work_ms, spread * work_ms))

    return SimulatedSite(monkeypatch, cameras, work, threads)


@pytest.mark.parametrize("phase_ms", [0.0, 11.0, 29.0])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_one_fast_camera_keeps_a_slow_worker_busy_with_fresh_frames(
    monkeypatch: pytest.MonkeyPatch, threads: int, phase_ms: float
) -> None:
    camera = SimulatedCamera("door", 30, phase_ms=phase_ms)
    running = site(monkeypatch, [camera], 200, threads)
    frames = began(running)
    assert share_used(frames, 200, threads) >= 0.95
    assert p95_age_ms(frames) <= 50
    assert not running.intake.ledger.refused


def test_analyses_of_unequal_length_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = began(site(monkeypatch, many(1, 30), 200, spread=0.15))
    assert share_used(frames, 200) >= 0.93
    assert p95_age_ms(frames) <= 100


def test_three_cameras_get_equal_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = began(site(monkeypatch, many(3, 30), 200))
    shares = Counter(frame.camera for frame in frames)
    assert max(shares.values()) - min(shares.values()) <= 1
    assert share_used(frames, 200) >= 0.95


def test_a_camera_behind_a_slower_link_gets_its_share_and_stays_fresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cameras = [*many(2, 30), SimulatedCamera("far", 30, fetch_ms=60, phase_ms=3)]
    frames = began(site(monkeypatch, cameras, 200))
    assert jain(frames, 3) >= 0.98
    assert share_used(frames, 200) >= 0.95
    assert p95_age_ms(frames) <= 100


@pytest.mark.parametrize("work_ms", [50.0, 200.0])
def test_a_slow_camera_that_holds_a_credit_does_not_idle_the_worker(
    monkeypatch: pytest.MonkeyPatch, work_ms: float
) -> None:
    cameras = [*many(1, 30), SimulatedCamera("slow", 1, phase_ms=13)]
    if work_ms < 1000 / 30:
        cameras += many(1, 30)
    frames = began(site(monkeypatch, cameras, work_ms))
    assert share_used(frames, work_ms) >= 0.95
    assert Counter(frame.camera for frame in frames)["slow"] >= 59


def late_beside_a_slow_camera(monkeypatch: pytest.MonkeyPatch, threads: int) -> float:
    """The part of the fast cameras' frames that is older than 50 ms when its analysis begins."""
    cameras = [*many(3, 30), SimulatedCamera("slow", 1, phase_ms=13)]
    frames = began(site(monkeypatch, cameras, 200, threads=threads, spread=0.02), 240_000.0)
    assert share_used(frames, 200, threads) >= 4 * 0.98
    fast = [frame for frame in frames if frame.camera != "slow"]
    return sum(frame.age_ms > 50 for frame in fast) / len(fast)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_slow_camera_makes_hardly_any_frame_of_fast_ones_wait(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    assert late_beside_a_slow_camera(monkeypatch, threads) <= 0.002


def test_the_control_that_does_not_know_when_it_captures_makes_more_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Arrivals, "in_the_way", lambda *_: 0)
    assert late_beside_a_slow_camera(monkeypatch, 1) > 0.004


def part_of_its_rate_a_second_after(
    monkeypatch: pytest.MonkeyPatch, others: int, work_ms: float, threads: int, healed_ms: float
) -> float:
    """What a camera behind a link of one frame a second gets of its former share, from a second
    after the link is to be well on; that lasts `healed_ms`."""
    camera = SimulatedCamera("far", 15, phase_ms=3)
    running = site(monkeypatch, [camera, *many(others, 15)], work_ms, threads, spread=0.05)
    free = sum(frame.camera == "far" for frame in began(running, 5_000.0))
    camera.fetch_ms = 1_000.0
    running.run(10_000)
    camera.fetch_ms = healed_ms
    running.run(1_000)
    before = len(running.began)
    running.run(5_000)
    return sum(frame.camera == "far" for frame in running.began[before:]) / free


@pytest.mark.parametrize(
    ("others", "work_ms", "threads"), [(0, 40, 1), (0, 75, 1), (2, 75, 1), (2, 75, 2), (1, 200, 2)]
)
def test_a_camera_whose_link_is_well_again_has_its_rate_within_a_second(
    monkeypatch: pytest.MonkeyPatch, others: int, work_ms: float, threads: int
) -> None:
    part = part_of_its_rate_a_second_after(monkeypatch, others, work_ms, threads, 5.0)
    assert part == pytest.approx(1.0, abs=0.15)


def test_the_control_whose_link_stays_slow_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert part_of_its_rate_a_second_after(monkeypatch, 0, 75, 1, 1_000.0) < 0.5


@pytest.mark.parametrize("rate_hz", [5.0, 10.0, 30.0])
def test_fifty_cameras_share_one_fast_worker(
    monkeypatch: pytest.MonkeyPatch, rate_hz: float
) -> None:
    running = site(monkeypatch, many(50, rate_hz), 10)
    running.run(5_000)
    before = len(running.began)
    running.run(10_000)
    frames = running.began[before:]
    assert len(frames) * 10 / 10_000 >= 0.9
    assert jain(frames, 50) >= 0.98
    assert not running.intake.ledger.refused


@pytest.mark.parametrize("threads", [1, 2])
def test_a_worker_of_short_analyses_is_kept_busy_with_fresh_frames(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    frames = began(site(monkeypatch, many(6, 240), 5, threads, spread=0.1))
    assert share_used(frames, 5, threads) >= 0.98
    assert jain(frames, 6) >= 0.98
    assert p95_age_ms(frames) <= 20


def test_two_threads_share_many_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = began(site(monkeypatch, many(7, 30), 200, threads=2, spread=0.1))
    assert share_used(frames, 200, 2) >= 0.95
    assert jain(frames, 7) >= 0.98


def test_a_worker_that_is_fast_enough_analyses_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = began(site(monkeypatch, many(3, 10), 20))
    assert abs(len(frames) - 1800) <= 6
    assert p95_age_ms(frames) <= 50


def test_a_camera_that_vanishes_with_a_credit_costs_at_most_three_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = SimulatedCamera("gone", 30, gone_at_ms=115_000.0, phase_ms=5)
    running = site(monkeypatch, [SimulatedCamera("stays", 30), gone], 200)
    running.run(15_000 + CREDIT_VOID_MS + 1_500)
    assert running.intake.ledger.in_flight <= 1 + running.intake.control.overcommit
    before = len(running.began)
    running.run(20_000)
    frames = running.began[before:]
    assert {frame.camera for frame in frames} == {"stays"}
    assert len(frames) * 200 / 20_000 >= 0.95
