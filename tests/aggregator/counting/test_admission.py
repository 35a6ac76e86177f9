"""What one key can make Redis store, and that everything else is counted, if late."""

from collections.abc import Callable, Iterator

import pytest

from roommood.aggregator.counting import admission
from roommood.aggregator.counting.admission import Admission
from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.newcomers import Rate
from roommood.shared.protocol.limits import (
    BITMAP_EVERY_MS,
    BITMAPS_AT_ONCE,
    BITMAPS_IN_ALL_AT_ONCE,
    HEALTH_AT_ONCE,
    LATE_BUCKETS_AT_ONCE,
    MAX_RESULT_AGE_MS,
    MODELS_AT_ONCE,
    ROOMS_AT_ONCE,
    SEEN_BITS,
    SENDERS_AT_ONCE,
    WORKERS_AT_ONCE,
)
from tests.aggregator.made import HOUR_MS, delivery, result

HOUR = 3_600_000.0


def waits(gate: Admission, delivery: Delivery, now_ms: float = 0.0) -> str:
    return gate.waits_for(delivery, HOUR_MS + now_ms, now_ms)


def session(number: int, **fields: object) -> Delivery:
    return delivery(result(session_id=f"session-{number}", **fields))  # type: ignore[arg-type]


def leap(number: int, **fields: object) -> Delivery:
    return delivery(result(number * SEEN_BITS, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("made", [session, leap], ids=["sessions", "leaps"])
def test_a_key_that_allots_bitmaps_at_will_gets_so_many_at_once_and_then_one_in_ten_seconds(
    made: Callable[..., Delivery],
) -> None:
    gate = Admission()
    answers = [waits(gate, made(n, key="1234")) for n in range(10_000)]
    assert answers == [""] * BITMAPS_AT_ONCE + ["bitmap"] * (10_000 - BITMAPS_AT_ONCE)
    minute = [waits(gate, made(n, key="1234"), n * 10.0) for n in range(6_000)]
    assert minute[BITMAPS_AT_ONCE:].count("") == 60_000 // BITMAP_EVERY_MS - 1


def test_what_waited_is_counted_later_and_stays_admitted() -> None:
    gate = Admission()
    for n in range(BITMAPS_AT_ONCE):
        waits(gate, session(n))
    assert waits(gate, session(99)) == "bitmap"
    assert waits(gate, session(99), BITMAP_EVERY_MS) == ""
    assert waits(gate, session(99), BITMAP_EVERY_MS) == ""


def test_the_bound_belongs_to_the_key_and_not_to_the_name() -> None:
    gate = Admission()
    assert "bitmap" in [waits(gate, session(n, key="stolen")) for n in range(1_000)]
    assert waits(gate, session(0, key="renewed")) == ""
    assert waits(gate, session(0, camera="window", key="other")) == ""


def test_without_keys_the_bound_is_the_names() -> None:
    gate = Admission()
    assert "bitmap" in [waits(gate, session(n)) for n in range(1_000)]
    assert waits(gate, session(0, camera="window")) == ""


def honest_day(rate_hz: float) -> Iterator[tuple[float, Delivery]]:
    """The first frame of each bitmap of a camera that runs for a day."""
    for n in range(int(24 * HOUR / 1000 * rate_hz / SEEN_BITS)):
        yield n * SEEN_BITS * 1000 / rate_hz, leap(n)


@pytest.mark.parametrize("rate_hz", [1.0, 30.0, 240.0])
def test_an_honest_camera_never_waits(rate_hz: float) -> None:
    gate = Admission()
    assert not any(waits(gate, delivery, now_ms) for now_ms, delivery in honest_day(rate_hz))


def test_a_camera_that_starts_again_every_ten_seconds_never_waits() -> None:
    gate = Admission()
    assert not any(waits(gate, session(n), n * BITMAP_EVERY_MS) for n in range(1_000))


def test_six_hours_that_redis_was_away_are_counted_at_once() -> None:
    gate = Admission()
    rows = [delivery(result(n * 5), HOUR_MS - 6 * HOUR + n * 5_000.0) for n in range(4_000)]
    assert not any(gate.waits_for(each, HOUR_MS, 0.0) for each in rows)


def test_new_rooms_wait_and_those_that_redis_holds_do_not() -> None:
    gate = Admission()
    gate.know_rooms(["kitchen"])
    answers = [waits(gate, delivery(result(room=f"room-{n}"))) for n in range(1_000)]
    assert answers == [""] * ROOMS_AT_ONCE + ["room"] * (1_000 - ROOMS_AT_ONCE)
    assert waits(gate, delivery(result(room="kitchen"))) == ""
    assert waits(gate, delivery(result(room="room-999")), HOUR) == ""


def test_invented_cameras_of_one_room_keep_no_other_room_waiting() -> None:
    gate = Admission()
    answers = [waits(gate, delivery(result(camera=f"cam-{n}"))) for n in range(1_000)]
    assert answers == [""] * SENDERS_AT_ONCE + ["camera"] * (1_000 - SENDERS_AT_ONCE)
    assert waits(gate, delivery(result(camera="cam-999", room="hall"))) == ""


def test_invented_models_wait() -> None:
    gate = Admission()
    answers = [waits(gate, delivery(result(model=f"net-{n}"))) for n in range(100)]
    assert answers == [""] * MODELS_AT_ONCE + ["model"] * (100 - MODELS_AT_ONCE)
    assert gate.knows_model("net-0", 0.0)
    assert not gate.knows_model("net-99", 0.0)


def test_invented_keys_share_one_bound_on_bitmaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SENDERS", Rate(1 << 30, 1.0, 1 << 30))
    gate = Admission()
    rows = (session(n, key=f"key-{key}") for key in range(200) for n in range(50))
    assert [waits(gate, row) for row in rows].count("") == BITMAPS_IN_ALL_AT_ONCE


def test_old_results_open_so_many_buckets_at_once() -> None:
    gate = Admission()
    gate.know_rooms(f"room-{n}" for n in range(100))
    rows = [
        delivery(result(room=f"room-{room}"), HOUR_MS - 100_000 - n * 10_000)
        for room in range(10)
        for n in range(2_000)
    ]
    assert [waits(gate, row) for row in rows].count("") == LATE_BUCKETS_AT_ONCE
    assert waits(gate, delivery(result(room="room-99"))) == ""


def test_invented_workers_and_cameras_write_so_much_health_and_no_more() -> None:
    gate = Admission()
    workers = [gate.knows_worker(f"w-{n}", 0.0) for n in range(1_000)]
    assert workers.count(True) == WORKERS_AT_ONCE
    cameras = [gate.knows_health("w-0", f"cam-{n}", 0.0) for n in range(5_000)]
    assert cameras.count(True) == HEALTH_AT_ONCE
    assert gate.knows_worker("w-0", 0.0)
    assert gate.knows_health("w-0", "cam-0", 0.0)


def test_results_older_than_six_hours_are_refused() -> None:
    old = delivery(result(), HOUR_MS - MAX_RESULT_AGE_MS - 1)
    assert Admission().refusal(old, HOUR_MS) == "too-old"


def test_what_was_forgotten_of_a_session_stays_refused_and_nothing_else_does() -> None:
    gate = Admission()
    gate.forget(delivery(result(7)))
    answers = [gate.refusal(delivery(result(seq)), HOUR_MS) for seq in (6, 7, 8)]
    assert answers == ["forgotten", "forgotten", ""]
    assert gate.refusal(delivery(result(0, session_id="later")), HOUR_MS) == ""
    assert gate.refusal(delivery(result(0, room="hall")), HOUR_MS) == ""


def test_memory_is_bounded_and_the_longest_silent_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_SENDERS", 3)
    monkeypatch.setattr(admission, "MAX_SESSIONS_FORGOTTEN", 3)
    gate = Admission()
    for camera in ("a", "b", "c", "a", "d", "e"):
        waits(gate, delivery(result(camera=camera)))
        gate.forget(delivery(result(camera=camera)))
    assert [name for _, name, _ in gate._bitmaps._kept] == ["a", "d", "e"]
    assert [name for _, name, _ in gate._forgotten._kept] == ["a", "d", "e"]
    for n in range(10):
        gate.forget(session(n, camera="e"))
    assert len(gate._forgotten._kept["kitchen", "e", ""]._seq) == 3
