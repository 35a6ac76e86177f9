"""Python of one's own in a worker: it gets each frame, and the rest stays as it is."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.end_to_end.site import EVERY_FRAME, Site, numbers, total, until

EXAMPLES = Path(__file__).parents[2] / "examples"
SLOW = """
import time
from own_frames import *

class Slow(Analyzer):
    def look(self, frame, age_ms):
        time.sleep(0.4)
        return super().look(frame, age_ms)

app = new_app()

@app.command()
@with_settings(WorkerSettings)
def slow(settings: WorkerSettings) -> None:
    raise typer.Exit(run_worker(settings, Slow))

def main() -> None:
    run_app(app)
"""


@pytest.fixture(autouse=True)
def can_be_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{EXAMPLES}:{tmp_path}")


def test_the_example_tells_of_each_frame_whose_it_is_and_when_it_was_captured(
    site: Site, pictures: Path
) -> None:
    began, frames = datetime.now(UTC), site.address()
    worker = site.start("own_frames", "--bind", frames, *EVERY_FRAME)
    worker.wait_for("worker ready")
    site.camera("door", "hall", str(pictures), frames, "--rate-hz", "5", "--no-loop").wait()
    until(lambda: len(worker.lines("analysed")) == 6, "all are looked at")
    assert worker.stop() == 0
    lines = [line.split(" ", 3) for line in worker.log.read_text().splitlines() if " hall " in line]
    assert [(room, camera) for _, room, camera, _ in lines] == [("hall", "door")] * 6
    assert [rest[:13] for *_, rest in lines[:2]] == ["(480, 480, 3)", "(480, 640, 3)"]
    captured = [datetime.fromisoformat(text) for text, *_ in lines]
    assert began < captured[0]
    assert captured == sorted(captured)
    assert worker.wait_for("worker ended")["unacknowledged"] == 0


def test_slow_code_gets_new_frames_only_and_people_are_counted_beside_it(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    worker = site.start_worker(frames, reports, module="slow")
    worker.wait_for("worker ready")
    camera = site.camera("door", "hall", "simulated", frames, "--rate-hz", "30")
    until(lambda: len(worker.lines("started")) >= 8, "eight frames")
    assert camera.stop() == 0
    assert numbers(worker.lines("started")[2:], "age_ms")[-1] < 200
    until(lambda: site.frames("hall", "door") >= 8, "they are counted")
    assert total(worker.lines("analysed"), "faces") > 0
