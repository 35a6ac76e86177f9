"""Brings results to an aggregator and keeps them until it has acknowledged them."""

import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import zmq

from roommood.inference_worker.serving.outbox import Outbox
from roommood.shared.clock import Absence, boot_ms
from roommood.shared.errors import WireError
from roommood.shared.process.logs import RateLimitedLog, event
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import MODELS_EVERY_MS, REPORT_EVERY_MS, WORKER_SILENT_MS
from roommood.shared.protocol.messages import (
    Ack,
    ModelReport,
    Report,
    Result,
    TicketedResult,
)
from roommood.shared.security.keys import ClientKeys
from roommood.shared.transport.client import ClientConnection, Dialer, doctor_command
from roommood.shared.transport.monitors import ConnectionEvent
from roommood.shared.transport.sockets import connect_reports, is_writable, receive, send

_log = logging.getLogger(__name__)
# Milliseconds that the last report may take to leave when the worker ends.
_LINGER_MS: Final = 300
# Milliseconds without an Ack, due every second, after which another aggregator is preferred.
_SILENT_MS: Final = 2_500.0
# Milliseconds from one report of results to the next: a slow stream goes out at once, a fast one
# in batches, which cost this process, the aggregator and Redis less a result.
_PACE_MS: Final = 20.0
# The same after so many results in one go: hundreds a second, each of which would cost a saturated
# worker a tenth more of what it has for them.
_MANY: Final = 5
_FAST_PACE_MS: Final = 50.0
# The same once nobody has answered for so long, while Redis hangs for instance: what is not read
# fills up its socket, and libzmq may abort over a full one whose peer has gone (libzmq #4841).
_UNANSWERED_MS: Final = 500.0
_UNANSWERED_PACE_MS: Final = 100.0


class _Aggregator(ClientConnection):
    """The connection to one aggregator."""

    def __init__(self, dialer: Dialer, address: str) -> None:
        super().__init__(dialer, address, boot_ms())
        self.heard_ms = 0.0
        self.report_due_ms = 0.0
        self.models_due_ms = 0.0


class Reporter:
    """The worker's side of the result protocol, over any number of aggregators.

    `acks` are those that came, in their order, for whoever minds what they say of workers and
    pauses; their results are settled by then.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        poller: zmq.Poller,
        addresses: Iterable[str],
        *,
        insecure: bool = False,
        keys: ClientKeys | None = None,
        keys_at: Path | None = None,
    ) -> None:
        self._dialer = Dialer(
            "aggregator",
            context,
            poller,
            connect_reports,
            partial(doctor_command, "aggregator", keys_at),
            insecure=insecure,
            keys=keys,
        )
        self._limited_log = RateLimitedLog(_log)
        self.outbox = Outbox()
        self.acks: deque[Ack] = deque()
        self._absence = Absence()
        self._sent_ms = 0.0
        self._sent_results = 0
        self._aggregators = [_Aggregator(self._dialer, address) for address in addresses]

    def add(self, result: Result, captured_ms: float) -> None:
        """Takes charge of a result whose frame was captured at `captured_ms` (`boot_ms`); where
        there is no aggregator by design it is nobody's."""
        if self._aggregators:
            self.outbox.add(result, captured_ms, boot_ms())

    @property
    def connected(self) -> int:
        return sum(aggregator.connected for aggregator in self._aggregators)

    def unreached(self) -> str:
        """Aggregators that have not answered for a while, and why; "" if all do."""
        now_ms = boot_ms()
        return "; ".join(
            f"{aggregator.address.removeprefix('tcp://')}: {aggregator.reach.why}"
            for aggregator in self._aggregators
            if aggregator.reach.is_away(now_ms)
        )

    def own_addresses(self) -> Iterator[str]:
        """Those of this machine by which aggregators are reached."""
        addresses = (aggregator.own_address for aggregator in self._aggregators)
        return (address for address in addresses if address)

    def states(self) -> dict[str, str]:
        """By address of an aggregator: "reached", or why not."""
        return {aggregator.address: aggregator.reach.state for aggregator in self._aggregators}

    def tick(self, identity: Report, ready: Container[object] | None = None) -> None:
        """Takes in Acks and sends results that wait, in Reports that say what `identity` does.

        `ready` is what a poll has just found readable; None: all are looked at.
        """
        now_ms = tick_ms = boot_ms()
        absence_ms = self._absence.ended_ms(tick_ms)
        self._dialer.tick(ready)
        for aggregator in self._aggregators:
            aggregator.heard_ms += absence_ms
            self._take_events(aggregator, now_ms, ready)
            if aggregator.tick(now_ms):
                self.outbox.expedite(aggregator.address)
            if ready is None or aggregator.socket in ready:
                self._take_acks(aggregator)
        now_ms = boot_ms()
        self._send_results(identity, now_ms)
        for aggregator in self._aggregators:
            self._note_silence(aggregator, tick_ms)

    def next_look_ms(self) -> float:
        """Milliseconds after which `tick` is due even if nothing comes."""
        now_ms = boot_ms()
        look_ms = min(self.outbox.next_due_ms(now_ms), self._until_report_ms(now_ms))
        pause_ms = self._sent_ms + self._pace_ms(now_ms) - now_ms
        return min(look_ms, pause_ms) if pause_ms > 0 and self.outbox.due(now_ms) else look_ms

    def _until_report_ms(self, now_ms: float) -> float:
        """Until the next report, at most half of the time between two."""
        dues_ms = [
            aggregator.report_due_ms - now_ms
            for aggregator in self._aggregators
            if aggregator.connected and aggregator.report_due_ms > now_ms
        ]
        return min([REPORT_EVERY_MS / 2, *dues_ms])

    def report_due(self) -> bool:
        """True if some aggregator is to be told how things stand, which each is every second."""
        return bool(self._due_for_report(boot_ms()))

    def _due_for_report(self, now_ms: float) -> list[_Aggregator]:
        return [
            aggregator
            for aggregator in self._aggregators
            if aggregator.connected and now_ms >= aggregator.report_due_ms
        ]

    def send_report(
        self, report: Callable[[], Report], identity: Report, models: tuple[ModelReport, ...]
    ) -> None:
        """Tells those that are due how things stand: one of them writes it to Redis, the others
        hear that this worker is there. The models go along each minute, to all of them: who hears
        of some workers alone would not notice two models of one name.

        `report` is called where it goes out: of many cameras each tells some in turn.
        """
        now_ms = boot_ms()
        writer = next(iter(self._live(now_ms)), "")
        for aggregator in self._due_for_report(now_ms):
            is_writer = aggregator.address == writer
            self._send_report(aggregator, report() if is_writer else identity, models, now_ms)

    def hurry(self) -> None:
        """Makes results that wait, and the next report of each aggregator, due at once."""
        self.outbox.hurry()
        for aggregator in self._aggregators:
            aggregator.report_due_ms = 0.0

    # Connections

    def _take_events(
        self, aggregator: _Aggregator, now_ms: float, ready: Container[object] | None
    ) -> None:
        for happened in aggregator.events(now_ms, ready):
            if happened is ConnectionEvent.CONNECTED:
                aggregator.heard_ms = boot_ms()
                aggregator.report_due_ms = aggregator.models_due_ms = 0.0
            elif happened is ConnectionEvent.DISCONNECTED:
                self.outbox.expedite(aggregator.address)

    def _note_silence(self, aggregator: _Aggregator, now_ms: float) -> None:
        if aggregator.connected and now_ms - aggregator.heard_ms > WORKER_SILENT_MS:
            aggregator.lost("silent", now_ms)

    def _take_acks(self, aggregator: _Aggregator) -> None:
        while (parts := receive(aggregator.socket)) is not None:
            try:
                ack = wire.decode_ack(parts[0])
            except WireError as error:
                self._limited_log.event("ack refused", why=str(error))
                continue
            aggregator.heard_ms = boot_ms()
            aggregator.answered()
            self._log_settled(self.outbox.settle(ack))
            self.acks.append(ack)

    def _log_settled(self, settled: list[tuple[Result, str]]) -> None:
        for result, outcome in settled:
            ids = {"camera": result.camera, "session": result.session_id, "seq": result.seq}
            event(_log, logging.DEBUG, "acknowledged", outcome=outcome, **ids)
            if outcome.startswith("refused"):
                self._limited_log.event("result refused", outcome=outcome, **ids)

    # Sending

    def results_due(self, now_ms: float) -> bool:
        """True if `tick` would send results now."""
        since_ms = now_ms - self._sent_ms
        is_time = since_ms >= _PACE_MS and since_ms >= self._pace_ms(now_ms)
        return is_time and self.outbox.due(now_ms)

    def _send_results(self, identity: Report, now_ms: float) -> None:
        if not self.results_due(now_ms):
            return
        in_flight = self.outbox.in_flight
        while self.outbox.due(now_ms):
            live = self._live(now_ms)
            if not live or not self._send_batch(live, identity, now_ms):
                return
            self._sent_ms, self._sent_results = now_ms, self.outbox.in_flight - in_flight

    def _pace_ms(self, now_ms: float) -> float:
        heard_ms = max((aggregator.heard_ms for aggregator in self._aggregators), default=0.0)
        if now_ms - heard_ms >= _UNANSWERED_MS:
            return _UNANSWERED_PACE_MS
        return _PACE_MS if self._sent_results < _MANY else _FAST_PACE_MS

    def _live(self, now_ms: float) -> dict[str, _Aggregator]:
        """Those that take messages, in the order given; those that fell silent come last."""
        able = [
            aggregator
            for aggregator in self._aggregators
            if aggregator.connected and is_writable(aggregator.socket)
        ]
        able.sort(key=lambda aggregator: now_ms - aggregator.heard_ms > _SILENT_MS)
        return {aggregator.address: aggregator for aggregator in able}

    def _send_batch(self, live: dict[str, _Aggregator], identity: Report, now_ms: float) -> bool:
        names = list(live)
        batches = self.outbox.take(now_ms, lambda tries, last: _choose(names, tries, last))
        report = dataclasses.replace(identity, sent_ms=now_ms)
        sent = [self._send_rows(live[name], report, rows) for name, rows in batches.items()]
        return all(sent)

    def _send_rows(
        self, aggregator: _Aggregator, report: Report, rows: list[TicketedResult]
    ) -> bool:
        report = dataclasses.replace(report, results=tuple(rows))
        if send(aggregator.socket, [wire.encode_report(report)]):
            return True
        self.outbox.expedite(aggregator.address)
        return False

    def _send_report(
        self,
        aggregator: _Aggregator,
        report: Report,
        models: tuple[ModelReport, ...],
        now_ms: float,
    ) -> None:
        with_models = now_ms >= aggregator.models_due_ms
        if with_models:
            report = dataclasses.replace(report, models=models)
        if send(aggregator.socket, [wire.encode_report(report)]):
            aggregator.report_due_ms = now_ms + REPORT_EVERY_MS
            if with_models:
                aggregator.models_due_ms = now_ms + MODELS_EVERY_MS

    def close(self) -> None:
        for aggregator in self._aggregators:
            aggregator.close(_LINGER_MS)
        self._dialer.close()


def _choose(live: list[str], attempts: int, last: str) -> str:
    """The first live aggregator; for a result that got no Ack, the one after the last tried."""
    if attempts == 0 or last not in live:
        return live[0]
    return live[(live.index(last) + 1) % len(live)]
