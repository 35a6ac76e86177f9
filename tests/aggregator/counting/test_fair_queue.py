"""However much one peer says, another waits for one round, and what waits is bounded."""

import pytest

from roommood.aggregator.counting import fair_queue
from roommood.aggregator.counting.fair_queue import QUANTUM_BYTES, FairQueue

LARGE = bytes(4 * QUANTUM_BYTES)


def taken(queue: FairQueue) -> list[bytes]:
    peers = []
    while (message := queue.take()) is not None:
        peers.append(message[0])
    return peers


def test_each_peers_messages_keep_their_order() -> None:
    queue = FairQueue()
    for number in range(5):
        assert queue.put(b"one", b"%d" % number)
    assert [queue.take() for _ in range(6)] == [*((b"one", b"%d" % n) for n in range(5)), None]
    assert not queue


def test_small_messages_wait_for_one_round_of_large_ones_however_many_there_are() -> None:
    queue = FairQueue()
    for _ in range(8):
        for peer in (b"a", b"b", b"c"):
            assert queue.put(peer, LARGE)
    for _ in range(10):
        assert queue.put(b"honest", b"small")
    order = taken(queue)
    assert len(order) == 34
    assert order.index(b"honest") <= 3
    assert order[order.index(b"honest") :][:10] == [b"honest"] * 10


def test_an_empty_message_waits_and_is_served_as_any_other() -> None:
    queue = FairQueue()
    assert queue.put(b"one", b"")
    assert queue
    assert queue.take() == (b"one", b"")


@pytest.mark.parametrize(("more", "has_place"), [(0, True), (1, False)])
def test_of_one_peer_so_many_bytes_wait(more: int, has_place: bool) -> None:
    queue = FairQueue()
    most, each = fair_queue.MOST_BYTES_OF_PEER, fair_queue.MESSAGE_BYTES
    assert queue.put(b"one", bytes(most - 2 * each - 10))
    assert queue.put(b"one", bytes(10 + more)) == has_place


def test_where_too_much_waits_only_who_has_less_than_its_share_has_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fair_queue, "MESSAGE_BYTES", 0)
    monkeypatch.setattr(fair_queue, "MOST_BYTES_IN_ALL", 900)
    queue = FairQueue()
    assert queue.put(b"greedy", bytes(600))
    assert queue.put(b"greedy", bytes(300))
    assert not queue.put(b"greedy", b"x")
    assert queue.put(b"honest", bytes(200))
    assert queue.put(b"honest", bytes(100))
    assert not queue.put(b"honest", bytes(200))
    assert len(queue) == 4


def test_empty_messages_are_not_free_they_wait_their_turn_and_are_bounded() -> None:
    queue = FairQueue()
    put = sum(queue.put(b"empty", b"") for _ in range(50_000))
    assert put == fair_queue.MOST_BYTES_OF_PEER // fair_queue.MESSAGE_BYTES
    assert queue.put(b"honest", b"small")
    a_round = QUANTUM_BYTES // fair_queue.MESSAGE_BYTES
    assert taken(queue).index(b"honest") <= 2 * a_round
