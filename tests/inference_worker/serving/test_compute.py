"""The compute threads: too old is refused, and a failure is never a picture without faces."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from roommood.inference_worker.serving.compute import (
    MAX_FAILURES_IN_A_ROW,
    Compute,
    ComputeEvent,
    Finished,
    Stale,
    Started,
)
from roommood.inference_worker.serving.job import Job
from roommood.inference_worker.serving.ledger import Outcome
from roommood.inference_worker.vision.analysis import Analysis
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.clock import boot_ms
from roommood.shared.errors import ModelError, NotAJpeg, PictureDamaged, PictureTooLarge
from roommood.shared.protocol.messages import Frame
from tests.shared.made import frame

NO_FACES = Analysis((), 1.0, 2.0, 3.0)


class Scripted:
    """An analyzer that does what the frame's JPEG says."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.rotations: list[int] = []
        self.rotations_compared: list[int] = []
        self.ages_ms: list[float] = []
        self.answers: dict[bytes, Exception] = {
            b"no jpeg": NotAJpeg("no"),
            b"huge": PictureTooLarge("huge"),
            b"cut": PictureDamaged("cut"),
            b"crash": RuntimeError("the model is broken"),
            b"no number": ModelError("what it gave is not a number"),
            b"memory": MemoryError(),
        }

    def repeats(self, glance: Picture, jpeg: bytes, rotation: int = 0) -> bool:
        if jpeg in self.answers:
            raise self.answers[jpeg]
        self.rotations_compared.append(rotation)
        return bool(glance.shape == (60, 80))

    def look(self, frame: Frame, age_ms: float) -> Any:
        assert self.gate.wait(30)
        self.rotations.append(frame.rotation)
        self.ages_ms.append(age_ms)
        if frame.jpeg in self.answers:
            raise self.answers[frame.jpeg]
        return None if frame.jpeg == b"nothing" else NO_FACES


class Running:
    """A Compute whose events can be waited for."""

    def __init__(self, threads: int = 1, **options: float) -> None:
        self.analyzer = Scripted()
        self.woken: queue.SimpleQueue[bool] = queue.SimpleQueue()
        bounds: Any = {"max_age_ms": 2_000.0, "min_frame_ms": 0.0} | options
        analyzer: Any = self.analyzer
        self.compute = Compute(analyzer, threads, lambda: self.woken.put(True), **bounds)
        self.compute.start()

    def submit(
        self,
        jpeg: bytes = b"fine",
        age_ms: float = 0.0,
        rotation: int = 0,
        waited_ms: float = 0.0,
        reference: Picture | None = None,
        held_us: int = 0,
        is_alone: bool = False,
    ) -> Job:
        session: Any = None
        given = frame(jpeg=jpeg, rotation=rotation, seq=7, held_us=held_us)
        job = Job(session, given, age_ms, boot_ms() - waited_ms, reference, is_alone)
        self.compute.submit(job)
        return job

    def next(self) -> ComputeEvent:
        assert self.woken.get(timeout=30)
        return self.compute.events.popleft()

    def compared(self) -> Finished:
        """The end of a job that was over as soon as it began: one wake for both."""
        assert self.woken.get(timeout=30)
        started, finished = self.compute.events
        assert isinstance(started, Started)
        assert isinstance(finished, Finished)
        return finished

    def finish(self) -> Finished:
        event = self.next()
        while not isinstance(event, Finished):
            event = self.next()
        return event


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.analyzer.gate.set()
    running.compute.stop(10)


def test_a_job_is_started_and_then_finished_with_its_analysis(running: Running) -> None:
    job = running.submit(age_ms=7.0, rotation=90)
    started, finished = running.next(), running.next()
    assert isinstance(started, Started)
    assert started.job is job
    assert started.age_ms >= 7.0
    assert isinstance(finished, Finished)
    assert (finished.job, finished.analysis, finished.outcome) == (job, NO_FACES, "analysed")
    assert finished.now_ms >= started.now_ms
    assert running.analyzer.rotations == [90]
    assert running.analyzer.ages_ms == [pytest.approx(started.age_ms)]


def test_a_frame_too_old_when_it_would_begin_is_refused_without_analysis(running: Running) -> None:
    job = running.submit(age_ms=2_000.1)
    stale = running.next()
    assert isinstance(stale, Stale)
    assert stale.job is job
    assert stale.age_ms > 2_000
    running.submit()
    assert isinstance(running.next(), Started)
    running.finish()
    assert len(running.analyzer.rotations) == 1


def test_time_spent_waiting_in_the_queue_counts_as_age(running: Running) -> None:
    running.submit(age_ms=1_500.0, waited_ms=600.0)
    stale = running.next()
    assert isinstance(stale, Stale)
    assert stale.age_ms > 2_100.0 - 0.1


@pytest.mark.parametrize(
    ("jpeg", "why"), [(b"no jpeg", "not-a-jpeg"), (b"huge", "too-large"), (b"cut", "damaged")]
)
def test_a_picture_that_cannot_be_used_says_why(running: Running, jpeg: bytes, why: str) -> None:
    running.submit(jpeg)
    finished = running.finish()
    assert (finished.analysis, finished.outcome) == (None, f"refused-{why}")


@pytest.mark.parametrize("jpeg", [b"crash", b"memory", b"nothing"])
def test_a_crash_is_a_failure_and_never_no_faces(running: Running, jpeg: bytes) -> None:
    running.submit(jpeg)
    finished = running.finish()
    assert (finished.analysis, finished.outcome) == (None, "refused-analysis-failed")


def test_a_picture_that_looks_as_the_last_empty_one_is_repeated_and_not_analysed(
    running: Running,
) -> None:
    running.submit(rotation=90, reference=np.zeros((60, 80), np.uint8))
    finished = running.compared()
    assert (finished.outcome, finished.analysis) == (Outcome.REPEATED, None)
    assert (running.analyzer.rotations_compared, running.analyzer.rotations) == ([90], [])


def test_a_picture_that_looks_otherwise_is_analysed(running: Running) -> None:
    running.submit(reference=np.zeros((1, 1), np.uint8))
    assert running.finish().analysis is NO_FACES


def test_a_damaged_picture_is_refused_and_never_a_repeated_one(running: Running) -> None:
    running.submit(b"cut", reference=np.zeros((60, 80), np.uint8))
    assert running.compared().outcome is Outcome.DAMAGED


def test_a_thread_survives_a_crash(running: Running) -> None:
    running.submit(b"crash")
    running.finish()
    running.submit()
    assert running.finish().analysis is NO_FACES


def outcomes(running: Running, jpegs: list[bytes]) -> None:
    for jpeg in jpegs:
        running.submit(jpeg)
        running.finish()


def test_ten_crashes_in_a_row_mean_that_the_model_is_broken(running: Running) -> None:
    outcomes(running, [b"crash"] * (MAX_FAILURES_IN_A_ROW - 1))
    assert running.compute.broken is None
    outcomes(running, [b"crash"])
    assert "the model is broken" in str(running.compute.broken)


def test_what_a_model_gives_wrong_is_a_line_now_and_then_not_a_traceback_a_frame(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes(running, [b"no number", b"no number", b"fine"] * 10)
    assert running.compute.broken is None
    lines = [record for record in caplog.records if record.message == "analysis failed"]
    assert 0 < len(lines) <= 6
    assert all(record.exc_info is None for record in lines)
    assert vars(lines[0])["fields"] == {"why": "what it gave is not a number"}


def test_a_success_in_between_begins_the_count_anew(running: Running) -> None:
    outcomes(running, ([b"crash"] * (MAX_FAILURES_IN_A_ROW - 1) + [b"fine"]) * 2)
    assert running.compute.broken is None


def test_a_picture_that_repeats_the_last_one_begins_the_count_anew(running: Running) -> None:
    for _ in range(2):
        outcomes(running, [b"crash"] * (MAX_FAILURES_IN_A_ROW - 1))
        running.submit(reference=np.zeros((60, 80), np.uint8))
        running.compared()
        running.compute.events.clear()
    assert running.compute.broken is None


def test_bad_pictures_do_not_make_a_broken_model(running: Running) -> None:
    outcomes(running, [b"cut"] * (3 * MAX_FAILURES_IN_A_ROW))
    assert running.compute.broken is None


@pytest.mark.parametrize("why", [{"held_us": 1}, {"is_alone": True}])
def test_a_frame_from_whose_start_nothing_follows_wakes_the_loop_once(
    running: Running, why: dict[str, Any]
) -> None:
    running.submit()
    running.finish()
    running.submit(**why)
    assert running.compared().analysis is NO_FACES
    assert running.woken.empty()


@pytest.mark.parametrize("why", [{"held_us": 1}, {"is_alone": True}])
def test_where_an_analysis_takes_long_its_start_is_told_in_any_case(why: dict[str, Any]) -> None:
    slow = Running(min_frame_ms=60.0)
    for _ in range(2):
        slow.submit(**why)
        assert isinstance(slow.next(), Started)
        slow.finish()
    slow.compute.stop(10)


def test_a_frame_may_be_made_to_last() -> None:
    slow = Running(min_frame_ms=60.0)
    slow.submit()
    started = slow.next()
    assert isinstance(started, Started)
    assert slow.finish().now_ms - started.now_ms >= 59
    slow.compute.stop(10)


def test_threads_work_side_by_side() -> None:
    running = Running(threads=2)
    running.analyzer.gate.clear()
    running.submit()
    running.submit()
    assert isinstance(running.next(), Started)
    assert isinstance(running.next(), Started)
    running.analyzer.gate.set()
    running.compute.stop(10)


def test_a_thread_that_never_comes_back_is_known_to_hang(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roommood.inference_worker.serving.compute.HUNG_ANALYSIS_MS", 0.0)
    running.analyzer.gate.clear()
    running.submit()
    assert isinstance(running.next(), Started)
    assert running.compute.hung
    running.analyzer.gate.set()
    running.finish()
    assert not running.compute.hung


def test_the_threads_end_when_they_are_told_to() -> None:
    running = Running(threads=3, min_frame_ms=60_000.0)
    running.submit()
    assert isinstance(running.next(), Started)
    running.compute.stop(10)
    assert not any(thread.is_alive() for thread in running.compute._threads)
