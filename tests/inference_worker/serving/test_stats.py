"""What a worker tells of its analyses."""

from collections.abc import Iterator

import pytest
import zmq

from roommood.inference_worker.serving.intake import Intake
from roommood.inference_worker.serving.reporter import Reporter
from roommood.inference_worker.serving.stats import WorkerStats
from roommood.inference_worker.vision.analysis import Analysis
from roommood.shared.transport.sockets import bind_frames, close
from tests.shared.peers import free_address


@pytest.fixture
def stats() -> Iterator[WorkerStats]:
    context = zmq.Context()
    router = bind_frames(context, free_address(), insecure=False)
    intake = Intake(router, "worker", 1, lambda _: None)
    yield WorkerStats(intake, Reporter(context, zmq.Poller(), []), 1)
    close(router)
    context.destroy(linger=0)


def test_the_time_of_an_analysis_is_that_of_its_parts(stats: WorkerStats) -> None:
    assert "analysis_ms" not in stats.numbers()
    stats.analysed(Analysis((), decode_ms=1.0, detect_ms=30.0, classify_ms=20.0))
    for _ in range(9):
        stats.analysed(Analysis((), decode_ms=1.0, detect_ms=10.0, classify_ms=0.0))

    numbers = stats.numbers()
    assert (numbers["decode_ms"], numbers["detect_ms"], numbers["classify_ms"]) == (1.0, 12.0, 2.0)
    assert numbers["analysis_ms"] == 15.0
