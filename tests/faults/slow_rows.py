"""A camera on a slow link: frames stay fresh, the rate falls by itself, and all comes back."""

import itertools
import time
from collections.abc import Callable
from typing import Final

from roommood.camera_node.adaptation import SLOW_MS
from tests.end_to_end.site import Line as LogLine
from tests.end_to_end.site import select_for, until
from tests.faults import controls
from tests.faults.checker import judge
from tests.faults.net_rows import Make
from tests.faults.plant import WATCHED, WORKER, FaultSite, at, merged, true_ages_ms
from tests.faults.wires import Line, cabled, proxied
from tests.rows import Outcome, Row, Trial

MBIT_PER_S: Final = 4.0
# Milliseconds: the bar on the 95th percentile of a frame's age when its analysis begins.
FRESH_MS: Final = 300.0
_SETTLE_S: Final = 3.0
_QUALITY: Final = 80


def slow_link(make: Make, width: int, height: int) -> Callable[[Trial], Outcome]:
    """A row: the link at full speed, on 4 Mbit/s, and at full speed again."""

    def run(trial: Trial) -> Outcome:
        off = merged(controls.NO_CREDIT, controls.OLD_FRAMES_ARE_TAKEN)
        preludes = merged(WATCHED, {} if trial.protected else off)
        slow_s = 10.0 if trial.quick or not trial.protected else 40.0
        camera = ("--rate-hz", "15", "--width", str(width), "--height", str(height))
        with FaultSite(trial.folder, preludes) as site, make(site, "camera", *camera) as line:
            until(lambda: site.of(WORKER)[0].lines("began"), "frames come")
            free = _phase(line, 6.0)
            line.wire.limit(MBIT_PER_S)
            select_for(_SETTLE_S)
            slow = _phase(line, slow_s)
            healed = line.heal()
            if trial.protected:
                until(lambda: not _reduced(line), "quality and size are back", 60.0)
            back_s = _back_s(line, healed)
            again = _back(line, free)
            codes = line.stop()
            wrong = [f"exit codes {codes}"] if any(codes) else []
            wrong += _wrong(line, free, slow, again)
            return judge(site).outcome(
                recovery_s=back_s,
                wrong="; ".join(wrong),
                detail=f"age at the worker p95 {slow.p95_ms:.0f} ms (bar {FRESH_MS:.0f}); "
                f"{slow.rate_hz:.1f} frames/s of {slow.kbytes:.0f} kB, before "
                f"{free.rate_hz:.1f} of {free.kbytes:.0f} kB, after {again.rate_hz:.1f}; "
                f"{len(_steps(line))} changes of quality or size",
            )

    return run


class _Phase:
    """What arrived within one phase."""

    def __init__(self, line: Line, since: float, until_s: float) -> None:
        began = [entry for entry in line.worker.lines("began") if since <= at(entry) < until_s]
        ages = true_ages_ms(line.site, since)
        own = sorted(
            ages[frame]
            for entry in began
            if (frame := (entry["camera"], entry["session"], entry["seq"])) in ages
        )
        sent = [entry for entry in line.camera.lines("sent") if since <= at(entry) < until_s]
        self.rate_hz = len(began) / (until_s - since)
        self.p95_ms = own[min(len(own) - 1, len(own) * 95 // 100)] if own else float("inf")
        self.kbytes = sum(entry["bytes"] for entry in sent) / max(len(sent), 1) / 1000


def _phase(line: Line, seconds: float) -> _Phase:
    since = time.time()
    select_for(seconds)
    return _Phase(line, since, time.time())


def _back(line: Line, free: _Phase) -> _Phase:
    """The first phase that is as good as before, of a few: other work may slow one of them."""
    for _ in range(4):
        again = _phase(line, 6.0)
        if not _is_slower(again, free):
            break
    return again


def _is_slower(again: _Phase, free: _Phase) -> bool:
    return again.rate_hz < 0.75 * free.rate_hz


def _steps(line: Line) -> list[LogLine]:
    return line.camera.lines("adapted to the link")


def _reduced(line: Line) -> bool:
    steps = _steps(line)
    return bool(steps) and (steps[-1]["quality"], steps[-1]["scale"]) != (_QUALITY, 1.0)


def _back_s(line: Line, healed: float) -> float:
    """Seconds until the first frame at the old rate: two in a row within 0.2 s."""

    def pairs() -> list[float]:
        times = [at(row) for row in line.worker.lines("began") if at(row) >= healed]
        near = itertools.pairwise(times)
        return [second for first, second in near if second - first < 0.2]

    return float(min(until(pairs, "the old rate is back"))) - healed


def _wrong(line: Line, free: _Phase, slow: _Phase, again: _Phase) -> list[str]:
    wrong = []
    if slow.p95_ms > FRESH_MS:
        wrong.append(f"age p95 {slow.p95_ms:.0f} ms on the slow link")
    if _is_slower(again, free):
        wrong.append(f"{again.rate_hz:.1f} frames/s after, {free.rate_hz:.1f} before")
    down = [pair for before, pair in _pairs(_steps(line)) if pair["quality"] < before]
    hasty = [step["transit_ms"] for step in down if step["transit_ms"] <= SLOW_MS]
    if hasty:
        wrong.append(f"quality fell at {hasty} ms on the wire")
    return wrong


def _pairs(steps: list[LogLine]) -> list[tuple[int, LogLine]]:
    qualities = [_QUALITY, *(int(step["quality"]) for step in steps)]
    return list(zip(qualities, steps, strict=False))


_CONTROL: Final = "credit, and the refusal of old frames"
ROWS: Final[tuple[Row, ...]] = tuple(
    Row(
        name,
        what,
        slow_link(make, width, height),
        group="Slow links",
        control=_CONTROL,
        recover_within_s=1.0,
    )
    for name, what, make, width, height in (
        ("slow-proxy", "640x480 on 4 Mbit/s (proxy)", proxied, 640, 480),
        ("slow-cable", "640x480 on 4 Mbit/s (tbf)", cabled, 640, 480),
        ("slow-cable-hd", "1280x720 on 4 Mbit/s (tbf)", cabled, 1280, 720),
    )
)
