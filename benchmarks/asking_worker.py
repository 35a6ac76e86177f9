"""A worker that asks each camera at a fixed rate, reads luma only, and finds nothing."""

import threading
from collections import deque
from types import TracebackType

import zmq

from roommood.inference_worker.serving.intake import Intake, Job
from roommood.inference_worker.serving.ledger import Outcome
from roommood.inference_worker.serving.pace import Pace
from roommood.shared.clock import boot_ms
from roommood.shared.transport.sockets import bind_frames
from tests.ports import free_port


class AskingWorker:
    """Works from `with` to its end; with a rate of 0 it takes connections and never says a word."""

    def __init__(self, rate_hz: float) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self._rate_hz = rate_hz
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
        intake = Intake(router, "w0rker", 1, jobs.append, pace=pace, luma=True)
        while not self._ending.is_set():
            is_readable = router.poll(max(1, min(250, int(intake.next_look_ms() + 0.999))))
            intake.tick(bool(is_readable))
            while jobs:
                job = jobs.popleft()
                intake.started(job, boot_ms())
                intake.finished(job, boot_ms(), Outcome.ANALYSED)
                intake.tick(is_readable=False)
