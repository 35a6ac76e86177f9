"""A camera's credit: never more than was granted, never what was granted to another."""

import random

import pytest

from roommood.camera_node.window import CreditWindow
from roommood.shared.protocol.limits import CREDIT_VOID_MS, LEARNED_WORKER_DROP_MS
from tests.shared.made import credit

NOW = 50_000.0


@pytest.fixture
def window() -> CreditWindow:
    window = CreditWindow(NOW)
    window.connect(1, NOW)
    return window


def sent(window: CreditWindow, frames: int) -> None:
    for _ in range(frames):
        window.spend()


def test_without_a_connection_nothing_may_be_sent() -> None:
    window = CreditWindow(NOW)
    assert not window.take(credit(connection=0, granted=5), NOW)
    assert window.available(NOW) == 0


def test_a_connection_grants_nothing_by_itself(window: CreditWindow) -> None:
    assert window.available(NOW) == 0


def test_credit_is_what_is_granted_beyond_what_was_sent(window: CreditWindow) -> None:
    assert window.take(credit(granted=2), NOW)
    assert window.available(NOW) == 2
    window.spend()
    assert window.available(NOW) == 1
    window.spend()
    assert window.available(NOW) == 0
    assert window.unsettled == 2


def test_a_repeated_credit_grants_nothing_more(window: CreditWindow) -> None:
    for _ in range(3):
        window.take(credit(granted=1), NOW)
    window.spend()
    for _ in range(3):
        window.take(credit(granted=1), NOW)
    assert window.available(NOW) == 0


def test_a_late_credit_never_makes_less_than_nothing(window: CreditWindow) -> None:
    window.take(credit(granted=3, started=0), NOW)
    sent(window, 3)
    window.take(credit(granted=1, started=0), NOW)
    assert (window.available(NOW), window.unsettled) == (0, 3)


def test_a_lost_credit_is_made_good_by_the_next(window: CreditWindow) -> None:
    window.take(credit(granted=3, started=2), NOW)
    sent(window, 3)
    window.take(credit(granted=7, started=3), NOW)
    assert (window.available(NOW), window.unsettled) == (4, 0)


def test_credit_that_the_worker_took_back_is_gone(window: CreditWindow) -> None:
    window.take(credit(granted=2), NOW)
    window.take(credit(granted=0), NOW)
    assert window.available(NOW) == 0


def test_settled_never_goes_back_nor_beyond_what_was_sent(window: CreditWindow) -> None:
    window.take(credit(granted=5), NOW)
    sent(window, 5)
    window.take(credit(granted=5, started=3), NOW)
    window.take(credit(granted=5, started=1), NOW)
    assert window.unsettled == 2
    window.take(credit(granted=5, started=99), NOW)
    assert window.unsettled == 0


def test_credit_for_an_earlier_connection_is_ignored(window: CreditWindow) -> None:
    window.take(credit(granted=1), NOW)
    window.disconnect()
    window.connect(2, NOW)
    assert not window.take(credit(connection=1, granted=9, worker_id="other"), NOW)
    assert (window.available(NOW), window.worker_id) == (0, "worker")


def test_credit_is_void_on_disconnect(window: CreditWindow) -> None:
    window.take(credit(granted=1), NOW)
    window.disconnect()
    assert window.available(NOW) == 0
    window.connect(2, NOW)
    assert window.available(NOW) == 0


def test_credit_is_void_after_three_seconds_of_silence(window: CreditWindow) -> None:
    window.take(credit(granted=1), NOW)
    assert window.available(NOW + CREDIT_VOID_MS) == 1
    assert window.available(NOW + CREDIT_VOID_MS + 0.1) == 0


def test_after_silence_only_what_the_worker_says_now_holds(window: CreditWindow) -> None:
    window.take(credit(granted=4), NOW)
    later = NOW + 10_000
    window.take(credit(granted=0), later)
    assert window.available(later) == 0


def test_a_connection_made_late_does_not_count_as_silence() -> None:
    window = CreditWindow(NOW)
    window.connect(1, NOW + 60_000)
    assert window.heard_ms == NOW + 60_000


@pytest.mark.parametrize(
    "closing", [{"leaving": True}, {"paused": True}, {"refused": "superseded"}]
)
def test_a_worker_that_serves_no_more_closes_the_window(
    window: CreditWindow, closing: dict[str, object]
) -> None:
    window.take(credit(granted=3), NOW)
    window.take(credit(granted=3, **closing), NOW)
    assert window.available(NOW) == 0
    window.take(credit(granted=3), NOW)
    assert window.available(NOW) == 3


def test_what_a_worker_had_not_begun_is_lost_with_it(window: CreditWindow) -> None:
    window.take(credit(granted=5), NOW)
    sent(window, 5)
    window.take(credit(granted=5, started=3), NOW)
    window.disconnect()
    window.connect(2, NOW)
    window.take(credit(connection=2, worker_id="next", granted=6, started=5), NOW)
    assert (window.lost_with_worker, window.unsettled, window.available(NOW)) == (2, 0, 1)


def test_the_first_worker_loses_nothing(window: CreditWindow) -> None:
    window.take(credit(granted=1), NOW)
    assert (window.lost_with_worker, window.unsettled) == (0, 0)


def test_the_same_worker_after_a_reconnect_loses_nothing_by_itself(window: CreditWindow) -> None:
    window.take(credit(granted=2), NOW)
    sent(window, 2)
    window.disconnect()
    window.connect(2, NOW)
    window.take(credit(connection=2, granted=2, started=2), NOW)
    assert (window.lost_with_worker, window.unsettled) == (0, 0)


def test_what_is_written_off_is_lost_once(window: CreditWindow) -> None:
    window.take(credit(granted=2), NOW)
    sent(window, 2)
    window.write_off()
    window.write_off()
    assert (window.lost_with_worker, window.unsettled) == (2, 0)


def test_what_a_worker_left_unsettled_is_presumed_lost_after_a_minute(window: CreditWindow) -> None:
    window.take(credit(granted=2), NOW)
    sent(window, 2)
    window.disconnect()
    later = NOW + LEARNED_WORKER_DROP_MS
    assert (window.presumed_lost(later), window.presumed_lost(later + 1)) == (0, 2)
    window.connect(2, later + 2)
    window.take(credit(connection=2, granted=2, started=2), later + 2)
    assert window.presumed_lost(later + 2) == window.lost_with_worker == 0, "it was there after all"


def test_the_time_of_service_is_told_by_our_own_clock(window: CreditWindow) -> None:
    window.take(credit(ready_ms=40.0), NOW)
    assert window.ready_at_ms == NOW + 40


@pytest.mark.parametrize("seed", range(50))
def test_whatever_happens_every_frame_is_settled_or_lost_or_under_way(seed: int) -> None:
    rng, window, now, settled = random.Random(seed), CreditWindow(NOW), NOW, 0
    for connection in range(300):
        before, lost = window.unsettled, window.lost_with_worker
        what = rng.randrange(5)
        if what == 0:
            window.connect(connection, now)
        elif what == 1:
            window.disconnect()
        elif what == 2 and window.available(now):
            window.spend()
            before += 1
        else:
            worker, limit = rng.choice("aab"), window.sent + 3
            granted, started = rng.randrange(limit), rng.randrange(limit)
            number = window.connection - rng.randrange(2)
            window.take(
                credit(worker_id=worker, connection=number, granted=granted, started=started), now
            )
        now += rng.choice((10, 10, 10, 4000))
        newly_lost = window.lost_with_worker - lost
        settled += before - window.unsettled - newly_lost
        assert 0 <= window.unsettled <= window.sent
        assert 0 <= window.available(now) <= 3
        assert window.sent == settled + window.lost_with_worker + window.unsettled
