"""SIGTERM at every bad moment: deadlines hold, exit codes say what happened, nothing is lost."""

import itertools
import random
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Final

from roommood.shared.process.runtime import EXIT_DRAIN_INCOMPLETE
from tests.end_to_end.site import Component, acknowledged, select_for, until
from tests.faults.checker import judge
from tests.faults.nemesis import House
from tests.faults.plant import (
    AGGREGATOR,
    CAMERA,
    CHEAP,
    DURABLE,
    ROOM,
    WORKER,
    FaultSite,
    at,
    first_counted,
    ids,
)
from tests.rows import Outcome, Row, Trial

# Seconds beyond its drain that a process may take to close its sockets and end.
_TO_END_S: Final = 3.0
_DRAIN_S: Final = 2.0
# Before its handlers are set a process ends as the system would have it; nothing was begun.
_AT_START: Final = (0, -signal.SIGTERM)

_NO_DEADLINE: Final = """
from roommood.shared.process import runtime
runtime.Deadline.passed = property(lambda self: False)
"""
_DEAF_AT_START: Final = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal = lambda number, handler: signal.SIG_IGN
"""


def _took_s(component: Component, timeout_s: float) -> float | None:
    """Seconds until it ended, None if it had to be killed."""
    began = time.monotonic()
    try:
        component.process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        component.kill()
        return None
    return time.monotonic() - began


# During start-up


def term_at_start(trial: Trial) -> Outcome:
    """Each component in turn is asked to end at a random moment of its start."""
    chance = random.Random(trial.seed)
    preludes = (
        {} if trial.protected else dict.fromkeys((CAMERA, WORKER, AGGREGATOR), _DEAF_AT_START)
    )
    wrong, slowest = [], 0.0
    with FaultSite(trial.folder, preludes) as site:
        for number in range(trial.times):
            component = _started(site, (CAMERA, WORKER, AGGREGATOR)[number % 3])
            select_for(chance.uniform(0.0, 2.5))
            component.signal(signal.SIGTERM)
            took_s = _took_s(component, _DRAIN_S + _TO_END_S)
            code = component.process.returncode
            trial.note("ended", component=component.name, took_s=took_s, code=code)
            if took_s is None:
                wrong.append(f"{component.name} did not end")
            elif code not in _AT_START or "Traceback" in component.log.read_text():
                wrong.append(f"{component.log.name} ended with {code}: {component.tail()[-200:]}")
            slowest = max(slowest, took_s or 0.0)
    return Outcome(wrong="; ".join(wrong), detail=f"the slowest took {slowest:.1f} s to end")


def _started(site: FaultSite, module: str) -> Component:
    address = site.address()
    drain = ("--drain-s", f"{_DRAIN_S:g}")
    if module == CAMERA:
        who = ("--name", "a", "--room", ROOM, "--source", "simulated", "--worker", address)
        return site.start(CAMERA, *who, *drain)
    if module == WORKER:
        return site.start_worker(address, site.address(), *drain)
    return site.start(AGGREGATOR, "--bind", address, "--redis", site.redis.url, *drain)


# Under load


def rolling_restart(trial: Trial) -> Outcome:
    """Every worker is asked to end and is started again, one after the other, under load."""
    with FaultSite(trial.folder, {}, **DURABLE) as site:
        house = House(site)
        wrong, gaps = [], []
        for number in range(trial.times):
            first_counted(lambda: house.all_workers, time.time())
            for place in range(len(house.workers)):
                worker, began = house.workers[place], time.time()
                _end(worker, hard=not trial.protected)
                if worker.process.returncode != 0:
                    wrong.append(f"{worker.log.name} ended with {worker.process.returncode}")
                house.workers[place] = house.start_worker(place)
                ready = at(house.workers[place].wait_for("worker ready"))
                gaps.append(_longest_pause(house, began, ready))
                trial.note("restarted", round=number, worker=place, pause_s=gaps[-1])
        codes = house.stop()
        wrong += [f"exit codes {codes}"] if any(codes) else []
        lost = len(_begun(site) - acknowledged(site.of(WORKER)))
        verdict = judge(site)
        verdict.lost += lost
        return verdict.outcome(
            wrong="; ".join(wrong) if trial.protected else "",
            recovery_s=max(gaps),
            times=trial.times * len(house.workers),
            detail=f"{verdict.acknowledged:,} results; the longest pause without a frame begun "
            f"{max(gaps):.2f} s",
        )


def _end(worker: Component, *, hard: bool) -> None:
    if hard:
        worker.kill()
    else:
        worker.stop()


def _begun(site: FaultSite) -> set[tuple[str, str, int]]:
    """Frames that some worker began with, and did not refuse for what it then found."""
    workers = site.of(WORKER)
    refused = {ids(line) for worker in workers for line in worker.lines("refused")}
    return {ids(line) for worker in workers for line in worker.lines("started")} - refused


def _longest_pause(house: House, since: float, until_s: float) -> float:
    lines = (line for worker in house.all_workers for line in worker.lines("started"))
    times = sorted(moment for line in lines if since <= (moment := at(line)) <= until_s)
    edges = [since, *times, until_s]
    return max(later - earlier for earlier, later in itertools.pairwise(edges))


def term_under_load(trial: Trial) -> Outcome:
    """Camera, worker and aggregator are asked to end at once, in a random order."""
    chance, wrong, slowest = random.Random(trial.seed), [], 0.0
    lost = doubled = 0
    for number in range(trial.times):
        preludes = {} if trial.protected else dict.fromkeys((CAMERA, WORKER), _NO_DEADLINE)
        with FaultSite(trial.folder / str(number), preludes, **DURABLE) as site:
            components = _loaded(site)
            for component in chance.sample(components, len(components)):
                component.signal(signal.SIGTERM)
            for component in components:
                took_s, problem = _judged_end(component)
                slowest = max(slowest, took_s)
                wrong += [problem] if problem else []
            verdict = judge(site, tracebacks=trial.protected)
            lost, doubled = lost + verdict.lost, doubled + verdict.doubled
            wrong += verdict.notes
    detail = f"the slowest took {slowest:.1f} s, {_DRAIN_S:g} s are given to drain"
    return Outcome(lost, doubled, detail=detail, wrong="; ".join(wrong[:5]))


def term_with_redis_away(trial: Trial) -> Outcome:
    """Redis is gone; all are asked to end: the worker says that it could not settle all."""
    preludes = {} if trial.protected else dict.fromkeys((CAMERA, WORKER), _NO_DEADLINE)
    wrong, slowest = [], 0.0
    for number in range(trial.times):
        with FaultSite(trial.folder / str(number), preludes, **DURABLE) as site:
            components = _loaded(site)
            worker = components[1]
            site.redis.kill()
            known = len(worker.lines("analysed"))
            _wait_for_results(worker, known + 6)
            for component in components:
                component.signal(signal.SIGTERM)
            for component in components:
                took_s, problem = _judged_end(component)
                slowest = max(slowest, took_s)
                wrong += [problem] if problem else []
            codes = [component.process.returncode for component in components]
            if codes != [0, EXIT_DRAIN_INCOMPLETE, 0]:
                wrong.append(f"exit codes {codes} of camera, worker, aggregator")
            site.redis.start()
            verdict = judge(site)
            wrong += verdict.notes
    detail = f"the slowest took {slowest:.1f} s, {_DRAIN_S:g} s are given to drain"
    return Outcome(detail=detail, wrong="; ".join(wrong[:5]))


def _wait_for_results(worker: Component, number: int) -> None:
    until(lambda: len(worker.lines("analysed")) >= number, "results wait")


def _loaded(site: FaultSite) -> list[Component]:
    """A camera, a worker that has more to do than it can, and an aggregator."""
    drain = ("--drain-s", f"{_DRAIN_S:g}")
    reports, frames = site.address(), site.address()
    aggregator = site.aggregator(reports, *drain)
    worker = site.worker(frames, reports, *CHEAP, *drain)
    camera = site.camera("a", ROOM, "simulated", frames, "--rate-hz", "30", *drain)
    first_counted(lambda: [worker], time.time())
    return [camera, worker, aggregator]


def _judged_end(component: Component) -> tuple[float, str]:
    """How long it took to end, and what was wrong with how it did."""
    took_s = _took_s(component, _DRAIN_S + _TO_END_S)
    if took_s is None:
        return _DRAIN_S + _TO_END_S, f"{component.name} did not end in time"
    code, left = component.process.returncode, _left(component)
    if code != (EXIT_DRAIN_INCOMPLETE if left else 0):
        return took_s, f"{component.name} ended with {code}, {left} unsettled"
    return took_s, ""


def _left(component: Component) -> int:
    """What a process says it had to leave unsettled."""
    if component.name == WORKER:
        return sum(line["unacknowledged"] for line in component.lines("worker ended"))
    if component.name == CAMERA and component.process.returncode == EXIT_DRAIN_INCOMPLETE:
        return sum(line["lost_with_worker"] for line in component.lines("camera ended"))
    return 0


def _row(name: str, what: str, run: Callable[[Trial], Outcome], times: int, control: str) -> Row:
    return Row(
        name, what, run, group="Told to end", times=times, quick_times=min(times, 3),
        control=control, control_times=4 if run is rolling_restart else 1,
    )  # fmt: skip


ROWS: Final = (
    _row(
        "term-at-start", "SIGTERM during start-up", term_at_start, 30,
        "handling it from the start",
    ),
    _row(
        "term-under-load", "SIGTERM to all at once under load", term_under_load, 10,
        "the drain's deadline",
    ),
    _row(
        "term-redis-away", "SIGTERM to all with Redis away", term_with_redis_away, 5,
        "the drain's deadline",
    ),
    _row("rolling-restart", "restart of each worker in turn", rolling_restart, 10, "the drain"),
)  # fmt: skip
