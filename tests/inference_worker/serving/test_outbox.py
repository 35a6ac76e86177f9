"""Results stay until they are acknowledged, go out again, and end in exactly one count."""

import random
import tracemalloc
from collections import Counter

import pytest

from roommood.inference_worker.serving import outbox as outbox_module
from roommood.inference_worker.serving.outbox import Outbox
from roommood.shared.protocol.limits import (
    DEFERRED_EVERY_MS,
    MAX_DEFERRED_OF_CAMERA,
    MAX_DEFERRED_TRIED,
    MAX_RESULT_AGE_MS,
    MAX_RESULTS_IN_FLIGHT,
    MAX_RESULTS_PER_REPORT,
    REPEATED_WAIT_MS,
    RESEND_BELOW_IN_FLIGHT,
)
from roommood.shared.protocol.messages import Ack, TicketedResult
from tests.shared.made import result

NOW = 1e9


def outbox(results: int = 0, window: int = 100_000) -> Outbox:
    outbox = Outbox(window)
    for seq in range(results):
        outbox.add(result(seq), NOW)
    return outbox


def first(_attempts: int, _sent_to: str) -> str:
    return "one"


def another(_attempts: int, sent_to: str) -> str:
    return "two" if sent_to == "one" else "one"


def taken(box: Outbox, now_ms: float = NOW) -> list[TicketedResult]:
    return [row for rows in box.take(now_ms, first).values() for row in rows]


def all_taken(box: Outbox, now_ms: float = NOW) -> list[TicketedResult]:
    rows: list[TicketedResult] = []
    while box.due(now_ms):
        rows += taken(box, now_ms)
    return rows


def ack(*tickets: int, duplicate: tuple[int, ...] = ()) -> Ack:
    return Ack("agg", 0.0, committed=tickets, duplicate=duplicate)


def test_nothing_is_due_when_there_is_nothing() -> None:
    assert not outbox().due(NOW)
    assert outbox().next_due_ms(NOW) == float("inf")


def test_a_result_goes_out_once_and_ends_with_its_ack() -> None:
    box = outbox(1)
    (row,) = all_taken(box)
    assert not box.due(NOW)
    assert (len(box), box.in_flight) == (1, 1)
    box.settle(ack(row.ticket))
    assert (len(box), box.in_flight, box.counts) == (0, 0, {"committed": 1})


def test_its_age_is_renewed_at_each_send() -> None:
    box = outbox(1)
    assert all_taken(box, NOW + 5)[0].age_ms == 5
    assert all_taken(box, NOW + 3000)[0].age_ms == 3000


def test_a_result_goes_out_again_after_two_seconds_doubling_to_ten() -> None:
    box, now_ms, waits = outbox(1), NOW, []
    for _ in range(5):
        taken(box, now_ms)
        wait_ms = box.next_due_ms(now_ms)
        assert not box.due(now_ms + wait_ms - 0.1)
        now_ms += wait_ms
        assert box.due(now_ms)
        waits.append(wait_ms)
    assert waits == [2000, 4000, 8000, 10_000, 10_000]
    assert box.resent == 4


def test_a_resent_result_goes_to_the_next_aggregator() -> None:
    box, went_to = outbox(1), []
    for attempt in range(4):
        now_ms = NOW + 20_000 * attempt
        assert box.due(now_ms)
        went_to += list(box.take(now_ms, another))
    assert went_to == ["one", "two", "one", "two"]


def test_choose_is_told_how_often_and_where_it_was_sent() -> None:
    box, asked = outbox(1), []

    def choose(attempts: int, sent_to: str) -> str:
        asked.append((attempts, sent_to))
        return f"agg-{attempts}"

    for attempt in range(3):
        assert box.due(NOW + 20_000 * attempt)
        box.take(NOW + 20_000 * attempt, choose)
    assert asked == [(0, ""), (1, "agg-0"), (2, "agg-1")]


def test_what_was_sent_to_an_aggregator_that_is_gone_goes_out_at_once() -> None:
    box = outbox(3)
    box.take(NOW, lambda *_: "one")
    box.add(result(9), NOW)
    box.take(NOW, lambda *_: "two")
    box.expedite("one")
    assert (box.in_flight, box.due(NOW)) == (1, True)
    assert [row.ticket for row in all_taken(box)] == [0, 1, 2]


def test_an_expedited_result_waits_its_own_time_before_the_next_try() -> None:
    box = outbox(1)
    taken(box)
    box.expedite("one")
    taken(box, NOW + 1900)
    assert not box.due(NOW + 2000)
    assert not box.due(NOW + 1900 + 3999)
    assert box.due(NOW + 1900 + 4000)


def test_a_report_holds_only_so_many_and_only_so_many_are_under_way() -> None:
    box = outbox(MAX_RESULTS_IN_FLIGHT + 500)
    sizes = []
    while box.due(NOW):
        sizes.append(len(taken(box)))
    assert max(sizes) == MAX_RESULTS_PER_REPORT
    assert sum(sizes) == box.in_flight == MAX_RESULTS_IN_FLIGHT
    box.settle(ack(0))
    assert len(all_taken(box)) == 1


def test_fresh_results_go_before_resent_ones() -> None:
    box = outbox(3)
    all_taken(box)
    later = NOW + 3000
    box.add(result(77), later)
    assert [row.ticket for row in all_taken(box, later)] == [3, 0, 1, 2]


def test_results_that_the_store_refuses_for_now_do_not_hold_up_the_others() -> None:
    box = outbox(MAX_RESULTS_IN_FLIGHT)
    all_taken(box)
    later = NOW + 2000
    for seq in range(100):
        box.add(result(seq), later)
    tickets = [row.ticket for row in all_taken(box, later)]
    assert tickets[:100] == list(range(1000, 1100))


@pytest.mark.parametrize("under_way", [False, True])
def test_when_it_is_full_the_oldest_is_dropped_and_counted(under_way: bool) -> None:
    box = outbox(3, window=3)
    if under_way:
        all_taken(box)
    box.add(result(3), NOW)
    assert (len(box), box.counts) == (3, {"dropped-full": 1})
    box.settle(ack(0))
    assert box.counts == {"dropped-full": 1}
    all_taken(box, NOW + 9000)
    box.settle(ack(1, 2, 3))
    assert box.counts == {"dropped-full": 1, "committed": 3}


def test_a_result_too_old_is_dropped_when_it_would_go_out() -> None:
    box = outbox(1)
    assert len(all_taken(box, NOW + MAX_RESULT_AGE_MS)) == 1
    late = NOW + MAX_RESULT_AGE_MS + 60_000
    assert all_taken(box, late) == []
    assert (len(box), box.counts) == (0, {"dropped-too-old": 1})
    assert not box.due(late)


def test_a_late_ack_of_a_resent_result_ends_it_once() -> None:
    box = outbox(1)
    all_taken(box)
    all_taken(box, NOW + 2000)
    box.settle(ack(0))
    box.settle(ack(duplicate=(0,)))
    assert box.counts == {"committed": 1}
    assert all_taken(box, NOW + 60_000) == []


def test_an_ack_that_comes_while_the_result_waits_to_be_resent_ends_it() -> None:
    box = outbox(2)
    all_taken(box)
    assert box.due(NOW + 2000)
    box.settle(ack(0))
    assert [row.ticket for row in all_taken(box, NOW + 2000)] == [1]


def test_a_result_that_was_never_sent_may_be_acknowledged_without_harm() -> None:
    box = outbox(2)
    box.settle(ack(1))
    assert [row.ticket for row in all_taken(box)] == [0]


def test_unknown_tickets_are_harmless() -> None:
    box = outbox(1)
    box.settle(Ack("agg", 0.0, (99,), (98,), ((97, "boots"), (1 << 53, "x"))))
    assert (len(box), box.counts) == (1, {})


def test_a_refusal_ends_a_result_and_says_why() -> None:
    box = outbox(2)
    all_taken(box)
    box.settle(Ack("agg", 0.0, refused=((0, "too-old"), (1, "boots"))))
    assert box.counts == {"refused-too-old": 1, "refused-boots": 1}


def deferred(*tickets: int) -> Ack:
    return Ack("agg", 0.0, deferred=tickets)


def test_what_is_deferred_takes_no_place_and_comes_again() -> None:
    box = outbox(2)
    all_taken(box)
    box.settle(deferred(0))
    assert (len(box), box.in_flight) == (2, 1)
    assert [row.ticket for row in all_taken(box, NOW + DEFERRED_EVERY_MS)] == [0]
    box.settle(ack(0, 1))
    assert box.counts == {"committed": 2}


def test_a_camera_of_which_much_is_deferred_holds_up_no_other() -> None:
    """Without deferral a thousand results under way would let nothing else go out for seconds."""
    box, committed, now_ms = outbox(), 0, NOW
    for second in range(30):
        for n in range(600):
            box.add(result(600 * second + n, camera="greedy"), now_ms)
        for n in range(10):
            box.add(result(10 * second + n, camera="honest"), now_ms)
        for row in all_taken(box, now_ms):
            honest = row.result.camera == "honest"
            box.settle(ack(row.ticket) if honest else deferred(row.ticket))
            committed += honest
        assert committed == 10 * (second + 1)
        now_ms += 1_000
    assert box.in_flight == 0


def test_a_few_of_each_camera_are_tried_again_in_turn() -> None:
    box = outbox()
    for seq in range(300):
        for camera in ("a", "b", "c", "d", "e", "f"):
            box.add(result(seq, camera=camera), NOW)
    while box.due(NOW):
        box.settle(deferred(*(row.ticket for row in taken(box))))
    again = all_taken(box, NOW + DEFERRED_EVERY_MS)
    tried = Counter(row.result.camera for row in again)
    box.settle(deferred(*(row.ticket for row in again)))
    tried += Counter(row.result.camera for row in all_taken(box, NOW + 2 * DEFERRED_EVERY_MS))
    assert sum(tried.values()) == 2 * MAX_DEFERRED_TRIED
    assert max(tried.values()) <= 2 * MAX_DEFERRED_OF_CAMERA
    assert len(tried) == 6


def test_when_it_is_full_the_camera_with_the_most_loses_its_oldest() -> None:
    box = outbox(window=10)
    box.add(result(0, camera="honest"), NOW)
    for seq in range(50):
        box.add(result(seq, camera="greedy"), NOW)
    kept = [(row.result.camera, row.result.seq) for row in all_taken(box)]
    assert kept == [("honest", 0), *(("greedy", seq) for seq in range(41, 50))]


def any_ack(rng: random.Random, known: int) -> Ack:
    tickets = [rng.randrange(known + 2) for _ in range(rng.randrange(6))]
    cut = rng.randrange(len(tickets) + 1)
    refused = tuple((ticket, "boots") for ticket in tickets[:1])
    deferred = tuple(rng.randrange(known + 2) for _ in range(rng.randrange(3)))
    return Ack("agg", 0.0, tuple(tickets[:cut]), tuple(tickets[cut:]), refused, deferred=deferred)


@pytest.mark.parametrize("seed", range(60))
def test_every_result_ends_in_exactly_one_count(seed: int) -> None:
    rng, box, now_ms, added = random.Random(seed), outbox(window=20), NOW, 0
    for _ in range(400):
        what = rng.randrange(5)
        if what == 0:
            box.add(result(added), now_ms)
            added += 1
        elif what == 1 and box.due(now_ms):
            box.take(now_ms, lambda *_: rng.choice("ab"))
        elif what == 2:
            box.settle(any_ack(rng, added))
        elif what == 3:
            box.expedite(rng.choice("ab"))
        now_ms += rng.choice((1, 500, 3000, MAX_RESULT_AGE_MS / 7))
        assert box.in_flight <= len(box) <= 20
        assert box.counts.total() + len(box) == added
    while len(box):
        now_ms += 10_000
        box.settle(ack(*(row.ticket for row in all_taken(box, now_ms))))
    assert box.counts.total() == added


NEW_ONES = 300


def new_ones_that_went_out_at_once() -> int:
    """A room whose key Redis refuses has thousands waiting; another room has one a tenth of a
    second, NEW_ONES in all."""
    box, now_ms = outbox(3 * MAX_RESULTS_IN_FLIGHT), NOW
    for _ in range(300):
        now_ms += 100
        all_taken(box, now_ms)
    assert box.in_flight >= RESEND_BELOW_IN_FLIGHT
    went = 0
    for seq in range(NEW_ONES):
        now_ms += 100
        box.add(result(10_000 + seq), now_ms)
        rows = all_taken(box, now_ms)
        if rows and rows[0].result.seq == 10_000 + seq:
            box.settle(ack(rows[0].ticket))
            went += 1
    return went


def test_however_many_results_are_refused_for_now_a_new_one_goes_out_at_once() -> None:
    assert new_ones_that_went_out_at_once() == NEW_ONES


def test_if_resent_results_took_every_place_a_new_one_would_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox_module, "RESEND_BELOW_IN_FLIGHT", MAX_RESULTS_IN_FLIGHT)
    assert new_ones_that_went_out_at_once() < NEW_ONES


def test_results_of_repeated_looks_wait_half_a_second_for_others() -> None:
    box = Outbox()
    box.add(result(0, repeated=True), NOW, NOW)
    box.add(result(1, repeated=True), NOW, NOW + 400)
    assert not box.due(NOW + REPEATED_WAIT_MS - 1)
    assert box.next_due_ms(NOW + 100) == REPEATED_WAIT_MS - 100
    assert box.due(NOW + REPEATED_WAIT_MS)
    assert len(box.take(NOW + REPEATED_WAIT_MS, first)["one"]) == 2
    box.add(result(2, repeated=True), NOW, NOW + 600)
    assert not box.due(NOW + 700)


def test_a_look_that_tells_something_takes_those_that_wait_along() -> None:
    box = Outbox()
    box.add(result(0, repeated=True), NOW, NOW)
    box.add(result(1), NOW, NOW + 10)
    assert box.due(NOW + 10)
    assert [row.ticket for row in box.take(NOW + 10, first)["one"]] == [0, 1]


def test_a_worker_that_ends_lets_no_result_wait() -> None:
    box = Outbox()
    box.add(result(0, repeated=True), NOW, NOW)
    box.hurry()
    assert box.due(NOW)


def test_dropped_results_leave_nothing_behind_one_that_stays() -> None:
    full = Outbox(window=50)
    full.add(result(0, camera="quiet"), NOW)

    def grow(results: int) -> int:
        for seq in range(results):
            full.add(result(seq, camera="busy"), NOW)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        grown = -grow(1_000) + grow(20_000)
    finally:
        tracemalloc.stop()
    assert grown < 100_000
    assert len(full) == 50
    sent = [row.result.camera for row in full.take(NOW, first)["one"]]
    assert sent == ["quiet", *["busy"] * 49]
