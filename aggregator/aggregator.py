"""The aggregator: receive reports, count their results once, acknowledge what is committed."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import zmq

from roommood.aggregator.counting.admission import Admission
from roommood.aggregator.counting.buckets import Delivery, deliver
from roommood.aggregator.counting.clock_guard import ClockGuard
from roommood.aggregator.counting.fair_queue import FairQueue
from roommood.aggregator.counting.gathering import IDLE_MS, Gathering
from roommood.aggregator.counting.housekeeping import Housekeeping
from roommood.aggregator.counting.memory_watch import MemoryWatch
from roommood.aggregator.counting.metrics import aggregator_samples, store_samples
from roommood.aggregator.counting.outcomes import CommitReport, Outcome
from roommood.aggregator.counting.peers import Peers
from roommood.aggregator.counting.redis_status import RedisStatus
from roommood.aggregator.counting.still_boxes import StillBoxes
from roommood.aggregator.counting.store import Store
from roommood.shared.clock import Absence, boot_ms, wall_ms
from roommood.shared.errors import ShardAway, VersionMismatch, WireError
from roommood.shared.process.logs import RateLimitedLog, event
from roommood.shared.process.memory import give_back_large_messages
from roommood.shared.process.metrics import Health, Sample, serve_if_asked
from roommood.shared.process.runtime import (
    Deadline,
    Shutdown,
    Waker,
    new_id,
    release,
    shutdown_on_signals,
)
from roommood.shared.process.settings import AggregatorSettings
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import MAX_REPORT_BYTES
from roommood.shared.protocol.messages import Ack, Report
from roommood.shared.security.allow_list import AllowList, FixedPolicy
from roommood.shared.security.keys import aggregator_keys
from roommood.shared.transport.listener import Listener
from roommood.shared.transport.sockets import Router, bind_reports, receive_from, send

_log = logging.getLogger(__name__)
# Milliseconds of taking in reports before they are committed together.
_TICK_MS: Final = 100.0
# Messages that are taken in for each that is looked at.
_READ_AT_ONCE: Final = 16
_TOO_MUCH: Final = "its worker sends faster than it is served beside the others"
# Milliseconds without a report until it is looked at what else is due.
_LOOK_MS: Final = 250


@dataclass(slots=True)
class _Answer:
    """The Ack that is being made for one worker."""

    committed: list[int] = field(default_factory=list)
    duplicate: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    deferred: list[int] = field(default_factory=list)


Ticket = tuple[bytes, int]


class Aggregator:
    """One aggregator process. Any number may share a Redis: all state is there."""

    def __init__(self, settings: AggregatorSettings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._keys = aggregator_keys(settings.keys)
        listed = self._keys.allow_list if self._keys else None
        self._aggregator_id = new_id()
        self._peers = Peers()
        self._limited_log = RateLimitedLog(_log)
        self._admission = Admission()
        self._still_boxes = StillBoxes()
        self._waiting = FairQueue()
        self._gathering = Gathering()
        self._answers: dict[bytes, _Answer] = {}
        self._deliveries: list[Delivery] = []
        self._absence = Absence()
        self._tick_ms = 0.0
        self._told_ready = False
        self.counts: Counter[str] = Counter()
        self.health = Health("aggregator")
        self._redis = RedisStatus(store, self.health)
        self._clock = ClockGuard(store.clock_ms, self.health)
        self._memory = MemoryWatch(self.health)
        self._housekeeping = Housekeeping(
            store,
            self._redis,
            self._clock,
            self._memory,
            self._peers,
            self._admission,
            AllowList(listed) if listed else None,
        )

    def run(self) -> int:
        """Works until told to stop; returns the exit code."""
        with shutdown_on_signals() as shutdown:
            self._start_up(shutdown)
            try:
                self._main_loop(shutdown)
                self._drain(shutdown)
            finally:
                self._shut_down()
        event(_log, logging.INFO, "aggregator ended", **self.counts)
        return shutdown.forced_exit_code if shutdown.forced else 0

    # Start

    def _start_up(self, shutdown: Shutdown) -> None:
        settings = self._settings
        give_back_large_messages()
        self._context: zmq.Context[Router] = zmq.Context()
        keys = self._keys
        own, workers = (keys.own, FixedPolicy(frozenset({keys.workers}))) if keys else (None, None)
        self._waker = Waker()
        self._listener = Listener(
            self._context,
            bind_reports,
            settings,
            own,
            workers,
            MAX_REPORT_BYTES,
            self._waker.wake,
        )
        self._router = self._listener.router
        self._poller = zmq.Poller()
        for source in (self._router, self._waker.fileno(), shutdown.waker.fileno()):
            self._poller.register(source, zmq.POLLIN)
        self._stop_metrics = serve_if_asked(self._settings, self.health, self.samples)
        self._periodic_work()
        self._tell_ready()

    def _tell_ready(self) -> None:
        """Once, and not before Redis has answered."""
        if self.health.ready and not self._told_ready:
            self._told_ready = True
            who = {"id": self._aggregator_id, "release": release()}
            event(_log, logging.INFO, "aggregator ready", bind=self._settings.bind, **who)

    # Work

    def _main_loop(self, shutdown: Shutdown) -> None:
        while not shutdown.requested:
            self._tick(int(IDLE_MS) if self._deliveries else _LOOK_MS)

    def _tick(self, timeout_ms: int, *, may_gather: bool = True) -> None:
        ready = dict(self._poller.poll(0 if self._waiting else timeout_ms))
        if self._waker.fileno() in ready:
            self._waker.drain()
        self._tick_ms = boot_ms()
        self._peers.excuse(self._absence.ended_ms(self._tick_ms))
        self._receive()
        if not (self._gathering.holds(len(self._deliveries), boot_ms()) and may_gather):
            self._commit()
            self._acknowledge()
        self._periodic_work()
        self._listener.tick(self.health)
        self._tell_ready()
        self.health.tick()

    def _receive(self) -> None:
        end_ms = boot_ms() + _TICK_MS
        while boot_ms() < end_ms:
            self._read()
            message = self._waiting.take()
            if message is None:
                return
            self._decode(*message)

    def _read(self) -> None:
        """Takes in a few messages unread, so that nobody's waits behind what others said before."""
        for _ in range(_READ_AT_ONCE):
            message = receive_from(self._router, self._listener.connections, keyed=False)
            if message is None:
                return
            routing_id, *parts = message[1]
            if not self._waiting.put(routing_id, parts[0] if len(parts) == 1 else b""):
                self.counts["message-refused-too-many"] += 1
                self._limited_log.event("message refused", why=_TOO_MUCH)

    def _decode(self, routing_id: bytes, message: bytes) -> None:
        try:
            report = wire.decode_report(message)
        except WireError as error:
            self._refuse_message(routing_id, error)
        else:
            self._take(routing_id, report)

    def _refuse_message(self, routing_id: bytes, error: WireError) -> None:
        if isinstance(error, VersionMismatch):
            # An Ack of nothing: the other side sees which two versions have met, and can say so.
            self._answers.setdefault(routing_id, _Answer())
            if error.only_asks:
                return
        self.counts[f"message-refused-{error.reason}"] += 1
        self._limited_log.event("message refused", why=str(error))

    def _take(self, routing_id: bytes, report: Report) -> None:
        now_ms = boot_ms()
        peer = self._peers.meet(routing_id, report, now_ms)
        transit_ms = peer.clock.transit_ms(report.sent_ms, now_ms)
        self._answers.setdefault(routing_id, _Answer())
        for model in report.models:
            self._housekeeping.tell_model(model, now_ms)
        received_ms = wall_ms()
        for result in report.results:
            delivery = deliver((routing_id, result.ticket), result, received_ms, transit_ms)
            if refused := self._admission.refusal(delivery, received_ms):
                self._refuse(routing_id, result.ticket, refused)
            elif waits_for := self._admission.waits_for(delivery, received_ms, now_ms):
                self._defer(routing_id, delivery, waits_for)
            else:
                seen_ms = now_ms - transit_ms - result.age_ms
                self._deliveries.append(self._still_boxes.left_out(delivery, seen_ms))

    def _defer(self, routing_id: bytes, delivery: Delivery, waits_for: str) -> None:
        """It is one too many for now; the worker sends it again later."""
        result = delivery.result
        self.counts[f"deferred-{waits_for}"] += 1
        self._answers[routing_id].deferred.append(_ticket(delivery)[1])
        ids = {"camera": result.camera, "room": result.room, "key": result.key or "none"}
        self._limited_log.event("result deferred", too_many=f"new {waits_for}s", **ids)

    def _refuse(self, routing_id: bytes, ticket: int, why: str) -> None:
        self.counts[why if why == Outcome.FORGOTTEN else f"refused-{why}"] += 1
        self._answers[routing_id].refused.append((ticket, why))

    # Redis

    def _commit(self) -> None:
        """Counts what was delivered. What Redis does not confirm is not acknowledged.

        The workers send it again; while Redis is away nothing is kept here.
        """
        deliveries, self._deliveries = self._deliveries, []
        if not deliveries or not self._may_count():
            self.counts["unsettled"] += len(deliveries)
            return
        committed = self._store.commit(deliveries, wall_ms())
        self._redis.note(committed.away, boot_ms(), is_of_counting=True)
        self._log_room_errors(committed)
        for delivery, outcome in zip(deliveries, committed.outcomes, strict=True):
            self._settle(delivery, outcome)

    def _may_count(self) -> bool:
        redis = self._redis
        answers = redis.schema_checked and redis.may_answer(boot_ms())
        return answers and self._clock.may_count()

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        routing_id, ticket = _ticket(delivery)
        self.counts[outcome] += 1
        answer = self._answers[routing_id]
        if outcome is Outcome.COMMITTED:
            answer.committed.append(ticket)
            self._peers.counted(routing_id)
            self._housekeeping.counted(delivery.result.room, delivery.captured_ms)
        elif outcome is Outcome.DUPLICATE:
            answer.duplicate.append(ticket)
        elif outcome is not Outcome.UNSETTLED:
            if outcome is Outcome.FORGOTTEN:
                self._admission.forget(delivery)
                self._still_boxes.forget(delivery.result.room)
            answer.refused.append((ticket, outcome))

    def _log_room_errors(self, committed: CommitReport) -> None:
        if committed.away is None:
            for room, error in committed.errors.items():
                self.counts["room-errors"] += 1
                if isinstance(error, ShardAway):
                    continue  # told by shard
                self._limited_log.event("room not written", room=room, why=str(error))

    def _periodic_work(self) -> None:
        if self._housekeeping.tick(boot_ms(), wall_ms()):
            # As of when this tick began to read: Redis may have kept this process waiting since.
            self._peers.drop_silent(self._tick_ms)

    # Answers

    def _acknowledge(self) -> None:
        answers, self._answers = self._answers, {}
        workers, pauses = self._peers.addresses(), self._housekeeping.pauses
        for routing_id, answer in answers.items():
            ack = Ack(
                aggregator_id=self._aggregator_id,
                sent_ms=boot_ms(),
                committed=tuple(answer.committed),
                duplicate=tuple(answer.duplicate),
                refused=tuple(answer.refused),
                workers=workers,
                paused_rooms=pauses.rooms,
                paused_cameras=pauses.cameras,
                deferred=tuple(answer.deferred),
                pauses_unknown=pauses.are_unknown(boot_ms()),
            )
            # A worker that is gone by now sends its results again, and finds them duplicates.
            send(self._router, [routing_id, wire.encode_ack(ack)])

    # End

    def _drain(self, shutdown: Shutdown) -> None:
        """Answers what has already arrived, so that fewer results are sent twice."""
        self.health.draining()
        deadline = Deadline(self._settings.drain_s)
        quiet = False
        while not (quiet or shutdown.forced or deadline.passed):
            quiet = not (self._waiting or (self._poller.poll(0) and self._router.poll(0)))
            self._tick(0, may_gather=False)

    def _shut_down(self) -> None:
        self._stop_metrics()
        self._listener.close(linger_ms=300)
        self._waker.close()
        self._context.term()
        self._store.close()

    # What others may know

    def samples(self) -> Iterator[Sample]:
        """The aggregator's metrics."""
        counts, workers, redis = Counter(self.counts), len(self._peers), self._redis
        yield from self._listener.samples("aggregator")
        yield from aggregator_samples(counts, workers, redis.away, len(redis.shards_away))
        yield from store_samples(self._memory.memory, self._clock.off_ms)


def _ticket(delivery: Delivery) -> Ticket:
    ticket = delivery.ticket
    assert isinstance(ticket, tuple)
    return ticket
