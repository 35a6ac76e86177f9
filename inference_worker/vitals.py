"""What a worker tells of itself: numbers for the health hash and Prometheus, and its books.

Written by the worker's thread, read by the metrics server's too: what may change meanwhile is
copied first.
"""

import statistics
from collections import deque
from collections.abc import Iterator
from typing import Final

from inference_worker.analysis import Analysis
from inference_worker.intake import Intake
from inference_worker.links import Link
from inference_worker.reporter import Reporter
from shared.clock import boot_ms
from shared.messages import CameraReport
from shared.metrics import Fact

# Cameras of one report, of which one goes out each second: above this they take turns, all of
# them within 5 s, since telling of a thousand costs a sixth of a core.
_CAMERAS_A_REPORT: Final = 256
_ROUND_REPORTS: Final = 5
# Frames over which ages and stage times are told.
_RECENT: Final = 512
_HELP: Final = {
    "up_s": "Seconds since start.",
    "threads": "Compute threads.",
    "in_flight": "Frames credited or sent and not yet begun.",
    "waiting": "Frames received and not yet begun.",
    "results_waiting": "Results not yet acknowledged.",
    "analysis_ms": "Moving average of the time that one analysis takes.",
    "age_at_start_p95_ms": "Age of a frame when its analysis starts, 95th percentile lately.",
}


class Vitals:
    """Looks at the parts of a worker, and keeps the figures of its latest frames."""

    def __init__(self, intake: Intake, reporter: Reporter, threads: int) -> None:
        self._intake = intake
        self._reporter = reporter
        self._threads = threads
        self._started_ms = boot_ms()
        self._ages: deque[float] = deque(maxlen=_RECENT)
        self._stages: deque[Analysis] = deque(maxlen=_RECENT)
        self._next_camera = 0

    def started(self, age_ms: float) -> None:
        """An analysis began with a frame of this age."""
        self._ages.append(age_ms)

    def analysed(self, analysis: Analysis) -> None:
        self._stages.append(analysis)

    def books(self) -> dict[str, int]:
        """Frames by what became of them, and results as `result-` and what became of them."""
        results = dict(self._reporter.outbox.counts).items()
        return {**self._intake.links.totals(), **{f"result-{how}": n for how, n in results}}

    def numbers(self) -> dict[str, float]:
        """Fields of the worker's health hash."""
        intake = self._intake
        numbers: dict[str, float] = {
            "up_s": (boot_ms() - self._started_ms) / 1000.0,
            "threads": self._threads,
            "analysed": intake.links.totals()["analysed"],
            "refused": sum(dict(intake.refused).values()),
            "in_flight": intake.links.in_flight,
            "waiting": intake.waiting,
            "results_waiting": len(self._reporter.outbox),
            "analysis_ms": intake.control.analysis_ms,
        }
        return numbers | dict(self._age_quantiles()) | dict(self._stage_means())

    def cameras(self) -> list[CameraReport]:
        """The next reports: of each link that was heard lately, or of some in turn."""
        heard = [link for link in self._intake.links.all if not link.silent]
        count = max(_CAMERAS_A_REPORT, -(-len(heard) // _ROUND_REPORTS))
        first = self._next_camera if self._next_camera < len(heard) else 0
        self._next_camera = first + count
        return [_camera_report(link) for link in heard[first : first + count]]

    def facts(self) -> Iterator[Fact]:
        """The worker's metrics."""
        yield from self._outcomes()
        for name, value in self.numbers().items():
            yield Fact(f"roommood_worker_{name}", _HELP.get(name, name.replace("_", " ")), value)
        links = self._intake.links.all
        cameras = len({link.hello.camera for link in links if not link.silent})
        yield Fact("roommood_worker_cameras", "Cameras heard lately.", cameras)
        connected = self._reporter.connected
        yield Fact("roommood_worker_aggregators", "Aggregators connected.", connected)

    def _outcomes(self) -> Iterator[Fact]:
        for outcome, count in self.books().items():
            kind = "results" if outcome.startswith("result-") else "frames"
            name = f"roommood_worker_{kind}_total"
            labels = {"outcome": outcome.removeprefix("result-")}
            yield Fact(name, f"{kind.capitalize()} by what became of them.", count, labels)

    def _age_quantiles(self) -> Iterator[tuple[str, float]]:
        ages = sorted(self._ages.copy())
        if ages:
            yield "age_at_start_p50_ms", ages[len(ages) // 2]
            yield "age_at_start_p95_ms", ages[min(len(ages) - 1, len(ages) * 95 // 100)]
            yield "age_at_start_max_ms", ages[-1]

    def _stage_means(self) -> Iterator[tuple[str, float]]:
        recent = self._stages.copy()
        for stage in ("decode_ms", "detect_ms", "classify_ms") if recent else ():
            yield stage, statistics.fmean(getattr(one, stage) for one in recent)


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
        counts={"transit_ms": link.transit_ms, **dict(link.counts)},
    )
