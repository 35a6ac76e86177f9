"""The worker's side of the frame protocol: hears Hellos and Frames, hands out Credit."""

import logging
import math
from collections.abc import Callable
from typing import Final

from roommood.inference_worker.serving.access import Access
from roommood.inference_worker.serving.answers import Answers
from roommood.inference_worker.serving.arrivals import Arrivals
from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.serving.credit import CreditControl
from roommood.inference_worker.serving.job import Job
from roommood.inference_worker.serving.ledger import Ledger, Outcome
from roommood.inference_worker.serving.pace import Pace, full_pace
from roommood.inference_worker.serving.repeats import Repeats
from roommood.inference_worker.serving.sessions import Names, SessionTable
from roommood.inference_worker.vision.analysis import Analysis
from roommood.shared.clock import Absence, boot_ms
from roommood.shared.errors import VersionMismatch, WireError
from roommood.shared.process.logs import RateLimitedLog, event
from roommood.shared.process.runtime import ConnectionLog
from roommood.shared.protocol import wire
from roommood.shared.protocol.messages import Frame, Hello
from roommood.shared.security.allow_list import AllowList
from roommood.shared.security.keys import fingerprint
from roommood.shared.transport.connections import Connections
from roommood.shared.transport.sockets import Router, receive_from

_log = logging.getLogger(__name__)
# Messages taken in before the loop looks at anything else.
_BURST: Final = 256
# Milliseconds after which it does so in any case: large messages that nobody asked for.
_TICK_MS: Final = 20.0
_SWEEP_EVERY_MS: Final = 500.0
# For so long after its start nobody is asked for a frame before it is known who is paused.
_UNTOLD_MS: Final = 5_000.0


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
        repeats: Repeats | None = None,
    ) -> None:
        self._router = router
        self._access = Access(allow_list)
        self._connections = connections
        self._pace = pace or full_pace()
        self._repeats = repeats or Repeats(0.0)
        self._next_due_ms: float | None = None
        self._take_job = take_job
        self._cameras = ConnectionLog("camera")
        self._limited_log = RateLimitedLog(_log)
        self._absence = Absence()
        self._swept_ms, self._untold_until_ms = 0.0, math.inf
        self.ledger = Ledger()
        self.sessions = SessionTable(self.ledger)
        self.control = CreditControl(threads, self.ledger)
        self._arrivals = Arrivals()
        self._answers = Answers(router, worker_id, self.sessions, self.control, luma)

    # Each tick of the loop

    def tick(self, is_readable: bool = True) -> None:
        """Takes in what came, and grants what may be granted."""
        tick_ms = boot_ms()
        for session, why in self._access.newly_refused(lambda: self.sessions.all):
            self.sessions.evict(session, why)
            event(_log, logging.WARNING, "camera evicted", camera=session.hello.camera, why=why)
        if absence_ms := self._absence.ended_ms(tick_ms):
            self.sessions.excuse(absence_ms)
        if is_readable:
            self._take_burst()
        self._sweep(tick_ms)
        now_ms = boot_ms()
        self._answers.flush(now_ms)
        self._grant(now_ms)

    def _sweep(self, tick_ms: float) -> None:
        """Silent is who was so when this tick began to read; what came since is read by now."""
        if tick_ms - self._swept_ms <= _SWEEP_EVERY_MS:
            return
        self._swept_ms = tick_ms
        if tick_ms > self._untold_until_ms and self.sessions.keep_waiting(False):
            event(_log, logging.WARNING, "nobody tells what is paused: cameras are asked")
        for session in self.sessions.sweep(tick_ms):
            if not self.sessions.is_heard(session.hello.camera):
                self._cameras.lost(session.hello.camera, "silent")

    def _take_burst(self) -> None:
        end_ms = boot_ms() + _TICK_MS
        keyed = self._access.is_keyed
        for number in range(_BURST):
            # The first was polled for, and where a second waits there are more of them.
            is_known = number != 1
            message = receive_from(self._router, self._connections, keyed=keyed, polled=is_known)
            if message is None:
                return
            self._take(*message)
            if boot_ms() > end_ms:
                return

    def next_look_ms(self) -> float:
        """Milliseconds after which `tick` is due even if nothing comes."""
        if self._answers.leaving:
            return _SWEEP_EVERY_MS
        now_ms, session = boot_ms(), self.sessions.ready.first
        if session is None:
            look_ms = min(_SWEEP_EVERY_MS, (self._next_due_ms or math.inf) - now_ms)
        else:
            look_ms = self.control.next_look_ms(session.fetch_ms, now_ms)
        return max(0.0, min(look_ms, self._answers.next_flush_ms(now_ms)))

    def rest_ms(self) -> float:
        """Milliseconds for which nothing need be read: where no frame is expected, Hellos wait
        for the next round of answers."""
        now_ms = boot_ms()
        return self._answers.until_round_ms(now_ms) if self.control.is_quiet(now_ms) else 0.0

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
        if isinstance(error, VersionMismatch) and error.only_asks and len(parts) == 1:
            self._answers.other_version(routing_id, boot_ms())
            return
        outcome = Outcome.refusal(error.reason)
        self._limited_log.event("message refused", why=str(error))
        session = self._session_of(routing_id, holder)
        if not wire.looks_like_frame(parts):
            self.ledger.refuse_message(outcome)
            if isinstance(error, VersionMismatch):
                self._answers.other_version(routing_id, boot_ms())
        elif session is None:
            self.ledger.refuse_unknown(routing_id, outcome)
        else:
            self.sessions.receive(session, boot_ms())
            self._refuse_frame(session, outcome)

    def _session_of(self, routing_id: bytes, holder: str) -> CameraSession | None:
        """A peer chooses its routing id: it may be one that another key's camera had."""
        session = self.sessions.find(routing_id)
        return session if session is not None and session.holder == holder else None

    # Hello

    def _take_hello(self, routing_id: bytes, holder: str, hello: Hello) -> None:
        self._access.check_claim(holder, hello.camera, hello.room)
        now_ms = boot_ms()
        early = self.ledger.introduced(routing_id)
        session = self.sessions.hello(routing_id, hello, now_ms, early)
        if session.holder != holder:
            session.holder, session.fingerprint = holder, fingerprint(holder)
        if session.newly_lost:
            self._debug(session, "lost on wire", frames=session.newly_lost)
        session.clock.transit_ms(hello.sent_ms, now_ms)
        if not session.refused:
            self._cameras.back(hello.camera)
        self._answers.answer_hello(session)

    # Frames

    def _take_frame(self, routing_id: bytes, holder: str, frame: Frame) -> None:
        self._access.check_claim(holder, frame.camera, frame.room)
        now_ms = boot_ms()
        session = self._session_of(routing_id, holder)
        if session is None:
            self.ledger.refuse_unknown(routing_id, Outcome.UNSOLICITED)
            who = {"camera": frame.camera, "session": frame.session_id}
            self._limited_log.event("frame before Hello refused", **who)
            return
        is_held = session.hold is not None
        self._arrivals.came(session)
        credited = self.sessions.receive(session, now_ms)
        session.transit_ms = session.clock.transit_ms(frame.sent_ms, now_ms)
        session.captured_ms = now_ms - frame.age_ms - session.transit_ms
        if is_held:
            self._pace.held(session, now_ms)
        else:
            self.control.fetched(session.fetch_ms)
            self._pace.came(session, frame.interval_us, now_ms)
        outcome = self._why_not(session, frame, credited)
        if outcome is not None:
            self._refuse_frame(session, outcome)
            return
        self._take_job(self._job(session, frame, now_ms))

    def _job(self, session: CameraSession, frame: Frame, now_ms: float) -> Job:
        age_ms = frame.age_ms + session.transit_ms
        captured_ms = now_ms - age_ms
        next_ms = self._pace.latest_next_ms(session, captured_ms)
        reference = self._repeats.reference(session.empty_look, captured_ms, next_ms)
        is_alone = self.ledger.in_flight == 1 and self.sessions.ready.first is None
        return Job(session, frame, age_ms, now_ms, reference, is_alone)

    def _why_not(self, session: CameraSession, frame: Frame, credited: bool) -> Outcome | None:
        hello = session.hello
        if (frame.camera, frame.room, frame.session_id) != (
            hello.camera,
            hello.room,
            hello.session_id,
        ):
            return Outcome.MISMATCH
        if session.refused:
            return Outcome.refusal(session.refused)
        if self.sessions.is_paused(session):
            return Outcome.PAUSED
        return None if credited else Outcome.UNSOLICITED

    def _refuse_frame(self, session: CameraSession, outcome: Outcome) -> None:
        self._debug(session, "frame refused", why=outcome.reason)
        self.sessions.refuse(session, outcome)

    def _debug(self, session: CameraSession, text: str, **fields: object) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            hello = session.hello
            event(
                _log, logging.DEBUG, text, camera=hello.camera, session=hello.session_id, **fields
            )

    # What the compute threads did

    def started(self, job: Job, now_ms: float) -> None:
        """A thread began with a job."""
        self.control.waited(now_ms - job.arrived_ms)
        self.sessions.begin(job.session, job, now_ms)

    def held(self, job: Job) -> None:
        """Its camera held pictures that came before it."""
        self.ledger.held(job.session.account)

    def refused_at_start(self, job: Job, outcome: Outcome) -> None:
        """A thread looked at a job and did not begin with it."""
        self.sessions.refuse(job.session, outcome)

    def finished(
        self, job: Job, now_ms: float, outcome: Outcome, analysis: Analysis | None = None
    ) -> None:
        """A thread is done with a job; there is an analysis where it looked for faces."""
        session = job.session
        began_ms = self.ledger.finish(session.account, job, outcome)
        if outcome is Outcome.REPEATED:
            return
        if began_ms is not None:
            self.control.took(now_ms - began_ms)
        if job.captured_ms >= session.looked_ms:
            session.looked_ms = job.captured_ms
            self._note_look(job, analysis, now_ms)

    def _note_look(self, job: Job, analysis: Analysis | None, now_ms: float) -> None:
        """What the newest full look showed; of two threads' looks the older one may end last."""
        session = job.session
        is_void = session.voided_ms is not None and job.arrived_ms <= session.voided_ms
        glance = analysis.glance if analysis is not None and not is_void else None
        if analysis is not None and analysis.faces:
            session.people_ms = job.captured_ms
        session.empty_look = self._repeats.empty_look(
            glance, job.captured_ms, job.frame.seq, session.people_ms
        )
        is_due = analysis is not None and self._pace.seen(session, len(analysis.faces))
        if self._pace.hold(session) is not None and session.hold is None:
            session.due_ms, is_due = now_ms, True
        if is_due:
            self.sessions.requeue(session)

    # Credit

    def _grant(self, now_ms: float) -> None:
        self._next_due_ms = self.sessions.ready.wake(now_ms)
        while not self._answers.leaving and (session := self.sessions.ready.first) is not None:
            hold = self._pace.hold(session)
            if hold is None and not self._may_grant(session, now_ms):
                return
            self.sessions.grant(session, now_ms, self._pace.next_due_ms(session, now_ms), hold)
            # The list of workers comes with the answers to Hello; here it would cost a large site
            # more than the frame's header.
            self._answers.tell(session, now_ms)

    def _may_grant(self, session: CameraSession, now_ms: float) -> bool:
        """Whether a thread will be free for a frame that comes as soon as it can."""
        control, fetch_ms = self.control, session.fetch_ms
        soon = self._arrivals.in_the_way(session, now_ms, control.analysis_ms)
        if not (control.may_grant(fetch_ms, now_ms, soon) or control.may_grow(now_ms, soon)):
            return False
        control.granted(now_ms)
        self._arrivals.asked(session, now_ms)
        return True

    def know(self, workers: tuple[str, ...]) -> None:
        """The addresses of all live workers, which cameras are told of."""
        self._answers.workers = workers
        self._pace.share_with(len(workers))

    def await_pauses(self) -> None:
        """Asks for no frame before `pause` was called, or a few seconds are over."""
        self._untold_until_ms = boot_ms() + _UNTOLD_MS
        self.sessions.keep_waiting(True)

    def pause(
        self, rooms: Names, cameras: Names = frozenset(), *, are_unknown: bool | None = False
    ) -> None:
        """No frame of these is wanted, as they are told; for `are_unknown` see `Ack`."""
        self._answers.pause(rooms, cameras, are_unknown, boot_ms())
        if not are_unknown:
            self.sessions.keep_waiting(False)

    @property
    def leaving(self) -> bool:
        return self._answers.leaving

    def leave(self) -> None:
        """From now on nothing is granted, and every camera that hears from here is told so."""
        self._answers.leaving = True
        self.tell_all()

    def tell_all(self) -> None:
        """Sends every camera how its session stands (before leaving, and after)."""
        self._answers.tell_each(self.sessions.all)
