"""The bounds on what one camera can make Redis store."""

import pytest

from roommood.aggregator.counting import admission
from roommood.aggregator.counting.admission import Admission
from roommood.aggregator.counting.buckets import Delivery
from roommood.shared.protocol.limits import MAX_BOOTS_PER_HOUR, MAX_RESULT_AGE_MS, MAX_SEQ_JUMP
from tests.aggregator.made import HOUR_MS, delivery, result

_HOUR = 3_600_000


def _boot(number: int, now_ms: float = HOUR_MS, camera: str = "door") -> Delivery:
    return delivery(result(camera=camera, boot_id=f"boot-{number}"), now_ms)


def test_sixty_boots_of_a_camera_are_let_in_within_an_hour_and_no_more() -> None:
    gate = Admission()
    said = [gate.refusal(_boot(n), HOUR_MS) for n in range(MAX_BOOTS_PER_HOUR + 1)]
    assert said == [""] * MAX_BOOTS_PER_HOUR + ["boots"]
    assert gate.refusal(_boot(0), HOUR_MS) == ""
    assert gate.refusal(_boot(0, camera="window"), HOUR_MS) == ""


def test_an_hour_later_new_boots_are_let_in_again() -> None:
    gate = Admission()
    for n in range(MAX_BOOTS_PER_HOUR):
        gate.refusal(_boot(n), HOUR_MS)
    later_ms = HOUR_MS + _HOUR
    assert gate.refusal(_boot(99, later_ms - 1), later_ms - 1) == "boots"
    assert gate.refusal(_boot(99, later_ms), later_ms) == ""


@pytest.mark.parametrize(
    ("seq", "said"),
    [
        (MAX_SEQ_JUMP - 1, ""),
        (MAX_SEQ_JUMP, ""),
        (MAX_SEQ_JUMP + 1, "seq-jump"),
    ],
)
def test_a_leap_of_the_frame_number_is_refused_either_way(seq: int, said: str) -> None:
    up, down = Admission(), Admission()
    up.refusal(delivery(result(0)), HOUR_MS)
    down.refusal(delivery(result(seq)), HOUR_MS)
    assert up.refusal(delivery(result(seq)), HOUR_MS) == said
    assert down.refusal(delivery(result(0)), HOUR_MS) == said


def test_a_refused_leap_does_not_move_the_bound() -> None:
    gate = Admission()
    gate.refusal(delivery(result(0)), HOUR_MS)
    gate.refusal(delivery(result(1 << 40)), HOUR_MS)
    assert gate.refusal(delivery(result(1)), HOUR_MS) == ""
    assert gate.refusal(delivery(result((1 << 40) + 1)), HOUR_MS) == "seq-jump"


def test_results_older_than_six_hours_are_refused() -> None:
    old = delivery(result(), HOUR_MS - MAX_RESULT_AGE_MS - 1)
    assert Admission().refusal(old, HOUR_MS) == "too-old"


def test_memory_is_bounded_in_cameras_and_the_longest_silent_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "MAX_CAMERAS", 3)
    gate = Admission()
    for camera in ("a", "b", "c", "a", "d", "e"):
        gate.refusal(_boot(0, camera=camera), HOUR_MS)
    assert len(gate) == 3
    assert list(gate._cameras) == ["a", "d", "e"]


def test_memory_is_bounded_in_boots_of_a_camera() -> None:
    gate = Admission()
    for n in range(5_000):
        now_ms = HOUR_MS + n * 30_000.0
        gate.refusal(_boot(n, now_ms), now_ms)
    assert len(gate._cameras["door"]._top_seq) <= 7 * MAX_BOOTS_PER_HOUR
