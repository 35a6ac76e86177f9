"""Cameras and one worker in virtual time: the real Intake, SessionTable, CreditControl and window.

Only the sockets, the threads and the clock are made up, so a minute of a site takes a moment
and comes out the same each time.
"""

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from roommood.camera_node.window import CreditWindow
from roommood.inference_worker.serving import answers as answers_module
from roommood.inference_worker.serving import intake as intake_module
from roommood.inference_worker.serving.intake import Intake
from roommood.inference_worker.serving.job import Job
from roommood.inference_worker.serving.ledger import Outcome
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import CAMERA_FRESH_MS, HELLO_EVERY_MS
from roommood.shared.protocol.messages import Frame, Hello


@dataclass
class SimulatedCamera:
    """Captures at `rate_hz`; a frame takes `fetch_ms` from its sending to the worker."""

    name: str
    rate_hz: float
    fetch_ms: float = 5.0
    phase_ms: float = 0.0
    credit_ms: float = 0.5
    gone_at_ms: float = math.inf
    window: CreditWindow = field(default_factory=lambda: CreditWindow(0.0))
    newest_ms: float | None = None
    arrives_ms: float = 0.0


@dataclass
class Began:
    """One analysis that began."""

    camera: str
    at_ms: float
    age_ms: float


class SimulatedSite:
    """One worker with `threads` threads, each analysis taking `work_ms()`."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        cameras: list[SimulatedCamera],
        work_ms: Callable[[], float],
        threads: int = 1,
    ) -> None:
        self.now_ms = 100_000.0
        self.began: list[Began] = []
        self.busy_ms: Counter[int] = Counter()
        self.cameras = {camera.name: camera for camera in cameras}
        self._work_ms = work_ms
        self._idle = list(range(threads))
        self._queue: deque[Job] = deque()
        self._inbox: deque[list[bytes]] = deque()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._look = 0
        monkeypatch.setattr(intake_module, "boot_ms", lambda: self.now_ms)
        monkeypatch.setattr(intake_module, "receive_from", self._receive)
        monkeypatch.setattr(answers_module, "send", self._send)
        router: Any = None
        self.intake = Intake(router, "worker", threads, self._queue.append)
        for camera in cameras:
            self._after(camera.phase_ms, lambda c=camera: self._connect(c))  # type: ignore[misc]

    def run(self, for_ms: float) -> None:
        end_ms = self.now_ms + for_ms
        while self._agenda[0][0] <= end_ms:
            self.now_ms, _, act = heapq.heappop(self._agenda)
            act()
        self.now_ms = end_ms

    def _after(self, delay_ms: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now_ms + delay_ms, next(self._order), act))

    # The cameras

    def _connect(self, camera: SimulatedCamera) -> None:
        camera.window.connect(1, self.now_ms)
        self._say_hello(camera)
        self._capture(camera)

    def _is_gone(self, camera: SimulatedCamera) -> bool:
        return self.now_ms >= camera.gone_at_ms

    def _say_hello(self, camera: SimulatedCamera) -> None:
        if self._is_gone(camera):
            return
        sent = camera.window.sent
        rate_hz, now_ms = camera.rate_hz, self.now_ms
        hello = Hello(camera.name, "hall", "b", 0, 1, sent, rate_hz, 640, 480, 0, now_ms)
        self._deliver(camera, camera.credit_ms, [wire.encode_hello(hello)])
        self._after(HELLO_EVERY_MS, lambda: self._say_hello(camera))

    def _capture(self, camera: SimulatedCamera) -> None:
        if self._is_gone(camera):
            return
        camera.newest_ms = self.now_ms
        self._publish(camera)
        self._after(1000.0 / camera.rate_hz, lambda: self._capture(camera))

    def _publish(self, camera: SimulatedCamera) -> None:
        newest_ms = camera.newest_ms
        if newest_ms is None or self._is_gone(camera) or not camera.window.available(self.now_ms):
            return
        camera.newest_ms = None
        age_ms = self.now_ms - newest_ms
        if age_ms > CAMERA_FRESH_MS:
            return
        seq = camera.window.sent
        frame = Frame(camera.name, "hall", "b", seq, 640, 480, 0, age_ms, 1000, self.now_ms)
        camera.window.spend()
        self._deliver(camera, camera.fetch_ms, [wire.encode_frame(frame), b"jpeg"])

    def _deliver(self, camera: SimulatedCamera, delay_ms: float, parts: list[bytes]) -> None:
        def arrive() -> None:
            self._inbox.append([camera.name.encode(), *parts])
            self._tick()

        # ZeroMQ keeps the order: a Hello does not overtake a Frame.
        camera.arrives_ms = max(self.now_ms + delay_ms, camera.arrives_ms)
        self._after(camera.arrives_ms - self.now_ms, arrive)

    # The worker's sockets, threads and loop

    def _receive(
        self, _router: object, _connections: object, *, keyed: bool, **_asked: bool
    ) -> tuple[str, list[bytes]] | None:
        assert not keyed
        return ("", self._inbox.popleft()) if self._inbox else None

    def _send(self, _router: object, parts: list[bytes]) -> bool:
        camera, credit = self.cameras[parts[0].decode()], wire.decode_credit(parts[1])

        def arrive() -> None:
            camera.window.take(credit, self.now_ms)
            self._publish(camera)

        self._after(camera.credit_ms, arrive)
        return True

    def _tick(self) -> None:
        self.intake.tick()
        self._start_jobs()
        self._look += 1
        look = self._look
        wait_ms = max(1, min(500, int(self.intake.next_look_ms() + 0.999)))
        self._after(wait_ms, lambda: self._tick() if look == self._look else None)

    def _start_jobs(self) -> None:
        while self._queue and self._idle:
            self._start(self._queue.popleft(), self._idle.pop(0))
            self.intake.tick()

    def _start(self, job: Job, thread: int) -> None:
        work_ms = self._work_ms()
        self.began.append(Began(job.frame.camera, self.now_ms, job.age_at(self.now_ms)))
        self.intake.started(job, self.now_ms)
        self.busy_ms[thread] += round(work_ms)
        self._after(work_ms, lambda: self._finish(job, thread))

    def _finish(self, job: Job, thread: int) -> None:
        self._idle.append(thread)
        self.intake.finished(job, self.now_ms, Outcome.ANALYSED)
        self._tick()
