"""Results that no aggregator has acknowledged yet. No input or output; time is an argument."""

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from roommood.shared.protocol.limits import (
    DEFERRED_EVERY_MS,
    MAX_DEFERRED_OF_CAMERA,
    MAX_DEFERRED_TRIED,
    MAX_RESULT_AGE_MS,
    MAX_RESULTS_IN_FLIGHT,
    MAX_RESULTS_PER_REPORT,
    REPEATED_WAIT_MS,
    RESEND_AFTER_MAX_MS,
    RESEND_AFTER_MS,
    RESEND_BELOW_IN_FLIGHT,
    RESULT_WINDOW,
)
from roommood.shared.protocol.messages import Ack, Result, TicketedResult


@dataclass(slots=True)
class _Entry:
    result: Result
    captured_ms: float
    attempts: int = 0
    sent_to: str = ""
    resend_ms: float = 0.0


class Outbox:
    """Keeps each result until it is acknowledged; sends it again, elsewhere, if it is not.

    New results go out at once, but those of repeated looks wait a little, so that they go together.
    New results go before resent ones, and resent ones leave half of the places free, so that
    results which the store refuses for now do not hold up the others. What an aggregator defers
    takes no place, and comes again a few results of each camera at a time. When the window is full
    the camera with the most results in it loses its oldest. `counts` ends each result once:
    acknowledged as "committed", "duplicate" or "refused-" and why, else "dropped-full" or
    "dropped-too-old".
    """

    def __init__(self, window: int = RESULT_WINDOW) -> None:
        self._window = window
        self._entries: dict[int, _Entry] = {}
        self._fresh: deque[int] = deque()
        self._fresh_due_ms = math.inf
        self._resend: list[tuple[float, int]] = []
        self._ripe: deque[int] = deque()
        self._in_flight: set[int] = set()
        self._by_camera: dict[str, dict[int, None]] = {}
        self._deferred: dict[str, dict[int, None]] = {}
        self._deferred_due_ms = 0.0
        self._next_ticket = 0
        self.counts: Counter[str] = Counter()
        self.resent = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def add(self, result: Result, captured_ms: float, now_ms: float = 0.0) -> None:
        """Takes charge of a result; another is dropped if the window is full."""
        due_ms = now_ms + REPEATED_WAIT_MS if result.repeated else now_ms
        self._fresh_due_ms = min(self._fresh_due_ms, due_ms)
        if len(self._entries) >= self._window:
            most = max(self._by_camera.values(), key=len)
            self._end(next(iter(most)), "dropped-full")
        self._entries[self._next_ticket] = _Entry(result, captured_ms)
        self._by_camera.setdefault(result.camera, {})[self._next_ticket] = None
        self._fresh.append(self._next_ticket)
        self._next_ticket += 1
        if len(self._fresh) > 2 * self._window:  # most were dropped, behind one that was not
            self._fresh = deque(ticket for ticket in self._fresh if ticket in self._entries)

    # Sending

    def due(self, now_ms: float) -> bool:
        """True if something may be sent now."""
        self._ripen(now_ms)
        self._try_deferred(now_ms)
        self._skip_settled()
        if self._fresh and now_ms >= self._fresh_due_ms:
            return len(self._in_flight) < MAX_RESULTS_IN_FLIGHT
        return bool(self._ripe) and self._may_resend()

    def hurry(self) -> None:
        """No result waits for others to go with it."""
        self._fresh_due_ms = 0.0

    def next_due_ms(self, now_ms: float) -> float:
        """Milliseconds until a result is to be sent again, as things stand."""
        due_ms = self._resend[0][0] if self._resend else float("inf")
        if self._deferred:
            due_ms = min(due_ms, self._deferred_due_ms)
        if self._fresh and self._fresh_due_ms > now_ms:
            due_ms = min(due_ms, self._fresh_due_ms)
        return max(0.0, due_ms - now_ms)

    def take(
        self, now_ms: float, choose: Callable[[int, str], str]
    ) -> dict[str, list[TicketedResult]]:
        """At most one Report's worth of results, by the aggregator that each is to go to.

        `choose(attempts, sent_to)` names the aggregator for a result that was sent so often
        before, the last time to `sent_to`.
        """
        batches: dict[str, list[TicketedResult]] = {}
        room = min(MAX_RESULTS_PER_REPORT, MAX_RESULTS_IN_FLIGHT - len(self._in_flight))
        while room > 0 and (ticket := self._next()) is not None:
            entry = self._entries[ticket]
            age_ms = now_ms - entry.captured_ms
            if age_ms > MAX_RESULT_AGE_MS:
                self._end(ticket, "dropped-too-old")
                continue
            self._send(ticket, entry, choose(entry.attempts, entry.sent_to), now_ms)
            row = TicketedResult(ticket, max(0.0, age_ms), entry.result)
            batches.setdefault(entry.sent_to, []).append(row)
            room -= 1
        if not self._fresh:
            self._fresh_due_ms = math.inf
        return batches

    def _send(self, ticket: int, entry: _Entry, aggregator: str, now_ms: float) -> None:
        self.resent += entry.attempts > 0
        entry.sent_to = aggregator
        wait_ms = min(RESEND_AFTER_MS * 2 ** min(entry.attempts, 10), RESEND_AFTER_MAX_MS)
        entry.attempts += 1
        entry.resend_ms = now_ms + wait_ms
        self._in_flight.add(ticket)
        heapq.heappush(self._resend, (entry.resend_ms, ticket))

    def _next(self) -> int | None:
        self._skip_settled()
        if self._fresh:
            return self._fresh.popleft()
        return self._ripe.popleft() if self._ripe and self._may_resend() else None

    def _may_resend(self) -> bool:
        return len(self._in_flight) < RESEND_BELOW_IN_FLIGHT

    def _skip_settled(self) -> None:
        for waiting in (self._fresh, self._ripe):
            while waiting and waiting[0] not in self._entries:
                waiting.popleft()

    def _ripen(self, now_ms: float) -> None:
        while self._resend and self._resend[0][0] <= now_ms:
            due_ms, ticket = heapq.heappop(self._resend)
            # An expedited result leaves an earlier time behind, which no longer holds.
            if ticket in self._in_flight and self._entries[ticket].resend_ms == due_ms:
                self._in_flight.discard(ticket)
                self._ripe.append(ticket)

    def _try_deferred(self, now_ms: float) -> None:
        """A few of each camera, in turn: what is too much of one takes no place of the others."""
        if now_ms < self._deferred_due_ms or not self._deferred:
            return
        self._deferred_due_ms = now_ms + DEFERRED_EVERY_MS
        left = MAX_DEFERRED_TRIED
        for camera, tickets in list(self._deferred.items())[:left]:
            del self._deferred[camera]
            few = list(islice(tickets, min(MAX_DEFERRED_OF_CAMERA, left)))
            self._ripe.extend(few)
            left -= len(few)
            if rest := dict.fromkeys(islice(tickets, len(few), None)):
                self._deferred[camera] = rest
            if left <= 0:
                return

    def expedite(self, aggregator: str) -> None:
        """What was sent to an aggregator whose connection ended is sent again at once."""
        lost = [t for t in self._in_flight if self._entries[t].sent_to == aggregator]
        self._in_flight.difference_update(lost)
        self._ripe.extend(sorted(lost))

    # Settling

    def settle(self, ack: Ack) -> list[tuple[Result, str]]:
        """Ends the results that an Ack names, and returns them with what became of them.

        A ticket that is unknown was settled before.
        """
        outcomes = [(ticket, "committed") for ticket in ack.committed]
        outcomes += [(ticket, "duplicate") for ticket in ack.duplicate]
        outcomes += [(ticket, f"refused-{why}") for ticket, why in ack.refused]
        ended = [(self._end(ticket, outcome), outcome) for ticket, outcome in outcomes]
        self._defer(ack.deferred)
        return [(result, outcome) for result, outcome in ended if result is not None]

    def _defer(self, tickets: Iterable[int]) -> None:
        for ticket in tickets:
            if ticket in self._in_flight:
                self._in_flight.discard(ticket)
                camera = self._entries[ticket].result.camera
                self._deferred.setdefault(camera, {})[ticket] = None

    def _end(self, ticket: int, outcome: str) -> Result | None:
        entry = self._entries.pop(ticket, None)
        if entry is None:
            return None
        camera = entry.result.camera
        for kept in (self._by_camera, self._deferred):
            tickets = kept.get(camera, {})
            tickets.pop(ticket, None)
            if not tickets:
                kept.pop(camera, None)
        self._in_flight.discard(ticket)
        self.counts[outcome] += 1
        return entry.result
