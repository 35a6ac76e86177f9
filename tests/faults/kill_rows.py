"""SIGKILL at random moments, and at the worst one; SIGSTOP; all under load."""

import itertools
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.end_to_end.site import Component, select_for, until
from tests.faults import controls
from tests.faults.checker import judge
from tests.faults.nemesis import House, Nemesis
from tests.faults.plant import (
    AGGREGATOR,
    DURABLE,
    WATCHED,
    WORKER,
    FaultSite,
    at,
    bad_ends,
    first_after,
    first_counted,
    ids,
    merged,
    oldest_ms,
    true_ages_ms,
)
from tests.rows import Outcome, Row, Trial

# Milliseconds before a worker was ready; what was captured earlier was sent to its predecessor.
_BEFORE_MS: Final = 500.0
# Seconds for which a worker may idle because of a camera that holds its credit and is silent.
_IDLE_S: Final = 1.5

# What is done to the house; seconds from its end until all was well again.
Deed = Callable[[House, random.Random], float]


def _workers(house: House) -> Callable[[], Sequence[Component]]:
    return lambda: house.all_workers


def _load(house: House, chance: random.Random) -> None:
    """Lets the load run for a moment that only the seed knows."""
    since = time.time()
    first_after(_workers(house), "acknowledged", since)
    select_for(chance.uniform(0.1, 1.2))


# What is killed, and how long until what it did is done again


def kill_camera(house: House, chance: random.Random) -> float:
    """From the successor's readiness to its first frame at a worker."""
    name = chance.choice(list(house.cameras))
    house.cameras[name].kill()
    house.cameras[name] = house.start_camera(name)
    ready = house.cameras[name].wait_for("camera ready")

    def begun() -> list[float]:
        lines = (line for worker in house.all_workers for line in worker.lines("started"))
        return [at(line) for line in lines if line["session"] == ready["session"]]

    return float(min(until(begun, "a frame of the new boot is begun with"))) - at(ready)


def kill_worker(house: House, chance: random.Random) -> float:
    """From the successor's readiness to its first frame."""
    number = chance.randrange(2)
    house.workers[number].kill()
    select_for(chance.uniform(0.0, 1.0))
    successor = house.workers[number] = house.start_worker(number)
    ready = at(successor.wait_for("worker ready"))
    return first_after(lambda: [successor], "started", ready) - ready


def kill_aggregator(house: House, chance: random.Random) -> float:
    """From the kill to the next acknowledgement, by the other one."""
    number = chance.randrange(2)
    house.aggregators[number].kill()
    killed = time.time()
    again = first_counted(_workers(house), killed) - killed
    select_for(chance.uniform(0.0, 1.0))
    house.aggregators[number] = house.start_aggregator(number)
    return again


def kill_redis(house: House, chance: random.Random) -> float:
    """From its first answer to the next acknowledgement."""
    house.site.redis.kill()
    select_for(chance.uniform(0.0, 1.5))
    house.site.redis.start()
    since = time.time()
    return first_counted(_workers(house), since) - since


def under_load(trial: Trial, site: FaultSite, deed: Deed) -> tuple[House, list[float], list[str]]:
    """Does it as often as the trial says; how long until all was well again, and what
    was wrong at the end."""
    house, chance = House(site), random.Random(trial.seed)
    backs = []
    for number in range(trial.times):
        _load(house, chance)
        backs.append(deed(house, chance))
        trial.note("done", number=number, back_s=backs[-1])
    return house, backs, bad_ends(house.stop())


def killing(kill: Deed, control: dict[str, str], **unsafe_redis: str) -> Callable[[Trial], Outcome]:
    """A row that kills again and again under load; `unsafe_redis` is Redis' control."""

    def run(trial: Trial) -> Outcome:
        preludes = merged(WATCHED, {} if trial.protected else control)
        redis = DURABLE if trial.protected else {**DURABLE, **unsafe_redis}
        with FaultSite(trial.folder, preludes, **redis) as site:
            _, backs, wrong = under_load(trial, site, kill)
            wrong += oldest_ms(site)[1]
            wrong += [text for worker in site.of(WORKER) for text in _inherited(site, worker)]
            verdict = judge(site)
            median = sorted(backs)[len(backs) // 2]
            return verdict.outcome(
                recovery_s=max(backs),
                wrong="; ".join(wrong),
                detail=f"{verdict.acknowledged:,} results acknowledged, back in {median:.2f} s "
                "at the median",
            )

    return run


def _inherited(site: FaultSite, worker: Component) -> list[str]:
    """Frames that a worker began with and that were meant for its predecessor."""
    ready = [at(line) for line in worker.lines("worker ready")]
    if not ready:
        return []
    ages = true_ages_ms(site)
    lines = [line for line in worker.lines("began") if ids(line) in ages]
    early = [
        line for line in lines if at(line) - ages[ids(line)] / 1000 < ready[0] - _BEFORE_MS / 1000
    ]
    return [f"{len(early)} frames from before {worker.log.name} was ready"] if early else []


# At the worst moment

# Once the file is there, the aggregator ends as by SIGKILL after Redis has said that a result is
# committed and before its worker is told.
_DIES_BEFORE_ACKNOWLEDGING: Final = """
import os, signal
from pathlib import Path
from roommood.aggregator import aggregator as module
from roommood.aggregator.counting.outcomes import Outcome
_real_commit = module.Store.commit
def _deadly(self, batch, now_ms):
    report = _real_commit(self, batch, now_ms)
    order = Path({order!r})
    if Outcome.COMMITTED in report.outcomes and order.exists():
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return report
module.Store.commit = _deadly
"""


def kill_between_commit_and_acknowledgement(trial: Trial) -> Outcome:
    order = trial.folder / "die"
    deadly = {AGGREGATOR: _DIES_BEFORE_ACKNOWLEDGING.format(order=str(order))}
    preludes = merged({} if trial.protected else controls.NO_SEEN_BITS, deadly)

    def kill(house: House, _chance: random.Random) -> float:
        order.touch()
        until(lambda: not order.exists(), "an aggregator dies between the two")
        died = time.time()
        dead = _the_dead(house)
        back_s = first_counted(_workers(house), died) - died
        house.aggregators[dead] = house.start_aggregator(dead)
        return back_s

    with FaultSite(trial.folder, preludes, **DURABLE) as site:
        house, backs, wrong = under_load(trial, site, kill)
        duplicates = _outcomes(house, "duplicate")
        if trial.protected and not duplicates:
            wrong = ["nothing was found to be a duplicate: the moment was missed"]
        return judge(site).outcome(
            recovery_s=max(backs),
            wrong="; ".join(wrong),
            detail=f"{duplicates} results came twice",
        )


def _the_dead(house: House) -> int:
    def dead() -> list[int]:
        return [
            n
            for n, aggregator in enumerate(house.aggregators)
            if aggregator.process.poll() is not None
        ]

    return int(until(lambda: [n + 1 for n in dead()], "one has ended")[0]) - 1


def _outcomes(house: House, outcome: str) -> int:
    return sum(
        line["outcome"] == outcome
        for worker in house.all_workers
        for line in worker.lines("acknowledged")
    )


# Everything at once


def nemesis(trial: Trial) -> Outcome:
    """For 90 s (10 in quick runs) whatever the seed says is killed, frozen and restarted."""
    preludes = {} if trial.protected else controls.NO_SEEN_BITS
    with FaultSite(trial.folder, preludes, **DURABLE) as site:
        house = House(site)
        rage = Nemesis(house, trial.seed)
        rage.rage(10.0 if trial.quick else 90.0)
        trial.note("raged", done=rage.done)
        wrong = bad_ends(house.stop())
        verdict = judge(site)
        return verdict.outcome(
            wrong="; ".join(wrong),
            times=len(rage.done),
            detail=f"{len(rage.done)} kills and freezes, {verdict.acknowledged:,} results",
        )


# Frozen


@dataclass(frozen=True)
class Frozen:
    """What is stopped, and the protection that its control switches off."""

    name: str
    what: str
    signal: Callable[[House, signal.Signals], None]
    protection: str
    control: dict[str, str]


def freezing(frozen: Frozen) -> Callable[[Trial], Outcome]:
    """A row that stops a process for 30 s (4 s in quick runs) and lets it go on."""

    def run(trial: Trial) -> Outcome:
        preludes = merged(WATCHED, {} if trial.protected else frozen.control)
        seconds = 30.0 if trial.protected and not trial.quick else 4.0
        idle: list[float] = []

        def freeze(house: House, _chance: random.Random) -> float:
            stopped = time.time()
            frozen.signal(house, signal.SIGSTOP)
            select_for(seconds)
            thawed = time.time()
            frozen.signal(house, signal.SIGCONT)
            if frozen.name == "camera":
                idle.extend(_longest_idle(worker, stopped, thawed) for worker in house.workers)
            return _all_at_work(house, thawed) - thawed

        with FaultSite(trial.folder, preludes, **DURABLE) as site:
            _, backs, wrong = under_load(trial, site, freeze)
            oldest, too_old = oldest_ms(site)
            wrong += too_old
            if max(idle, default=0.0) > _IDLE_S:
                wrong.append(f"a worker idled for {max(idle):.1f} s, other cameras being there")
            return judge(site).outcome(
                recovery_s=max(backs),
                wrong="; ".join(wrong),
                detail=f"stopped for {seconds:g} s; oldest frame begun with {oldest:.0f} ms",
            )

    return run


def _longest_idle(worker: Component, since: float, until_s: float) -> float:
    """Seconds within which a worker began with no frame."""
    lines = worker.lines("started")
    times = [since, *(m for line in lines if since <= (m := at(line)) <= until_s), until_s]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def _all_at_work(house: House, since: float) -> float:
    """When every camera had a frame begun with, every worker a result acknowledged."""
    times = [first_after(lambda w=w: [w], "acknowledged", since) for w in house.workers]  # type: ignore[misc]
    for name in house.cameras:

        def begun(name: str = name) -> list[float]:
            lines = (line for worker in house.workers for line in worker.lines("started"))
            return [at(line) for line in lines if line["camera"] == name and at(line) >= since]

        times.append(min(until(begun, f"{name} is served again", 60.0)))
    return max(times)


_FROZEN: Final = (
    Frozen(
        "camera", "a camera", lambda house, number: house.cameras["a"].signal(number),
        "overcommit, and credit that goes void", controls.NO_OVERCOMMIT,
    ),
    Frozen(
        "worker", "a worker", lambda house, number: house.workers[0].signal(number),
        "refusal of old frames", controls.OLD_FRAMES_ARE_TAKEN,
    ),
    Frozen(
        "aggregator", "an aggregator",
        lambda house, number: house.aggregators[0].signal(number),
        "the seen bits", controls.NO_SEEN_BITS,
    ),
    Frozen(
        "redis", "Redis",
        lambda house, number: (
            house.site.redis.freeze() if number is signal.SIGSTOP else house.site.redis.thaw()
        ),
        "the seen bits", controls.NO_SEEN_BITS,
    ),
)  # fmt: skip
_KILLS: Final = (
    Row(
        "kill-camera", "SIGKILL of a camera", killing(kill_camera, controls.SAME_BOOT_ID),
        control="a session id of its own for each start", recover_within_s=1.0,
    ),
    Row(
        "kill-worker", "SIGKILL of a worker", killing(kill_worker, controls.QUEUES_FOR_THE_DEAD),
        control="IMMEDIATE, void credit, Hello first", recover_within_s=1.0,
    ),
    Row(
        "kill-aggregator", "SIGKILL of an aggregator",
        killing(kill_aggregator, controls.ACKNOWLEDGED_BEFORE_COMMIT),
        control="acknowledgement after the commit", recover_within_s=1.0,
    ),
    Row(
        "kill-redis", "SIGKILL of Redis (appendfsync always)",
        killing(kill_redis, {}, appendonly="no"), control="the append-only file",
        recover_within_s=1.0,
    ),
    Row(
        "kill-between-commit-and-ack", "SIGKILL of an aggregator between commit and Ack",
        kill_between_commit_and_acknowledgement, control="the seen bits", recover_within_s=1.0,
    ),
)  # fmt: skip
_STOPS: Final = tuple(
    Row(
        f"freeze-{case.name}", f"SIGSTOP of {case.what} for 30 s, then SIGCONT", freezing(case),
        control=case.protection,
    )
    for case in _FROZEN
)  # fmt: skip
_GROUP: Final = "Killed and frozen"
_NEMESIS: Final = Row(
    "nemesis",
    "whatever a seed says, killed and frozen, for 90 s",
    nemesis,
    control="the seen bits",
)


def _killed(row: Row) -> Row:
    return replace(row, group=_GROUP, times=20, quick_times=3, control_times=6, control_tries=3)


def _stopped(row: Row) -> Row:
    return replace(row, group=_GROUP, control_times=3, control_tries=3)


ROWS: Final = (*map(_killed, _KILLS), *map(_stopped, _STOPS), _stopped(_NEMESIS))
