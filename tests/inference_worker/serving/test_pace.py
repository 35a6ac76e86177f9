"""How often a camera is looked at: by what it shows, over all its workers. Time is simulated."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.serving.ledger import Ledger
from roommood.inference_worker.serving.pace import Pace
from roommood.inference_worker.serving.sessions import SessionTable
from roommood.shared.protocol.messages import Hello

START = 1_000_000.0


class OneWorker:
    """A worker with nothing else to do, and its session with the one camera."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.table = SessionTable(Ledger())
        hello = Hello("cam", "room", "b00t", 0, 1, 0, 30.0, 640, 480, 0, START)
        self.session: CameraSession = self.table.hello(b"id", hello, START)

    def wants(self, now_ms: float) -> bool:
        self.table.ready.wake(now_ms)
        if self.session not in self.table.ready:
            return False
        self.table.grant(self.session, now_ms, self.pace.next_due_ms(self.session, now_ms))
        return True

    def gets(self, interval_us: int, now_ms: float, faces: int) -> None:
        self.table.receive(self.session, now_ms)
        self.pace.came(self.session, interval_us, now_ms)
        self.table.begin(self.session, self, now_ms)
        if self.pace.seen(self.session, faces):
            self.table.requeue(self.session)


class Camera:
    """Captures at 30 frames/s; whoever wants a frame gets the newest."""

    def __init__(self, workers: Sequence[OneWorker], seed: int = 1) -> None:
        self.workers = list(workers)
        self.sent_ms: list[float] = []
        self._random = random.Random(seed)

    def run(self, from_s: float, to_s: float, faces: int) -> list[float]:
        """Times, in ms, of the frames sent in between."""
        for tick in range(round(from_s * 30), round(to_s * 30)):
            now_ms = START + tick * 1000 / 30
            for worker in self._random.sample(self.workers, len(self.workers)):
                if self._sent_at(now_ms) or not worker.wants(now_ms):
                    continue
                interval_ms = now_ms - self.sent_ms[-1] if self.sent_ms else 1000 / 30
                self.sent_ms.append(now_ms)
                worker.gets(round(interval_ms * 1000), now_ms + 5.0, faces)
        return [at for at in self.sent_ms if from_s * 1000 <= at - START < to_s * 1000]

    def _sent_at(self, now_ms: float) -> bool:
        return bool(self.sent_ms) and self.sent_ms[-1] == now_ms


def workers(count: int) -> list[OneWorker]:
    each = [OneWorker(Pace(rate_hz=5.0, empty_rate_hz=2.0)) for _ in range(count)]
    for worker in each:
        worker.pace.share_with(count)
    return each


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_rate_is_the_cameras_over_all_its_workers(count: int) -> None:
    camera = Camera(workers(count))
    camera.run(0, 10, faces=1)

    with_faces = len(camera.run(10, 40, faces=1)) / 30
    camera.run(40, 50, faces=0)
    without = len(camera.run(50, 80, faces=0)) / 30

    assert 4.5 <= with_faces <= 7.6
    assert 1.9 <= without <= 3.1


@pytest.mark.parametrize("count", [1, 2, 8])
def test_nobody_who_stays_for_two_seconds_is_missed(count: int) -> None:
    camera = Camera(workers(count))
    camera.run(0, 20, faces=0)
    sent = camera.run(20, 80, faces=0)

    assert max(b - a for a, b in pairwise(sent)) < 2_000.0 - 33.4


def test_somebody_who_comes_in_is_looked_at_at_full_rate_at_once() -> None:
    camera = Camera(workers(1))
    camera.run(0, 10, faces=0)
    sent = camera.run(10, 11.5, faces=1)

    assert sent[0] - START <= 10_500.0
    assert sent[1] - sent[0] <= 250.0


def test_the_others_take_over_from_a_worker_that_is_gone() -> None:
    camera = Camera(workers(2))
    camera.run(0, 20, faces=1)
    del camera.workers[0]
    camera.run(20, 23, faces=1)

    assert len(camera.run(23, 33, faces=1)) / 10 == pytest.approx(5.0, abs=0.6)


def test_the_control_without_a_pace_takes_every_frame() -> None:
    camera = Camera([OneWorker(Pace(1e6, 1e6))])

    assert len(camera.run(0, 10, faces=0)) == 300


def test_a_slow_camera_is_asked_for_all_that_it_has() -> None:
    worker = OneWorker(Pace(5.0, 2.0))
    for second in range(10):
        now_ms = START + second * 1000.0
        assert worker.wants(now_ms)
        worker.gets(1_000_000, now_ms, faces=0)
