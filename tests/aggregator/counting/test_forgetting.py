"""A forgotten room stays forgotten, whatever its aggregator slept through.

A real aggregator, its sockets and its Redis; only what time it is, is told to it.
"""

from collections.abc import Callable, Iterator, Sequence

import pytest
import redis
import zmq

from roommood.aggregator import aggregator as aggregator_module
from roommood.aggregator.aggregator import Aggregator
from roommood.aggregator.counting.admission import Admission
from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.outcomes import CommitReport
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.clock import Absence, TransitClock, TransitClocks
from roommood.shared.process.runtime import Shutdown
from roommood.shared.process.settings import AggregatorSettings
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import WORKER_SILENT_MS
from roommood.shared.protocol.messages import Report, TicketedResult
from roommood.shared.transport.sockets import close, connect_reports, receive, send
from tests import hooks
from tests.aggregator.made import HOUR_MS, face, result
from tests.end_to_end.site import until
from tests.ports import free_port
from tests.redis_server import RedisServer

# An hour that is over by Redis' clock, too.
START_MS = HOUR_MS - 3_600_000
# What the worker's clock is ahead of the aggregator's.
_OFFSET_MS = 7e7


class SlowStore(Store):
    """A Redis that answers the next commit only after something has happened."""

    happens: Callable[[], object] | None = None

    def commit(self, batch: Sequence[Delivery], now_ms: float) -> CommitReport:
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return super().commit(batch, now_ms)


class Desk:
    """An aggregator that is turned by hand, and one worker's socket to it."""

    def __init__(self, url: str) -> None:
        self.now_ms = 0.0
        self.store = SlowStore(url)
        address = f"127.0.0.1:{free_port()}"
        self.aggregator = Aggregator(
            AggregatorSettings(bind=f"tcp://{address}", redis_url=url), self.store
        )
        self.shutdown = Shutdown()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket, self.monitor = connect_reports(self.context, f"tcp://{address}")

    def start(self) -> None:
        self.aggregator._start_up(self.shutdown)
        until(lambda: self.socket.poll(0, zmq.POLLOUT), "the worker is connected")

    def report(self, seq: int, *, captured_ms: float, sent_ms: float) -> None:
        """Sends one result, whose ticket is its frame number; it waits unread when this returns."""
        row = TicketedResult(seq, sent_ms - captured_ms, result(seq, face()))
        report = Report("worker", "tcp://10.0.0.9:1", sent_ms + _OFFSET_MS, results=(row,))
        assert send(self.socket, [wire.encode_report(report)])
        until(lambda: self.aggregator._router.poll(0), "the report has arrived")

    def tick(self, now_ms: float) -> None:
        self.now_ms = now_ms
        self.aggregator._tick(0)

    def outcome(self) -> str:
        """What the next Ack says of its one result."""
        ack = wire.decode_ack(until(lambda: receive(self.socket), "an Ack")[0])
        named = dict.fromkeys(ack.committed, "committed") | dict.fromkeys(
            ack.duplicate, "duplicate"
        )
        (outcome,) = (named | dict(ack.refused)).values()
        return outcome

    def forget(self) -> None:
        """Redis' clock is not this test's."""
        self.store.forget("kitchen", START_MS + self.now_ms)

    def close(self) -> None:
        close(self.socket, self.monitor)
        self.context.term()
        self.aggregator._shut_down()
        self.shutdown.waker.close()


@pytest.fixture
def desk(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(server.url)
    monkeypatch.setattr(aggregator_module, "boot_ms", lambda: 1e6 + desk.now_ms)
    monkeypatch.setattr(aggregator_module, "wall_ms", lambda: START_MS + desk.now_ms)
    desk.start()
    yield desk
    desk.close()


def counts_one(desk: Desk) -> None:
    desk.report(0, captured_ms=0.0, sent_ms=0.0)
    desk.tick(0.0)
    assert desk.outcome() == "committed"


def keys_of_the_room(client: redis.Redis) -> set[str]:
    """Every key of the room, and the list of rooms if it names it."""
    listed = client.zscore(redis_keys.ROOMS, "kitchen") is not None
    return {*client.scan_iter("*kitchen*"), *([redis_keys.ROOMS] if listed else [])}


ONLY_A_TOMBSTONE = {redis_keys.forgotten("kitchen")}


def stall_and_forget(desk: Desk, stall_ms: float) -> str:
    """Redis lets the aggregator wait; meanwhile a result comes, and then the room is forgotten."""

    def meanwhile() -> None:
        desk.report(2, captured_ms=1_000.0, sent_ms=1_000.0)
        desk.now_ms = 1_000.0 + stall_ms
        desk.forget()

    counts_one(desk)
    desk.store.happens = meanwhile
    desk.report(1, captured_ms=1_000.0, sent_ms=1_000.0)
    desk.tick(1_000.0)
    assert desk.outcome() == "forgotten"
    desk.tick(desk.now_ms + 200.0)
    return desk.outcome()


@pytest.mark.parametrize("stall_ms", [WORKER_SILENT_MS + 1_000.0, 90_000.0, 900_000.0])
def test_a_result_that_waited_while_the_aggregator_stalled_is_not_just_captured(
    desk: Desk, client: redis.Redis, stall_ms: float
) -> None:
    assert stall_and_forget(desk, stall_ms) == "forgotten"
    desk.tick(desk.now_ms + 2_000.0)
    assert len(desk.aggregator._peers) == 1
    assert keys_of_the_room(client) == ONLY_A_TOMBSTONE


def as_if_forgetting_needed_no_care(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence includes absence, a clock goes with its peer, and no refusal is remembered."""
    monkeypatch.setattr(Absence, "ended_ms", lambda *_: 0.0)
    monkeypatch.setattr(TransitClocks, "of", lambda *_: TransitClock())
    monkeypatch.setattr(Admission, "forget", lambda *_: None)
    hooks.silence_ends_when_it_is_judged(monkeypatch, lambda: 1e6 + desk.now_ms)


def test_without_that_care_it_would_bring_the_room_back(
    desk: Desk, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    as_if_forgetting_needed_no_care(desk, monkeypatch)
    assert stall_and_forget(desk, WORKER_SILENT_MS + 1_000.0) == "committed"
    desk.tick(desk.now_ms + 2_000.0)
    assert len(keys_of_the_room(client)) > 5


def late_word_of_a_dropped_worker(desk: Desk) -> str:
    """A worker falls silent and is dropped; what it had sent before comes after that."""
    counts_one(desk)
    for second in range(1, 9):
        desk.tick(second * 1_000.0)
    assert len(desk.aggregator._peers) == 0
    desk.forget()
    desk.report(1, captured_ms=500.0, sent_ms=500.0)
    desk.tick(9_000.0)
    return desk.outcome()


def test_the_clock_of_a_worker_outlives_its_place_among_the_peers(
    desk: Desk, client: redis.Redis
) -> None:
    assert late_word_of_a_dropped_worker(desk) == "forgotten"
    assert keys_of_the_room(client) == ONLY_A_TOMBSTONE


def test_without_its_clock_what_a_dropped_worker_sent_would_be_new(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(TransitClocks, "of", lambda *_: TransitClock())
    assert late_word_of_a_dropped_worker(desk) == "committed"


def comes_again_as_if_new(desk: Desk) -> str:
    """A result is refused since its room was forgotten; its copy seems to be just captured."""
    counts_one(desk)
    desk.now_ms = 1_000.0
    desk.forget()
    desk.report(1, captured_ms=900.0, sent_ms=1_000.0)
    desk.tick(1_000.0)
    assert desk.outcome() == "forgotten"
    desk.report(1, captured_ms=3_000.0, sent_ms=3_000.0)
    desk.tick(3_000.0)
    return desk.outcome()


def test_a_result_once_refused_as_forgotten_stays_refused(desk: Desk, client: redis.Redis) -> None:
    assert comes_again_as_if_new(desk) == "forgotten"
    assert keys_of_the_room(client) == ONLY_A_TOMBSTONE
    desk.report(2, captured_ms=3_100.0, sent_ms=3_200.0)
    desk.tick(3_200.0)
    assert desk.outcome() == "committed"


def test_without_memory_of_the_refusal_its_copy_would_count(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(Admission, "forget", lambda *_: None)
    assert comes_again_as_if_new(desk) == "committed"
