"""What a worker tells of itself: numbers for the health hash and Prometheus, and its totals.

Written by the worker's thread, read by the metrics server's too: what may change meanwhile is
copied first.
"""

import re
import statistics
from collections import deque
from collections.abc import Iterator
from typing import Final

from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.serving.intake import Intake
from roommood.inference_worker.serving.ledger import Outcome
from roommood.inference_worker.serving.reporter import Reporter
from roommood.inference_worker.vision.analysis import Analysis
from roommood.shared.clock import boot_ms
from roommood.shared.process.metrics import Sample, outcome_samples
from roommood.shared.protocol.messages import CameraReport
from roommood.shared.security.allow_list import REVOKED

# Cameras of one report, of which one goes out each second: above this they take turns, all of
# them within 5 s, since telling of a thousand costs a sixth of a core.
CAMERAS_A_REPORT: Final = 256
ROUND_REPORTS: Final = 5
# For so long it is told that a camera was evicted: readers keep a camera's last word for a day.
_TELL_EVICTED_MS: Final = 30_000.0
# Frames over which ages and stage times are told.
_RECENT: Final = 512
# Numbers of the health hash that are gauges by themselves: name, help, and what one counts.
_GAUGES: Final = {
    "up_s": ("uptime_seconds", "Since its start.", 1.0),
    "threads": ("threads", "Compute threads.", 1.0),
    "in_flight": ("frames_in_flight", "Frames credited or sent and not yet begun.", 1.0),
    "waiting": ("frames_waiting", "Frames received and not yet begun.", 1.0),
    "results_waiting": ("results_waiting", "Results not yet acknowledged.", 1.0),
    "analysis_ms": ("analysis_seconds", "Time of one analysis, mean over the latest 512.", 1e-3),
}
_AGE_HELP: Final = "Age of a frame when its analysis starts, over the latest 512."
_STAGE_HELP: Final = "Time of one stage of an analysis, mean over the latest 512."
# Told from the start, at 0: Prometheus does not see a counter rise that begins above it.
_FRAMES: Final = tuple(Outcome)
_NONE_REFUSED: Final = {outcome.reason: 0 for outcome in Outcome if outcome.is_refusal}
_RESULTS: Final = ("committed", "duplicate", "dropped-full", "dropped-too-old", "refused-too-old")
_STAGES: Final = ("decode_ms", "detect_ms", "classify_ms")
_QUANTILES: Final = {"p50": "0.5", "p95": "0.95", "max": "1"}


class WorkerStats:
    """Looks at the parts of a worker, and keeps the figures of its latest frames."""

    def __init__(self, intake: Intake, reporter: Reporter, threads: int) -> None:
        self._intake = intake
        self._reporter = reporter
        self._threads = threads
        self._started_ms = boot_ms()
        self._ages: deque[float] = deque(maxlen=_RECENT)
        self._stages: deque[tuple[float, ...]] = deque(maxlen=_RECENT)
        self._next_camera = 0

    def started(self, age_ms: float) -> None:
        """An analysis began with a frame of this age."""
        self._ages.append(age_ms)

    def analysed(self, analysis: Analysis) -> None:
        """An analysis ended, whose stages took so long."""
        self._stages.append(tuple(getattr(analysis, stage) for stage in _STAGES))

    def totals(self) -> dict[str, int]:
        """Frames by what became of them, and results as `result-` and what became of them."""
        results = dict(self._reporter.outbox.counts).items()
        return self._ended() | {f"result-{how}": n for how, n in results}

    def _ended(self) -> dict[str, int]:
        ended = dict(self._intake.ledger.ended).items()
        return {str(outcome): frames for outcome, frames in ended}

    def _refused(self) -> dict[str, int]:
        refused = dict(self._intake.ledger.refused).items()
        return _NONE_REFUSED | {outcome.reason: count for outcome, count in refused}

    def numbers(self) -> dict[str, float]:
        """Fields of the worker's health hash."""
        ledger = self._intake.ledger
        numbers: dict[str, float] = {
            "up_s": (boot_ms() - self._started_ms) / 1000.0,
            "threads": self._threads,
            "analysed": ledger.ended[Outcome.ANALYSED],
            "repeated": ledger.ended[Outcome.REPEATED] + ledger.ended[Outcome.HELD],
            "refused": sum(self._refused().values()),
            "refused_wire_version": ledger.refused[Outcome.WIRE_VERSION],
            "in_flight": ledger.in_flight,
            "waiting": ledger.waiting,
            "results_waiting": len(self._reporter.outbox),
        }
        return numbers | dict(self._age_quantiles()) | dict(self._stage_means())

    def cameras(self) -> list[CameraReport]:
        """The next reports: of all sessions heard or evicted lately, or of some in turn."""
        sessions, now_ms = self._intake.sessions.all, boot_ms()
        heard = [
            session
            for session in sessions
            if not session.silent or _is_newly_evicted(session, now_ms)
        ]
        count = max(CAMERAS_A_REPORT, -(-len(heard) // ROUND_REPORTS))
        first = self._next_camera if self._next_camera < len(heard) else 0
        self._next_camera = first + count
        return [_camera_report(session) for session in heard[first : first + count]]

    def samples(self) -> Iterator[Sample]:
        """The worker's metrics."""
        yield from self._outcomes()
        for field, value in self.numbers().items():
            yield from _gauge(field, value)
        sessions = self._intake.sessions.all
        cameras = len({session.hello.camera for session in sessions if not session.silent})
        yield Sample("roommood_worker_cameras", "Cameras heard lately.", cameras)
        connected = self._reporter.connected
        yield Sample("roommood_worker_aggregators", "Aggregators connected.", connected)

    def _outcomes(self) -> Iterator[Sample]:
        what_became = "by what became of them."
        yield from outcome_samples(
            "roommood_worker_frames_total", f"Frames {what_became}", self._ended(), _FRAMES
        )
        for reason, count in self._refused().items():
            name = "roommood_worker_refusals_total"
            yield Sample(name, "All that was refused, of any peer.", count, {"reason": reason})
        ended = dict(self._reporter.outbox.counts)
        yield from outcome_samples(
            "roommood_worker_results_total", f"Results {what_became}", ended, _RESULTS
        )

    def _age_quantiles(self) -> Iterator[tuple[str, float]]:
        ages = sorted(self._ages.copy())
        if ages:
            yield "age_at_start_p50_ms", ages[len(ages) // 2]
            yield "age_at_start_p95_ms", ages[min(len(ages) - 1, len(ages) * 95 // 100)]
            yield "age_at_start_max_ms", ages[-1]

    def _stage_means(self) -> Iterator[tuple[str, float]]:
        """The whole is told over the same frames as its parts, so that it is their sum."""
        if not (stages := self._stages.copy()):
            return
        means = [statistics.fmean(took_ms) for took_ms in zip(*stages, strict=True)]
        yield "analysis_ms", sum(means)
        yield from zip(_STAGES, means, strict=True)


def _gauge(field: str, value: float) -> Iterator[Sample]:
    """A number of the health hash in Prometheus' words; totals are told as counters instead."""
    if field in _GAUGES:
        name, help_text, unit = _GAUGES[field]
        yield Sample(f"roommood_worker_{name}", help_text, value * unit)
    elif age := re.fullmatch("age_at_start_(p50|p95|max)_ms", field):
        labels = {"quantile": _QUANTILES[age[1]]}
        yield Sample("roommood_worker_frame_age_seconds", _AGE_HELP, value / 1e3, labels)
    elif stage := re.fullmatch("(decode|detect|classify)_ms", field):
        labels = {"stage": stage[1]}
        yield Sample("roommood_worker_stage_seconds", _STAGE_HELP, value / 1e3, labels)


def _is_newly_evicted(session: CameraSession, now_ms: float) -> bool:
    return session.refused == REVOKED and now_ms - session.heard_ms < _TELL_EVICTED_MS


def _camera_report(session: CameraSession) -> CameraReport:
    hello = session.hello
    return CameraReport(
        camera=hello.camera,
        room=hello.room,
        session_id=hello.session_id,
        release=hello.release,
        silent_ms=max(0.0, boot_ms() - session.heard_ms),
        rate_hz=hello.rate_hz,
        width=hello.width,
        height=hello.height,
        health=hello.health,
        counts={
            "transit_ms": session.transit_ms,
            "evicted": float(session.silent and session.refused == REVOKED),
            **{str(outcome): count for outcome, count in session.account.ended.items()},
        },
    )
