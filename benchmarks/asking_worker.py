"""A worker that asks each camera at a fixed rate, reads luma only, and looks at nothing."""

import threading
from collections import deque
from types import TracebackType
from typing import Final

import numpy as np
import zmq

from roommood.inference_worker.serving.intake import Intake
from roommood.inference_worker.serving.job import Job
from roommood.inference_worker.serving.ledger import Outcome
from roommood.inference_worker.serving.pace import Pace
from roommood.inference_worker.serving.repeats import Repeats
from roommood.inference_worker.vision.analysis import Analysis
from roommood.shared.clock import boot_ms
from roommood.shared.transport.sockets import bind_frames
from tests.ports import free_port

_HOLD_MS: Final = 2_000.0
_NOBODY: Final = Analysis((), 0.0, 0.0, 0.0, glance=np.zeros((60, 80), np.uint8))


class AskingWorker:
    """Works from `with` to its end; with a rate of 0 it takes connections and never says a word.

    `is_empty`: it says that it found nobody, so that cameras may hold what looks the same.
    """

    def __init__(self, rate_hz: float, *, is_empty: bool = False) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self._rate_hz = rate_hz
        self._found = _NOBODY if is_empty else None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "AskingWorker":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _work(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        router = bind_frames(context, self.address, insecure=False)
        if self._rate_hz:
            self._ask(router)
        self._ending.wait()
        router.close(0)
        context.term()

    def _ask(self, router: zmq.Socket[bytes]) -> None:
        jobs: deque[Job] = deque()
        pace = Pace(self._rate_hz, self._rate_hz)
        repeats = Repeats(_HOLD_MS)
        intake = Intake(router, "w0rker", 1, jobs.append, pace=pace, luma=True, repeats=repeats)
        while not self._ending.is_set():
            is_readable = router.poll(max(1, min(250, int(intake.next_look_ms() + 0.999))))
            intake.tick(bool(is_readable))
            while jobs:
                job = jobs.popleft()
                intake.started(job, boot_ms())
                intake.finished(job, boot_ms(), Outcome.ANALYSED, self._found)
                intake.tick(is_readable=False)
