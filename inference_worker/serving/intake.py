"""The worker's side of the frame protocol: hears Hellos and Frames, hands out Credit."""

import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from roommood.inference_worker.serving.access import Access
from roommood.inference_worker.serving.credit import CreditControl
from roommood.inference_worker.serving.pace import Pace, full_pace
from roommood.inference_worker.serving.sessions import CameraSession, SessionTable
from roommood.shared.clock import Absence, boot_ms
from roommood.shared.errors import VersionMismatch, WireError
from roommood.shared.process.logs import RateLimitedLog, event
from roommood.shared.process.runtime import ConnectionLog
from roommood.shared.protocol import wire
from roommood.shared.protocol.messages import Credit, Frame, Hello
from roommood.shared.security.allow_list import AllowList
from roommood.shared.security.keys import fingerprint
from roommood.shared.transport.connections import Connections
from roommood.shared.transport.sockets import Router, receive_from, send

_log = logging.getLogger(__name__)
# Messages taken in before the loop looks at anything else.
_BURST: Final = 256
# Milliseconds after which it does so in any case: large messages that nobody asked for.
_TICK_MS: Final = 20.0
_SWEEP_EVERY_MS: Final = 500.0
# A camera forgets a learned worker that it neither uses nor is told of for a minute.
_TELL_AGAIN_MS: Final = 20_000.0
# Connections without a Hello of which is remembered what they sent.
_MAX_EARLY: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A frame that waits for a thread; `age_ms` is its age when it arrived at `arrived_ms`."""

    session: CameraSession
    frame: Frame
    age_ms: float
    arrived_ms: float

    def age_at(self, now_ms: float) -> float:
        """Milliseconds since capture, at `now_ms`."""
        return self.age_ms + now_ms - self.arrived_ms


class Intake:
    """Turns messages into jobs, and free threads into credit.

    With an allow-list, a message is taken only from a key that it authorizes, and that belongs to
    the camera and room which the message claims.
    """

    def __init__(
        self,
        router: Router,
        worker_id: str,
        threads: int,
        take_job: Callable[[Job], None],
        allow_list: AllowList | None = None,
        connections: Connections | None = None,
        pace: Pace | None = None,
        luma: bool = False,
    ) -> None:
        self._router = router
        self._access = Access(allow_list)
        self._connections = connections
        self._pace, self._luma = pace or full_pace(), luma
        self._next_due_ms: float | None = None
        self._worker_id = worker_id
        self._take_job = take_job
        self._cameras = ConnectionLog("camera")
        self._limited_log = RateLimitedLog(_log)
        self._absence = Absence()
        self._swept_ms = 0.0
        self._early: dict[bytes, Counter[str]] = {}
        self.sessions = SessionTable()
        self.control = CreditControl(threads)
        self.workers: tuple[str, ...] = ()
        self.waiting = 0
        self.leaving = False
        self.refused: Counter[str] = Counter()

    # Each tick of the loop

    def tick(self, is_readable: bool = True) -> None:
        """Takes in what came, and grants what may be granted."""
        tick_ms = boot_ms()
        for session, why in self._access.newly_refused(self.sessions.all):
            self.sessions.evict(session, why)
            event(_log, logging.WARNING, "camera evicted", camera=session.hello.camera, why=why)
        if absence_ms := self._absence.ended_ms(tick_ms):
            self.sessions.excuse(absence_ms)
        if is_readable:
            self._receive()
        self._sweep(tick_ms)
        self._grant(boot_ms())

    def _sweep(self, tick_ms: float) -> None:
        """Silent is who was so when this tick began to read; what came since is read by now."""
        if tick_ms - self._swept_ms <= _SWEEP_EVERY_MS:
            return
        self._swept_ms = tick_ms
        for session in self.sessions.sweep(tick_ms):
            if not self.sessions.is_heard(session.hello.camera):
                self._cameras.lost(session.hello.camera, "silent")

    def _receive(self) -> None:
        end_ms = boot_ms() + _TICK_MS
        for _ in range(_BURST):
            message = receive_from(self._router, self._connections, keyed=self._access.is_keyed)
            if message is None:
                return
            self._take(*message)
            if boot_ms() > end_ms:
                return

    def next_look_ms(self) -> float:
        """Milliseconds after which `tick` is due even if nothing comes."""
        if self.leaving:
            return _SWEEP_EVERY_MS
        if not self.sessions.ready:
            until_due_ms = (self._next_due_ms or math.inf) - boot_ms()
            return min(_SWEEP_EVERY_MS, max(0.0, until_due_ms))
        session = next(iter(self.sessions.ready.values()))
        return self.control.next_look_ms(session.fetch_ms, boot_ms())

    def _take(self, holder: str, parts: list[bytes]) -> None:
        routing_id, *rest = parts
        try:
            self._take_message(routing_id, holder, rest)
        except WireError as error:
            self._refuse_message(routing_id, holder, rest, error)

    def _take_message(self, routing_id: bytes, holder: str, parts: list[bytes]) -> None:
        self._access.check_key(holder)
        kind = wire.kind_of(parts[0]) if parts else b""
        if kind == b"H" and len(parts) == 1:
            self._take_hello(routing_id, holder, wire.decode_hello(parts[0]))
        elif kind == b"F" and len(parts) == 2:
            self._take_frame(routing_id, holder, wire.decode_frame(parts[0], parts[1]))
        else:
            raise WireError(f"a message of kind {kind!r} in {len(parts)} parts")

    def _refuse_message(
        self, routing_id: bytes, holder: str, parts: list[bytes], error: WireError
    ) -> None:
        self.refused[error.reason] += 1
        self._limited_log.event("message refused", why=str(error))
        if not wire.looks_like_frame(parts):
            if isinstance(error, VersionMismatch):
                self._answer_other_version(routing_id)
            return
        session = self._session_of(routing_id, holder)
        if session is None:
            self._note_early(routing_id, error.reason)
        else:
            self.sessions.receive(session, boot_ms())
            self._refuse_frame(session, error.reason)

    def _answer_other_version(self, routing_id: bytes) -> None:
        """Grants nothing; the other side sees which two versions have met, and can say so."""
        why, now_ms = VersionMismatch.reason, boot_ms()
        credit = Credit(self._worker_id, 0, 0, 0, 0.0, 0.0, now_ms, refused=why)
        send(self._router, [routing_id, wire.encode_credit(credit)])

    def _note_early(self, routing_id: bytes, why: str) -> None:
        """A frame before its connection's Hello, which will claim to have sent it."""
        self._early.setdefault(routing_id, Counter())[why] += 1
        if len(self._early) > _MAX_EARLY:
            del self._early[next(iter(self._early))]

    def _session_of(self, routing_id: bytes, holder: str) -> CameraSession | None:
        """A peer chooses its routing id: it may be one that another key's camera had."""
        session = self.sessions.find(routing_id)
        return session if session is not None and session.holder == holder else None

    # Hello

    def _take_hello(self, routing_id: bytes, holder: str, hello: Hello) -> None:
        self._access.check_claim(holder, hello.camera, hello.room)
        now_ms = boot_ms()
        early = self._early.pop(routing_id, Counter())
        session = self.sessions.hello(routing_id, hello, now_ms, early)
        if session.holder != holder:
            session.holder, session.fingerprint = holder, fingerprint(holder)
        self._note_lost(session)
        session.clock.transit_ms(hello.sent_ms, now_ms)
        if not session.refused:
            self._cameras.back(hello.camera)
        self._send_credit(session, now_ms, self._addresses_for(session, now_ms))

    def _addresses_for(self, session: CameraSession, now_ms: float) -> tuple[str, ...]:
        """All workers' addresses, where this connection has not been told of them lately: on a
        large site they are most of what a Hello's answer weighs."""
        told = (session.hello.connection, self.workers)
        if session.told == told and now_ms - session.told_ms < _TELL_AGAIN_MS:
            return ()
        session.told, session.told_ms = told, now_ms
        return self.workers

    def _note_lost(self, session: CameraSession) -> None:
        if session.newly_lost:
            self._debug(session, "lost on wire", frames=session.newly_lost)

    # Frames

    def _take_frame(self, routing_id: bytes, holder: str, frame: Frame) -> None:
        self._access.check_claim(holder, frame.camera, frame.room)
        now_ms = boot_ms()
        session = self._session_of(routing_id, holder)
        if session is None:
            self.refused["unsolicited"] += 1
            self._limited_log.event("frame before Hello refused", camera=frame.camera)
            self._note_early(routing_id, "unsolicited")
            return
        credited = self.sessions.receive(session, now_ms)
        session.transit_ms = session.clock.transit_ms(frame.sent_ms, now_ms)
        self.control.fetched(session.fetch_ms)
        self._pace.came(session, frame.interval_us, now_ms)
        why = self._why_not(session, frame, credited)
        if why:
            self.refused[why] += 1
            self._refuse_frame(session, why)
            return
        self.waiting += 1
        self._take_job(Job(session, frame, frame.age_ms + session.transit_ms, now_ms))

    def _why_not(self, session: CameraSession, frame: Frame, credited: bool) -> str:
        hello = session.hello
        if (frame.camera, frame.room, frame.session_id) != (
            hello.camera,
            hello.room,
            hello.session_id,
        ):
            return "mismatch"
        if session.refused:
            return session.refused
        if self.sessions.is_paused(session):
            return "paused"
        return "" if credited else "unsolicited"

    def _refuse_frame(self, session: CameraSession, why: str) -> None:
        self._debug(session, "frame refused", why=why)
        self._settle_refused(session, why)

    def _settle_refused(self, session: CameraSession, why: str) -> None:
        self.sessions.count(session, f"refused-{why}")
        self.sessions.settle(session)

    def _debug(self, session: CameraSession, text: str, **fields: object) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            hello = session.hello
            event(
                _log, logging.DEBUG, text, camera=hello.camera, session=hello.session_id, **fields
            )

    # What the compute threads did

    def started(self, job: Job, now_ms: float) -> None:
        """A thread began with a job."""
        self.waiting -= 1
        self.control.started(job, now_ms, now_ms - job.arrived_ms)
        self.sessions.settle(job.session)

    def refused_at_start(self, job: Job, why: str) -> None:
        """A thread looked at a job and did not begin with it."""
        self.waiting -= 1
        self.refused[why] += 1
        self._settle_refused(job.session, why)

    def finished(self, job: Job, now_ms: float, outcome: str, faces: int | None = None) -> None:
        """A thread is done with a job: "analysed", with so many faces, or "refused-" and why."""
        self.control.finished(job, now_ms)
        self.sessions.count(job.session, outcome)
        if faces is not None and self._pace.seen(job.session, faces):
            self.sessions.rest(job.session)
        if outcome != "analysed":
            self.refused[outcome.removeprefix("refused-")] += 1

    # Credit

    def _grant(self, now_ms: float) -> None:
        self._next_due_ms = self.sessions.wake(now_ms)
        ready = self.sessions.ready
        while ready and not self.leaving:
            session = next(iter(ready.values()))
            asked = self.sessions.in_flight - self.waiting
            if not (
                self.control.may_grant(asked, self.waiting, session.fetch_ms, now_ms)
                or self.control.may_grow(asked, self.waiting, now_ms)
            ):
                return
            self.sessions.grant(session, now_ms, self._pace.next_due_ms(session, now_ms))
            self.control.granted(now_ms)
            # The list of workers comes with each second's Hello; here it would cost a large site
            # more than the frame's header.
            self._send_credit(session, now_ms, ())

    def _send_credit(self, session: CameraSession, now_ms: float, workers: tuple[str, ...]) -> None:
        credit = Credit(
            worker_id=self._worker_id,
            connection=session.hello.connection,
            granted=session.granted,
            started=session.started,
            ready_ms=self.control.ready_ms(now_ms),
            transit_ms=session.transit_ms,
            sent_ms=now_ms,
            workers=workers,
            paused=self.sessions.is_paused(session),
            leaving=self.leaving,
            refused=session.refused,
            refused_frames=session.refused_frames,
            refused_why=session.refused_why,
            luma=self._luma,
        )
        if not send(self._router, [session.routing_id, wire.encode_credit(credit)]):
            self.sessions.unreachable(session)

    def know(self, workers: tuple[str, ...]) -> None:
        """The addresses of all live workers, which cameras are told of."""
        self.workers = workers
        self._pace.share_with(len(workers))

    def pause(self, rooms: frozenset[str]) -> None:
        """Rooms of which no frame is wanted now; their cameras are told at once."""
        for session in self.sessions.set_paused(rooms):
            if not session.silent:
                self._send_credit(session, boot_ms(), self.workers)

    def tell_all(self) -> None:
        """Sends every camera how its session stands (before leaving, and after)."""
        for session in self.sessions.all:
            if not session.silent:
                self._send_credit(session, boot_ms(), self.workers)
