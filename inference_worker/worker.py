"""The inference worker: ask for frames, analyse them, report what they show."""

import dataclasses
import logging
import statistics
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

import zmq

from inference_worker.analysis import Analysis, Analyzer
from inference_worker.compute import Compute, Finished, Stale, Started
from inference_worker.intake import Intake, Job
from inference_worker.links import Link
from inference_worker.model_files import to_report
from inference_worker.reporter import Reporter
from shared.addresses import advertised
from shared.clock import boot_ms
from shared.config import WorkerSettings
from shared.limits import MAX_CAMERAS_PER_REPORT
from shared.logs import event
from shared.messages import Ack, CameraReport, Report, Result
from shared.metrics import Fact, Health, serve
from shared.runtime import (
    EXIT_DRAIN_INCOMPLETE,
    Deadline,
    Shutdown,
    Waker,
    new_id,
    release,
    shutdown_on_signals,
)
from shared.sockets import bind_frames, close

_log = logging.getLogger(__name__)
# Frames over which ages and stage times are told.
_RECENT: Final = 512
# Seconds after "leaving" in which frames that were already on the wire may still come.
_ON_THE_WIRE_S: Final = 0.3


class Worker:
    """One worker process: this thread does all input and output, `Compute` the work."""

    def __init__(self, settings: WorkerSettings, analyzer: Analyzer) -> None:
        self._settings = settings
        self._analyzer = analyzer
        self._worker_id = new_id()
        self._address = advertised(settings.bind, settings.advertise)
        self._model = analyzer.classifier.contract.model_id
        self._started_ms = boot_ms()
        self._recent_ages: deque[float] = deque(maxlen=_RECENT)
        self._recent_stages: deque[Analysis] = deque(maxlen=_RECENT)
        self.counts: Counter[str] = Counter()
        self.health = Health("inference-worker")

    def run(self) -> int:
        """Works until told to stop; returns the exit code."""
        with shutdown_on_signals() as shutdown:
            self._start_up(shutdown)
            try:
                self._main_loop(shutdown)
                drained = self._drain(shutdown)
            finally:
                self._shut_down()
        self._log_books()
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
            self._identify,
            self._report,
            self._take_ack,
        )
        self._router = bind_frames(self._context, settings.bind, insecure=settings.insecure)
        self._intake = Intake(self._router, self._worker_id, settings.threads, self._compute.submit)
        for source in (self._router, self._waker.fileno(), shutdown.waker.fileno()):
            self._poller.register(source, zmq.POLLIN)
        self._stop_metrics = self._serve_metrics()
        self.health.ready = True
        event(_log, logging.INFO, "worker ready", **self._introduction())

    def _introduction(self) -> dict[str, object]:
        return {
            "worker": self._worker_id,
            "bind": self._settings.bind,
            "advertised": self._address or "nowhere",
            "detector": self._analyzer.detector.detector_id,
            "classifier": self._model,
            "provider": self._analyzer.classifier.provider,
            "threads": self._settings.threads,
        }

    def _serve_metrics(self) -> Callable[[], None]:
        settings = self._settings
        if settings.metrics_port is None:
            return lambda: None
        return serve(settings.metrics_host, settings.metrics_port, self.health, self.facts)

    # Work

    def _main_loop(self, shutdown: Shutdown) -> None:
        while not shutdown.requested:
            self._turn()
            if self._compute.broken is not None:
                raise self._compute.broken

    def _turn(self) -> None:
        look_ms = min(self._intake.next_look_ms(), self._reporter.next_look_ms())
        self._poller.poll(max(1, min(250, int(look_ms + 0.999))))
        self._waker.drain()
        self._take_events()
        self._intake.turn()
        self._reporter.turn()
        self.health.tick()

    def _take_events(self) -> None:
        events = self._compute.events
        while events:
            what = events.popleft()
            if isinstance(what, Started):
                self._note_start(what)
            elif isinstance(what, Stale):
                self._intake.refused_at_start(what.job, "stale")
                self._debug(what.job, "refused", why="stale", age_ms=what.age_ms)
            else:
                self._finish(what)

    def _note_start(self, what: Started) -> None:
        self._intake.started(what.job, what.now_ms)
        self._recent_ages.append(what.age_ms)
        interval_us = what.job.frame.interval_us
        self._debug(what.job, "started", age_ms=what.age_ms, interval_us=interval_us)

    def _finish(self, what: Finished) -> None:
        outcome = "analysed" if what.analysis else f"refused-{what.why}"
        self.counts[outcome] += 1
        self._intake.finished(what.job, what.now_ms, outcome)
        if what.analysis is None:
            self._debug(what.job, "refused", why=what.why)
            return
        self._recent_stages.append(what.analysis)
        self._debug(what.job, "analysed", faces=len(what.analysis.faces))
        job = what.job
        self._reporter.add(self._result(job, what.analysis), job.arrived_ms - job.age_ms)

    def _result(self, job: Job, analysis: Analysis) -> Result:
        frame = job.frame
        return Result(
            camera=frame.camera,
            room=frame.room,
            boot_id=frame.boot_id,
            seq=frame.seq,
            interval_us=frame.interval_us,
            model=self._model,
            faces=analysis.faces,
        )

    def _take_ack(self, ack: Ack) -> None:
        if ack.workers:
            self._intake.workers = ack.workers
        self._intake.pause(frozenset(ack.paused_rooms))

    def _debug(self, job: Job, text: str, **facts: object) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            frame = job.frame
            ids = {"camera": frame.camera, "boot": frame.boot_id, "seq": frame.seq}
            event(_log, logging.DEBUG, text, **ids, **facts)

    # End

    def _drain(self, shutdown: Shutdown) -> bool:
        """Ends in the order of the flow: no more credit, then the frames, then the results.

        Frames that a camera sends after it was told are lost with this worker, and booked so
        by the camera. Returns False if results were left when time was up.
        """
        self.health.ready = False
        shutdown.waker.drain()
        deadline = Deadline(self._settings.drain_s)
        self._intake.leaving = True
        self._intake.tell_all()
        event(_log, logging.INFO, "draining", frames=self._intake.links.in_flight)
        still_coming = Deadline(min(_ON_THE_WIRE_S, self._settings.drain_s))
        while not (shutdown.forced or deadline.passed):
            busy = self._intake.waiting or self._intake.control.busy or not still_coming.passed
            if not busy and not len(self._reporter.outbox):
                break
            self._turn()
        self._intake.tell_all()
        self._reporter.say_now()
        return not len(self._reporter.outbox)

    def _shut_down(self) -> None:
        self.health.ready = False
        self._compute.stop(0.5)
        self._stop_metrics()
        self._reporter.close()
        close(self._router, linger_ms=200)
        self._waker.close()
        self._context.term()

    def _log_books(self) -> None:
        books = {**self._books(), "unacknowledged": len(self._reporter.outbox)}
        event(_log, logging.INFO, "worker ended", **books)

    # What others may know

    def _books(self) -> dict[str, int]:
        results = dict(self._reporter.outbox.counts).items()
        return {**self._intake.links.totals(), **{f"result-{how}": n for how, n in results}}

    def _identify(self) -> Report:
        return Report(
            worker_id=self._worker_id,
            address=self._address,
            sent_ms=boot_ms(),
            release=release(),
            leaving=self._intake.leaving,
        )

    def _report(self, with_models: bool) -> Report:
        links = [link for link in self._intake.links.all if not link.silent]
        return dataclasses.replace(
            self._identify(),
            health=self._numbers(),
            cameras=tuple(_camera_report(link) for link in links[:MAX_CAMERAS_PER_REPORT]),
            models=(to_report(self._analyzer.classifier.contract),) if with_models else (),
        )

    def _numbers(self) -> dict[str, float]:
        outbox = self._reporter.outbox
        numbers: dict[str, float] = {
            "up_s": (boot_ms() - self._started_ms) / 1000.0,
            "threads": self._settings.threads,
            "analysed": self.counts["analysed"],
            "refused": self._intake.refused.total(),
            "in_flight": self._intake.links.in_flight,
            "waiting": self._intake.waiting,
            "results_waiting": len(outbox),
            "analysis_ms": self._intake.control.analysis_ms,
        }
        numbers |= {f"age_at_start_{name}_ms": age for name, age in self._ages()}
        return numbers | dict(self._stages())

    def _ages(self) -> Iterator[tuple[str, float]]:
        ages = sorted(self._recent_ages)
        if ages:
            yield "p50", ages[len(ages) // 2]
            yield "p95", ages[min(len(ages) - 1, len(ages) * 95 // 100)]
            yield "max", ages[-1]

    def _stages(self) -> Iterator[tuple[str, float]]:
        recent = list(self._recent_stages)
        for stage in ("decode_ms", "detect_ms", "classify_ms") if recent else ():
            yield stage, statistics.fmean(getattr(one, stage) for one in recent)

    def facts(self) -> Iterator[Fact]:
        """The worker's metrics."""
        for outcome, count in Counter(self._books()).items():
            kind = "results" if outcome.startswith("result-") else "frames"
            yield Fact(
                f"roommood_worker_{kind}_total",
                f"{kind.capitalize()} by what became of them.",
                count,
                {"outcome": outcome.removeprefix("result-")},
            )
        for name, value in self._numbers().items():
            yield Fact(f"roommood_worker_{name}", _HELP.get(name, name.replace("_", " ")), value)
        yield Fact("roommood_worker_cameras", "Cameras heard lately.", self._live_cameras())
        yield Fact(
            "roommood_worker_aggregators", "Aggregators connected.", self._reporter.connected
        )

    def _live_cameras(self) -> int:
        return len({link.hello.camera for link in self._intake.links.all if not link.silent})


_HELP: Final = {
    "up_s": "Seconds since start.",
    "threads": "Compute threads.",
    "in_flight": "Frames credited or sent and not yet begun.",
    "waiting": "Frames received and not yet begun.",
    "results_waiting": "Results not yet acknowledged.",
    "analysis_ms": "Moving average of the time that one analysis takes.",
    "age_at_start_p95_ms": "Age of a frame when its analysis starts, 95th percentile lately.",
}


def _camera_report(link: Link) -> CameraReport:
    hello = link.hello
    return CameraReport(
        camera=hello.camera,
        room=hello.room,
        boot_id=hello.boot_id,
        release=hello.release,
        silent_ms=max(0.0, boot_ms() - link.heard_ms),
        rate_hz=hello.rate_hz,
        width=hello.width,
        height=hello.height,
        health=hello.health,
        counts={"transit_ms": link.transit_ms, **link.counts},
    )
