"""Putting results at their capture time, and into script calls."""

import msgpack
import pytest

from roommood.aggregator.counting.buckets import (
    MAX_RESULTS_PER_CALL,
    Delivery,
    RoomCall,
    deliver,
    is_too_old,
    room_calls,
)
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.protocol.limits import MAX_RESULT_AGE_MS, SEEN_BITS
from roommood.shared.protocol.messages import TicketedResult
from tests.aggregator.made import HOUR_MS, delivery, face, only, result


def _argument(call: RoomCall) -> dict[str, list[list[float]]]:
    argument: dict[str, list[list[float]]] = msgpack.unpackb(call.argument)
    return argument


def test_capture_is_receipt_less_transit_less_age() -> None:
    ticketed = TicketedResult(5, 250.0, result(9))
    assert deliver("w1", ticketed, HOUR_MS, 12.5) == Delivery("w1", HOUR_MS - 262.5, result(9))


@pytest.mark.parametrize(
    ("age_ms", "refused"),
    [(MAX_RESULT_AGE_MS - 1, False), (MAX_RESULT_AGE_MS, False), (MAX_RESULT_AGE_MS + 1, True)],
)
def test_results_beyond_the_age_limit_are_too_old(age_ms: float, refused: bool) -> None:
    assert is_too_old(delivery(result(), HOUR_MS - age_ms), HOUR_MS) is refused


def test_a_batch_is_sorted_by_room_and_remembers_the_places() -> None:
    rooms = ["kitchen", "hall", "kitchen"]
    batch = [delivery(result(n, room=room)) for n, room in enumerate(rooms)]
    calls = room_calls(batch, HOUR_MS)
    assert [(call.room, call.places) for call in calls] == [("kitchen", (0, 2)), ("hall", (1,))]


def test_all_keys_of_a_call_share_the_rooms_hash_tag() -> None:
    batch = [delivery(result(n * 5000), HOUR_MS + n * 20_000) for n in range(5)]
    (call,) = room_calls(batch, HOUR_MS)
    assert all("{kitchen}" in key for key in call.keys)
    assert call.keys[:2] == [redis_keys.live("kitchen"), redis_keys.forgotten("kitchen")]


@pytest.mark.parametrize(
    ("count", "calls"), [(MAX_RESULTS_PER_CALL, 1), (MAX_RESULTS_PER_CALL + 1, 2)]
)
def test_a_call_is_bounded_in_results(count: int, calls: int) -> None:
    batch = [delivery(result(n)) for n in range(count)]
    made = room_calls(batch, HOUR_MS)
    assert len(made) == calls
    assert sorted(place for call in made for place in call.places) == list(range(count))


def test_faces_that_are_unsure_or_too_few_are_passed_on_as_numbers_only() -> None:
    batch = [
        delivery(result(0, face(only("fear")))),
        delivery(result(1, face(), face(only("fear"), sure=False))),
    ]
    (call,) = room_calls(batch, HOUR_MS, min_people=2)
    alone, pair = _argument(call)["results"]
    assert alone[6:] == [1, 1, 0]
    assert pair[6:9] == [2, 0, 1]
    assert len(pair) == 9 + 1 + 8


def test_a_row_names_bitmap_bit_and_slot() -> None:
    batch = [
        delivery(result(SEEN_BITS - 1), HOUR_MS),
        delivery(result(SEEN_BITS), HOUR_MS + 9_999),
        delivery(result(SEEN_BITS + 1), HOUR_MS + 10_000),
    ]
    (call,) = room_calls(batch, HOUR_MS)
    rows = _argument(call)["results"]
    assert [row[:3] for row in rows] == [[1, SEEN_BITS - 1, 1], [2, 0, 1], [2, 1, 2]]
    assert _argument(call)["slots"] == [[1, 2, 3], [4, 2, 3]]
