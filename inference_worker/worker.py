"""The inference worker: ask for frames, analyse them, report what they show."""

import dataclasses
import logging
import math
import select
from collections.abc import Container, Iterator
from typing import Final

import zmq

from roommood.inference_worker.models.files import to_report
from roommood.inference_worker.serving.compute import Compute, Finished, Stale, Started
from roommood.inference_worker.serving.intake import Intake
from roommood.inference_worker.serving.job import Job
from roommood.inference_worker.serving.ledger import Outcome
from roommood.inference_worker.serving.pace import Pace
from roommood.inference_worker.serving.repeats import Repeats
from roommood.inference_worker.serving.reporter import Reporter
from roommood.inference_worker.serving.stats import WorkerStats
from roommood.inference_worker.vision.analysis import Analyzer
from roommood.shared.clock import boot_ms
from roommood.shared.process.logs import event
from roommood.shared.process.metrics import Health, Sample, serve_if_asked
from roommood.shared.process.runtime import (
    EXIT_DRAIN_INCOMPLETE,
    Deadline,
    Shutdown,
    Waker,
    new_id,
    release,
    shutdown_on_signals,
)
from roommood.shared.process.settings import WorkerSettings
from roommood.shared.protocol.limits import (
    MAX_CAMERAS_PER_REPORT,
    MAX_HEADER_BYTES,
    MAX_STATUS_CHARS,
)
from roommood.shared.protocol.messages import Face, Report, Result
from roommood.shared.security.allow_list import AllowList
from roommood.shared.security.keys import worker_keys
from roommood.shared.transport.addresses import is_loopback
from roommood.shared.transport.advertising import Advertisement
from roommood.shared.transport.discovery import announced
from roommood.shared.transport.listener import Listener
from roommood.shared.transport.sockets import bind_frames

_log = logging.getLogger(__name__)
# Seconds after "leaving" in which frames that were already on the wire may still come.
_ON_THE_WIRE_S: Final = 0.3
# Milliseconds from one to the next: at each tick it would be a third of a frame's cost here.
_HOUSEKEEPING_MS: Final = 100.0
# Milliseconds for which nothing is read while the threads have their next frames at hand.
_SUPPLIED_MS: Final = 20.0


class Worker:
    """One worker process: this thread does all input and output, `Compute` the work."""

    def __init__(self, settings: WorkerSettings, analyzer: Analyzer) -> None:
        self._settings = settings
        self._analyzer = analyzer
        self._worker_id = new_id()
        self._advertised = Advertisement(settings.bind, settings.advertise)
        self._keys = worker_keys(settings.keys)
        self._allow_list = AllowList(self._keys.allow_list) if self._keys else None
        self._model = analyzer.classifier.contract.model_id
        self.health = Health("inference-worker")

    def run(self) -> int:
        """Works until told to stop; returns the exit code."""
        with shutdown_on_signals() as shutdown:
            self._start_up(shutdown)
            try:
                at, is_told = self._advertised.address, self._settings.announce
                with announced(self._worker_id, at, is_told) as self._announcement:
                    self._main_loop(shutdown)
                drained = self._drain(shutdown)
            finally:
                self._shut_down()
        self._log_totals()
        if shutdown.forced:
            return shutdown.forced_exit_code
        return 0 if drained else EXIT_DRAIN_INCOMPLETE

    # Start

    def _start_up(self, shutdown: Shutdown) -> None:
        settings = self._settings
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self._waker = Waker()
        self._compute = Compute(
            self._analyzer,
            settings.threads,
            self._waker.wake,
            max_age_ms=settings.max_age_ms,
            min_frame_ms=settings.min_frame_ms,
        )
        self._compute.start()
        self._reporter = Reporter(
            self._context,
            self._poller,
            settings.aggregators,
            insecure=settings.insecure,
            keys=self._keys.to_aggregators if self._keys else None,
            keys_at=settings.keys,
        )
        own = self._keys.own if self._keys else None
        self._listener = Listener(
            self._context,
            bind_frames,
            settings,
            own,
            self._allow_list,
            MAX_HEADER_BYTES,
            self._waker.wake,
        )
        self._connections = self._listener.connections
        self._intake = Intake(
            self._listener.router,
            self._worker_id,
            settings.threads,
            self._compute.submit,
            self._allow_list,
            self._connections,
            Pace(settings.rate_hz, settings.empty_rate_hz),
            self._analyzer.reads_gray,
            Repeats(settings.repeat_ms),
        )
        if settings.aggregators:
            self._intake.await_pauses()
        self._stats = WorkerStats(self._intake, self._reporter, settings.threads)
        self._housekept_ms = 0.0
        self._frames_alone = {self._listener.router, self._waker.fileno()}
        self._wakers = select.poll()
        self._poller.register(self._listener.router, zmq.POLLIN)
        for waker in (self._waker.fileno(), shutdown.waker.fileno()):
            self._wakers.register(waker, select.POLLIN)
            self._poller.register(waker, zmq.POLLIN)
        self._stop_metrics = serve_if_asked(settings, self.health, self._samples)
        self.health.ready = True
        event(_log, logging.INFO, "worker ready", release=release(), **self._introduction())
        if self._keys and is_loopback(settings.bind) and not settings.advertise:
            todo = f"--bind 0.0.0.0:{settings.bind.rpartition(':')[2]}"
            event(_log, logging.WARNING, "only this machine reaches this worker", todo=todo)

    def _introduction(self) -> dict[str, object]:
        return {
            "worker": self._worker_id,
            "bind": self._settings.bind,
            "advertised": self._advertised.address or "nowhere",
            "detector": self._analyzer.detector.detector_id,
            "classifier": self._model,
            "provider": self._analyzer.detector.provider,
            "threads": self._settings.threads,
            "keys": "none" if self._allow_list is None else f"{self._allow_list.size} let in",
        }

    # Work

    def _main_loop(self, shutdown: Shutdown) -> None:
        while not shutdown.requested:
            self._tick()
            if self._compute.broken is not None:
                raise self._compute.broken

    def _tick(self) -> None:
        ready = self._wait()
        if ready is None or self._waker.fileno() in ready:
            self._waker.drain()
        self._take_events()
        self._intake.tick(ready is None or self._listener.router in ready)
        now_ms = boot_ms()
        is_time = now_ms - self._housekept_ms >= _HOUSEKEEPING_MS or self._connections.overdue
        is_more = ready is not None and not ready <= self._frames_alone
        if is_time or is_more or self._reporter.results_due(now_ms):
            self._report(ready)
        if is_time:
            self._housekept_ms = now_ms
            self._housekeeping()

    def _wait(self) -> set[object] | None:
        """What can be read now; None where that was not asked.

        A thread that is about to begin with its next frame wakes this one in any case. What comes
        until then is read with it, so that a frame wakes this thread but once; as do many Hellos.
        """
        look_ms = min(self._intake.next_look_ms(), self._reporter.next_look_ms())
        is_supplied = self._intake.control.is_supplied
        rest_ms = _SUPPLIED_MS if is_supplied else self._intake.rest_ms()
        if rest_ms:
            self._wakers.poll(max(1, math.ceil(min(rest_ms, look_ms))))
            return None
        # What the poll did not find readable is not asked again: that costs a system call each.
        return {source for source, _ in self._poller.poll(max(1, min(500, math.ceil(look_ms))))}

    def _housekeeping(self) -> None:
        """What frames and results do not wait for."""
        self._listener.tick(self.health)
        reached_at, dialled_from = self._connections, self._reporter
        self._advertised.look(boot_ms(), reached_at.own_addresses(), dialled_from.own_addresses())
        self._announcement.move(self._advertised.address)
        self.health.detail = {"aggregators": self._reporter.states()}
        if not self._compute.hung:
            self.health.tick()

    def _take_events(self) -> None:
        events = self._compute.events
        while events:
            happened = events.popleft()
            if isinstance(happened, Started):
                self._note_start(happened)
            elif isinstance(happened, Stale):
                self._refuse_stale(happened)
            else:
                self._finish(happened)

    def _note_start(self, started: Started) -> None:
        job = started.job
        self._note_held(job)
        self._intake.started(job, started.now_ms)
        self._stats.started(started.age_ms)
        self._debug(job, "started", age_ms=started.age_ms, interval_us=job.frame.interval_us)

    def _note_held(self, job: Job) -> None:
        """Pictures that looked the same, and were not sent, count for their time."""
        frame = job.frame
        if not frame.held_us:
            return
        self._intake.held(job)
        self._debug(job, "held", interval_us=frame.held_us)
        result = self._result(job, (), repeated=True)
        spared = dataclasses.replace(result, seq=frame.seq - 1, interval_us=frame.held_us)
        self._reporter.add(spared, job.captured_ms - frame.interval_us / 1000)

    def _refuse_stale(self, stale: Stale) -> None:
        self._note_held(stale.job)
        self._intake.refused_at_start(stale.job, Outcome.STALE)
        self._debug(stale.job, "refused", why=Outcome.STALE.reason, age_ms=stale.age_ms)

    def _finish(self, finished: Finished) -> None:
        job, outcome, analysis = finished.job, finished.outcome, finished.analysis
        self._intake.finished(job, finished.now_ms, outcome, analysis)
        if outcome.is_refusal:
            self._debug(job, "refused", why=outcome.reason)
            return
        faces = analysis.faces if analysis else ()
        if analysis:
            self._stats.analysed(analysis)
        self._debug(job, str(outcome), faces=len(faces))
        repeated = outcome is Outcome.REPEATED
        self._reporter.add(self._result(job, faces, repeated), job.captured_ms)

    def _result(self, job: Job, faces: tuple[Face, ...], repeated: bool) -> Result:
        frame = job.frame
        return Result(
            camera=frame.camera,
            room=frame.room,
            session_id=frame.session_id,
            seq=frame.seq,
            interval_us=frame.interval_us,
            model=self._model,
            faces=faces,
            key=job.session.fingerprint,
            repeated=repeated,
        )

    def _report(self, ready: Container[object] | None = None) -> None:
        identity = self._identity()
        self._reporter.tick(identity, ready)
        while self._reporter.acks:
            ack = self._reporter.acks.popleft()
            if ack.workers:
                self._intake.know(ack.workers)
            paused = frozenset(ack.paused_rooms), frozenset(ack.paused_cameras)
            self._intake.pause(*paused, are_unknown=ack.pauses_unknown)
        if self._reporter.report_due():
            models = (to_report(self._analyzer.classifier.contract),)
            self._reporter.send_report(lambda: self._health_report(identity), identity, models)

    def _debug(self, job: Job, text: str, **fields: object) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            frame = job.frame
            ids = {"camera": frame.camera, "session": frame.session_id, "seq": frame.seq}
            event(_log, logging.DEBUG, text, **ids, **fields)

    # End

    def _drain(self, shutdown: Shutdown) -> bool:
        """Ends in the order of the flow: no more credit, then the frames, then the results.

        Frames that a camera sends after it was told are lost with this worker, and booked so
        by the camera. Returns False if results were left when time was up.
        """
        self.health.draining()
        shutdown.waker.drain()
        deadline = Deadline(self._settings.drain_s)
        self._intake.leave()
        self._reporter.outbox.hurry()
        event(_log, logging.INFO, "draining", frames=self._intake.ledger.in_flight)
        still_coming = Deadline(min(_ON_THE_WIRE_S, self._settings.drain_s))
        while not (shutdown.forced or deadline.passed):
            ledger = self._intake.ledger
            busy = ledger.waiting or ledger.running or not still_coming.passed
            if not busy and not len(self._reporter.outbox):
                break
            self._tick()
        self._intake.tell_all()
        self._reporter.hurry()
        self._report()
        return not len(self._reporter.outbox)

    def _shut_down(self) -> None:
        self.health.ready = False
        self._compute.stop(0.5)
        self._stop_metrics()
        self._reporter.close()
        self._listener.close(linger_ms=200)
        self._waker.close()
        self._context.term()

    def _log_totals(self) -> None:
        left = {"unacknowledged": len(self._reporter.outbox)}
        event(_log, logging.INFO, "worker ended", **self._stats.totals(), **left)

    # What others may know

    def _samples(self) -> Iterator[Sample]:
        yield from self._stats.samples()
        yield from self._listener.samples("worker")

    def _identity(self) -> Report:
        return Report(
            worker_id=self._worker_id,
            address=self._advertised.address,
            sent_ms=boot_ms(),
            release=release(),
            leaving=self._intake.leaving,
            unreached=self._reporter.unreached()[:MAX_STATUS_CHARS],
            provider=self._analyzer.detector.provider,
        )

    def _health_report(self, identity: Report) -> Report:
        return dataclasses.replace(
            identity,
            health=self._stats.numbers(),
            cameras=tuple(self._stats.cameras()[:MAX_CAMERAS_PER_REPORT]),
        )
