"""The worker's side of the frame protocol: hears Hellos and Frames, hands out Credit."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inference_worker.credit import CreditControl
from inference_worker.links import Link, LinkTable
from shared import wire
from shared.clock import boot_ms
from shared.errors import WireError
from shared.logs import Complaints
from shared.messages import Credit, Frame
from shared.runtime import PeerLog
from shared.sockets import Router, receive, send

_log = logging.getLogger(__name__)
# Messages taken in before the loop looks at anything else.
_BURST: Final = 256
_SWEEP_EVERY_MS: Final = 500.0


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A frame that waits for a thread; `age_ms` is its age when it arrived at `arrived_ms`."""

    link: Link
    frame: Frame
    age_ms: float
    arrived_ms: float

    def age_at(self, now_ms: float) -> float:
        """Milliseconds since capture, at `now_ms`."""
        return self.age_ms + now_ms - self.arrived_ms


class Intake:
    """Turns messages into jobs, and free threads into credit."""

    def __init__(
        self, router: Router, worker_id: str, threads: int, take_job: Callable[[Job], None]
    ) -> None:
        self._router = router
        self._worker_id = worker_id
        self._take_job = take_job
        self._cameras = PeerLog("camera")
        self._complaints = Complaints(_log)
        self._swept_ms = 0.0
        self.links = LinkTable()
        self.control = CreditControl(threads)
        self.workers: tuple[str, ...] = ()
        self.waiting = 0
        self.leaving = False
        self.refused: Counter[str] = Counter()

    # The loop's turn

    def turn(self) -> None:
        """Takes in what came, and grants what may be granted."""
        for _ in range(_BURST):
            parts = receive(self._router)
            if parts is None:
                break
            self._take(parts)
        now_ms = boot_ms()
        if now_ms - self._swept_ms > _SWEEP_EVERY_MS:
            self._swept_ms = now_ms
            for link in self.links.sweep(now_ms):
                if not self.links.is_heard(link.hello.camera):
                    self._cameras.lost(link.hello.camera, "silent")
        self._grant(now_ms)

    def next_look_ms(self) -> float:
        """Milliseconds after which `turn` is due even if nothing comes."""
        if not self.links.hungry or self.leaving:
            return _SWEEP_EVERY_MS
        link = next(iter(self.links.hungry.values()))
        return self.control.next_look_ms(link.fetch_ms, boot_ms())

    def _take(self, parts: list[bytes]) -> None:
        routing_id, *rest = parts
        try:
            self._take_message(routing_id, rest)
        except WireError as error:
            self._refuse_message(routing_id, rest, error)

    def _take_message(self, routing_id: bytes, parts: list[bytes]) -> None:
        kind = wire.kind_of(parts[0]) if parts else b""
        if kind == b"H" and len(parts) == 1:
            self._take_hello(routing_id, parts[0])
        elif kind == b"F" and len(parts) == 2:
            self._take_frame(routing_id, wire.decode_frame(parts[0], parts[1]))
        else:
            raise WireError(f"a message of kind {kind!r} in {len(parts)} parts")

    def _refuse_message(self, routing_id: bytes, parts: list[bytes], error: WireError) -> None:
        self.refused[error.reason] += 1
        self._complaints.event("message refused", why=str(error))
        link = self.links.find(routing_id)
        if link is not None and wire.looks_like_frame(parts):
            self.links.receive(link, boot_ms())
            self._settle_refused(link, error.reason)

    # Hello

    def _take_hello(self, routing_id: bytes, data: bytes) -> None:
        hello = wire.decode_hello(data)
        now_ms = boot_ms()
        link = self.links.hello(routing_id, hello, now_ms)
        link.clock.transit_ms(hello.sent_ms, now_ms)
        if not link.refused:
            self._cameras.back(hello.camera)
        self._send_credit(link, now_ms)

    # Frames

    def _take_frame(self, routing_id: bytes, frame: Frame) -> None:
        now_ms = boot_ms()
        link = self.links.find(routing_id)
        if link is None:
            self.refused["unsolicited"] += 1
            self._complaints.event("frame before Hello refused", camera=frame.camera)
            return
        credited = self.links.receive(link, now_ms)
        link.transit_ms = link.clock.transit_ms(frame.sent_ms, now_ms)
        self.control.fetched(link.fetch_ms)
        why = self._why_not(link, frame, credited)
        if why:
            self.refused[why] += 1
            self._settle_refused(link, why)
            return
        self.waiting += 1
        self._take_job(Job(link, frame, frame.age_ms + link.transit_ms, now_ms))

    def _why_not(self, link: Link, frame: Frame, credited: bool) -> str:
        hello = link.hello
        if (frame.camera, frame.room, frame.boot_id) != (hello.camera, hello.room, hello.boot_id):
            return "mismatch"
        if link.refused:
            return link.refused
        if self.links.is_paused(link):
            return "paused"
        return "" if credited else "unsolicited"

    def _settle_refused(self, link: Link, why: str) -> None:
        link.counts[f"refused-{why}"] += 1
        self.links.settle(link)

    # What the compute threads did

    def started(self, job: Job, now_ms: float) -> None:
        """A thread began with a job."""
        self.waiting -= 1
        self.control.started(job, now_ms, now_ms - job.arrived_ms)
        self.links.settle(job.link)

    def refused_at_start(self, job: Job, why: str) -> None:
        """A thread looked at a job and did not begin with it."""
        self.waiting -= 1
        self.refused[why] += 1
        self._settle_refused(job.link, why)

    def finished(self, job: Job, now_ms: float, outcome: str) -> None:
        """A thread is done with a job: "analysed", or "refused-" and why."""
        self.control.finished(job, now_ms)
        job.link.counts[outcome] += 1
        if outcome != "analysed":
            self.refused[outcome.removeprefix("refused-")] += 1

    # Credit

    def _grant(self, now_ms: float) -> None:
        hungry = self.links.hungry
        while hungry and not self.leaving:
            link = next(iter(hungry.values()))
            asked = self.links.in_flight - self.waiting
            if not (
                self.control.may_grant(asked, self.waiting, link.fetch_ms, now_ms)
                or self.control.may_grow(asked, self.waiting, now_ms)
            ):
                return
            self.links.grant(link, now_ms)
            self.control.granted(now_ms)
            self._send_credit(link, now_ms)

    def _send_credit(self, link: Link, now_ms: float) -> None:
        credit = Credit(
            worker_id=self._worker_id,
            connection=link.hello.connection,
            granted=link.granted,
            started=link.started,
            ready_ms=self.control.ready_ms(now_ms),
            transit_ms=link.transit_ms,
            sent_ms=now_ms,
            workers=self.workers,
            paused=self.links.is_paused(link),
            leaving=self.leaving,
            refused=link.refused,
        )
        if not send(self._router, [link.routing_id, wire.encode_credit(credit)]):
            self.links.unreachable(link)

    def pause(self, rooms: frozenset[str]) -> None:
        """Rooms of which no frame is wanted now; their cameras are told at once."""
        for link in self.links.set_paused(rooms):
            if not link.silent:
                self._send_credit(link, boot_ms())

    def tell_all(self) -> None:
        """Sends every camera how its link stands (before leaving, and after)."""
        for link in self.links.all:
            if not link.silent:
                self._send_credit(link, boot_ms())
