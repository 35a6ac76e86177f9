"""Cameras that do not know what time it is: the statistics do not move.

The camera's wall clock is shifted inside its process, with real pictures and a real worker; its
boot clock, which the messages carry, by a time namespace of Linux, where one can be made.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from roommood.aggregator.redis.keys import RESOLUTIONS
from tests.end_to_end.site import acknowledged, select_for, until
from tests.faults.checker import judge
from tests.faults.plant import AGGREGATOR, CAMERA, CHEAP, ROOM, WORKER, FaultSite, merged
from tests.rows import Outcome, Row, Skipped, Trial

_DAY_S: Final = 86_400
_2038_S: Final = 2_147_483_647
_RATE_HZ: Final = 8.0

# Adds to the wall clock of a camera what its file says: `{folder}/clock-NAME`, in seconds.
_SHIFTED: Final = """
import sys, time
from pathlib import Path
_real_time = time.time
_shift = Path({folder!r}) / ("clock-" + sys.argv[sys.argv.index("--name") + 1])
time.time = lambda: max(0.0, _real_time() + float(_shift.read_text()))
time.time_ns = lambda: int(time.time() * 1e9)
"""
# Messages are stamped with the wall clock, and receivers take the difference to theirs for an age.
_STAMPED_BY_WALL_CLOCK: Final = """
import time
import roommood.shared.clock
roommood.shared.clock.boot_ms = lambda: time.time() * 1000.0
roommood.shared.clock.TransitClock.transit_ms = \\
    lambda self, sent_ms, received_ms: received_ms - sent_ms
"""
_TRUSTED_CLOCKS: Final = dict.fromkeys((CAMERA, WORKER, AGGREGATOR), _STAMPED_BY_WALL_CLOCK)
# The boot clock stays, and the difference of two machines' clocks is taken for an age.
_COMPARED_CLOCKS: Final = dict.fromkeys(
    (WORKER, AGGREGATOR),
    """
import roommood.shared.clock
roommood.shared.clock.TransitClock.transit_ms = \\
    lambda self, sent_ms, received_ms: abs(received_ms - sent_ms)
""",
)


@dataclass(frozen=True)
class Shift:
    """What is added to a camera's clock first, and from the middle of the run on; in seconds."""

    first_s: float
    then_s: float


def _to(seconds_since_1970: float) -> Shift:
    shift_s = seconds_since_1970 - time.time()
    return Shift(shift_s, shift_s)


def wall_clocks(shifts: Callable[[], dict[str, Shift]]) -> Callable[[Trial], Outcome]:
    """A row: cameras whose wall clocks are wrong, beside "right", whose clock is not."""

    def run(trial: Trial) -> Outcome:
        wrong = {**shifts(), "right": Shift(0.0, 0.0)}
        shifted = {CAMERA: _SHIFTED.format(folder=str(trial.folder))}
        preludes = merged(shifted, {} if trial.protected else _TRUSTED_CLOCKS)
        with FaultSite(trial.folder, preludes) as site:

            def set_clocks(later: bool) -> None:
                for name, shift in wrong.items():
                    text = str(shift.then_s if later else shift.first_s)
                    (trial.folder / f"clock-{name}.new").write_text(text)
                    (trial.folder / f"clock-{name}.new").rename(trial.folder / f"clock-{name}")

            set_clocks(later=False)
            return _watched_run(site, dict.fromkeys(wrong, ()), lambda: set_clocks(later=True), 6.0)

    return run


def boot_clocks(trial: Trial) -> Outcome:
    """Two cameras on machines of which one has run for 30 years, the other just started."""
    if why := _why_no_time_namespaces():
        raise Skipped(why)
    uptime_s = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    old, new = 30 * 365 * _DAY_S, -(uptime_s - 60)
    wraps = {"old": _clock_shifted(old), "new": _clock_shifted(new), "right": ()}
    with FaultSite(trial.folder, {} if trial.protected else _COMPARED_CLOCKS) as site:
        return _watched_run(site, wraps, lambda: None, 6.0)


def _clock_shifted(seconds: int) -> Sequence[str]:
    return ("unshare", "--time", "--boottime", str(seconds), "--monotonic", str(seconds))


def _why_no_time_namespaces() -> str:
    if shutil.which("unshare") is None:
        return "`unshare` of util-linux not found"
    done = subprocess.run((*_clock_shifted(60), "true"), capture_output=True, check=False)
    return "" if done.returncode == 0 else "time namespaces want root and Linux 5.6"


def _watched_run(
    site: FaultSite, wraps: dict[str, Sequence[str]], middle: Callable[[], None], seconds: float
) -> Outcome:
    """Cameras run for `seconds` before and after `middle`; every bucket is looked at."""
    began_s = time.time()
    reports, frames = site.address(), site.address()
    aggregator = site.aggregator(reports)
    worker = site.worker(frames, reports, *CHEAP)
    cameras = []
    for name, wrap in wraps.items():
        site.wrap = wrap
        cameras.append(site.camera(name, ROOM, "simulated", frames, "--rate-hz", f"{_RATE_HZ:g}"))
    site.wrap = ()
    wrong: list[str] = []
    try:
        until(lambda: len(acknowledged([worker])) > 20, "results are counted", 20.0)
        wrong += _wrong_phase(site, set(wraps), seconds)
        middle()
        wrong += _wrong_phase(site, set(wraps), seconds)
        wrong += _wrong_live(site, set(wraps))
    except AssertionError as error:
        wrong.append(str(error).splitlines()[0])
    codes = [component.stop() for component in (*cameras, worker, aggregator)]
    wrong += [f"exit codes {codes}"] if any(codes) else []
    wrong += _wrong_buckets(site, began_s)
    verdict = judge(site)
    detail = f"{verdict.counted:,} frames of {len(wraps)} cameras, each in its true 10 s"
    return verdict.outcome(wrong="; ".join(wrong), detail=detail)


def _wrong_live(site: FaultSite, names: set[str]) -> list[str]:
    """The live hash speaks of now, and of all cameras."""
    with site.redis.client() as client:
        live = client.hgetall(f"roommood:{{{ROOM}}}:live")
    off_s = abs(time.time() - float(live.get("captured_ms", 0)) / 1000)
    missing = {name for name in names if f"camera:{name}" not in live}
    wrong = [f"the live hash is {off_s:.0f} s off"] if off_s > 3 else []
    return wrong + ([f"not live: {missing}"] if missing else [])


def _wrong_buckets(site: FaultSite, began_s: float) -> list[str]:
    """Buckets of before the run, or of its future."""
    with site.redis.client() as client:
        keys = [
            key
            for resolution in RESOLUTIONS
            for key in client.scan_iter(f"roommood:*:{resolution.name}:*")
        ]
    lengths = {resolution.name: resolution.length_s for resolution in RESOLUTIONS}
    wrong = []
    for key in keys:
        _, _, span, start = key.split(":")
        if not began_s - lengths[span] <= int(start) <= time.time():
            wrong.append(f"a bucket {span} at {start}, the run began at {began_s:.0f}")
    return wrong[:3]


def _wrong_phase(site: FaultSite, names: set[str], seconds: float) -> list[str]:
    """For some seconds each camera is observed for as long as the others, within a third."""
    before = _observed_s(site, names)
    select_for(seconds)
    after = _observed_s(site, names)
    observed = {name: after[name] - before[name] for name in names}
    if min(observed.values()) < max(observed.values()) / 1.5:
        return [f"within {seconds:g} s observed for {observed} s"]
    return []


def _observed_s(site: FaultSite, names: set[str]) -> dict[str, float]:
    sums = site.buckets(ROOM)
    return {name: sums.get(f"observed_us:{name}", 0) / 1e6 for name in names}


def _row(name: str, what: str, run: Callable[[Trial], Outcome], control: str) -> Row:
    return Row(name, what, run, group="Time", control=control)


_WALL: Final = "the boot clock in messages, compared with itself only"
ROWS: Final[tuple[Row, ...]] = (
    _row(
        "clock-1970", "a camera that thinks it is 1970",
        wall_clocks(lambda: {"wrong": _to(60.0)}), _WALL,
    ),
    _row(
        "clock-2038", "a camera whose clock passes 2038-01-19 03:14:07",
        wall_clocks(lambda: {"wrong": _to(_2038_S - 5.0)}), _WALL,
    ),
    _row(
        "clock-hour-off", "a camera that is an hour slow",
        wall_clocks(lambda: {"wrong": Shift(-3600.0, -3600.0)}), _WALL,
    ),
    _row(
        "clock-steps-back", "a camera whose clock steps back by an hour",
        wall_clocks(lambda: {"wrong": Shift(0.0, -3600.0)}), _WALL,
    ),
    _row(
        "clocks-disagree", "two cameras of one room, in 1970 and in 2038",
        wall_clocks(lambda: {"early": _to(60.0), "late": _to(_2038_S - 60.0)}), _WALL,
    ),
    _row(
        "boot-clocks-disagree", "two cameras, up for 30 years and for a minute",
        boot_clocks, "the smallest difference as the offset of two clocks",
    ),
)  # fmt: skip
