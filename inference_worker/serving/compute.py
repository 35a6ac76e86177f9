"""The compute threads: each takes a job, decides if it is still worth it, and analyses it."""

import logging
import math
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from roommood.inference_worker.serving.job import Job
from roommood.inference_worker.serving.ledger import Outcome
from roommood.inference_worker.vision.analysis import Analysis, Analyzer
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.clock import boot_ms
from roommood.shared.errors import PictureError, RoommoodError
from roommood.shared.process.logs import RateLimitedLog
from roommood.shared.protocol.limits import HUNG_ANALYSIS_MS, MAX_WAIT_MS
from roommood.shared.protocol.messages import Frame

T = TypeVar("T")

_log = logging.getLogger(__name__)
# Analyses that fail in a row before the worker gives up: the model is broken, not a picture.
MAX_FAILURES_IN_A_ROW: Final = 10


@dataclass(frozen=True, slots=True)
class Started:
    """A thread began with a job whose frame was `age_ms` old."""

    job: Job
    now_ms: float
    age_ms: float


@dataclass(frozen=True, slots=True)
class Stale:
    """A thread found that a job's frame was too old to begin with."""

    job: Job
    age_ms: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A thread is done with a job; there is an `analysis` where its outcome is `ANALYSED`."""

    job: Job
    now_ms: float
    outcome: Outcome
    analysis: Analysis | None = None


ComputeEvent = Started | Stale | Finished


class Compute:
    """N threads over one queue. `events` holds what they did; `wake` is called after each, or
    once for the end of one job and the start of the next."""

    def __init__(
        self,
        analyzer: Analyzer,
        threads: int,
        wake: Callable[[], None],
        *,
        max_age_ms: float,
        min_frame_ms: float,
    ) -> None:
        self._analyzer = analyzer
        self._wake = wake
        self._max_age_ms = max_age_ms
        self._min_frame_ms = min_frame_ms
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._failures = 0
        self._took_ms = math.inf
        self._limited_log, self._failure_log = RateLimitedLog(_log), RateLimitedLog(_log)
        self._began_ms = [0.0] * threads
        self.broken: RoommoodError | None = None
        self.events: deque[ComputeEvent] = deque()
        self._threads = [
            threading.Thread(target=self._run, args=(n,), name=f"compute-{n}", daemon=True)
            for n in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        self._jobs.put(job)

    def stop(self, timeout_s: float) -> None:
        """Lets the threads end after the jobs that they were given."""
        self._stopping.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout_s)

    @property
    def hung(self) -> bool:
        """True while a thread has been at one picture for longer than any picture takes."""
        longest_ms = HUNG_ANALYSIS_MS + self._min_frame_ms
        return any(began and boot_ms() - began > longest_ms for began in self._began_ms)

    def _run(self, number: int) -> None:
        while (job := self._jobs.get()) is not None:
            now_ms = boot_ms()
            age_ms = job.age_at(now_ms)
            if age_ms > self._max_age_ms:
                self._emit(Stale(job, age_ms))
                continue
            self._began_ms[number] = now_ms
            self._work(job, now_ms, age_ms)
            self._began_ms[number] = 0.0
            # Whoever takes the next job tells so at once, and wakes for both.
            if self._jobs.empty():
                self._wake()
        self._wake()

    def _work(self, job: Job, now_ms: float, age_ms: float) -> None:
        started = Started(job, now_ms, age_ms)
        reference = job.reference
        if reference is not None:
            outcome = self._try(job, partial(self._compare, job.frame, reference))
            if outcome is not None:
                # Over as soon as begun: the loop need not wake twice.
                self.events += (started, Finished(job, boot_ms(), outcome))
                return
        self.events.append(started)
        # A camera that may hold its pictures is asked again by what this one shows: as with a frame
        # that is alone, for a short while nothing is to be done about its start.
        if not (job.is_alone or job.frame.held_us) or self._took_ms > MAX_WAIT_MS:
            self._wake()
        self.events.append(self._analyze(job, now_ms))

    def _compare(self, frame: Frame, reference: Picture) -> Outcome | None:
        if not self._analyzer.repeats(reference, frame.jpeg, frame.rotation):
            return None
        self._failures = 0
        return Outcome.REPEATED

    def _analyze(self, job: Job, started_ms: float) -> Finished:
        analysis = self._try(job, partial(self._look, job.frame, job.age_at(started_ms)))
        spare_ms = self._min_frame_ms - (boot_ms() - started_ms)
        if spare_ms > 0:
            self._stopping.wait(spare_ms / 1000.0)
        self._took_ms = boot_ms() - started_ms
        if isinstance(analysis, Outcome):
            return Finished(job, boot_ms(), analysis)
        self._failures = 0
        return Finished(job, boot_ms(), Outcome.ANALYSED, analysis)

    def _look(self, frame: Frame, age_ms: float) -> Analysis:
        analysis: object = self._analyzer.look(frame, age_ms)
        if not isinstance(analysis, Analysis):
            # Code of somebody's own that forgets it would count as an empty room.
            raise TypeError(f"look gave {type(analysis).__name__}: return an Analysis")
        return analysis

    def _try(self, job: Job, look: Callable[[], T]) -> T | Outcome:
        """What a look gives, or the refusal where it fails."""
        try:
            return look()
        except PictureError as error:
            self._limited_log.event("picture refused", camera=job.frame.camera, why=str(error))
            return Outcome.refusal(error.reason)
        except Exception as error:
            self._note_failure(error)
            return Outcome.ANALYSIS_FAILED

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        if isinstance(error, RoommoodError):
            self._failure_log.event("analysis failed", why=str(error))
        else:
            self._failure_log.exception("analysis failed", error)
        if self._failures >= MAX_FAILURES_IN_A_ROW:
            self.broken = RoommoodError(
                f"{self._failures} analyses failed in a row, the last with: {error}. "
                "The model file or its runtime is broken: try another --detector or --classifier"
            )

    def _emit(self, happened: ComputeEvent) -> None:
        self.events.append(happened)
        self._wake()
