"""Names that no server answers, answers late, or that lead elsewhere from now on."""

import time
from collections.abc import Callable
from typing import Final

from tests.end_to_end.site import Component, select_for, until
from tests.faults import controls
from tests.faults.checker import judge
from tests.faults.names import Names
from tests.faults.plant import (
    AGGREGATOR,
    CAMERA,
    CHEAP,
    ROOM,
    WATCHED,
    WORKER,
    FaultSite,
    at,
    bad_ends,
    first_counted,
    merged,
)
from tests.ports import free_port
from tests.rows import Outcome, Row, Trial

_RATE: Final = ("--rate-hz", "5")
_OTHER_ROOM: Final = "study"
# Seconds: 2 are promised, its start comes on top. The system's resolver takes 10, or more.
_AGGREGATOR_TELLS_S: Final = 6.0
# Of what a camera delivers whose names all lead somewhere.
_ENOUGH: Final = 0.95


def dead_names(names: int, answer_after_s: float | None, where: str) -> Callable[[Trial], Outcome]:
    """Two cameras for `seconds`; the one, or the worker of the one, knows dead names as well."""

    def run(trial: Trial) -> Outcome:
        seconds = 10.0 if trial.quick or not trial.protected else 30.0
        preludes = {} if trial.protected else controls.NAMES_ARE_GIVEN_TO_LIBZMQ
        with (
            Names(trial.folder, answer_after_s) as server,
            FaultSite(trial.folder, preludes) as site,
        ):
            site.wrap = server.wrap
            dead = [f"desk{n}.lan:5701" for n in range(names)]
            good, bad = _pair(site, dead, where)
            until(lambda: site.frames(ROOM, "a"), "the camera without dead names is counted")
            before = _counted(site)
            select_for(seconds)
            after = _counted(site)
            codes = [
                component.stop()
                for component in (good, bad, *site.of(WORKER), *site.of(AGGREGATOR))
            ]
            return _judged(site, codes, after[0] - before[0], after[1] - before[1])

    return run


def _pair(site: FaultSite, dead: list[str], where: str) -> tuple[Component, Component]:
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    site.worker(frames, reports, *CHEAP)
    good = site.camera("a", ROOM, "simulated", frames, *_RATE)
    known = " ".join([frames, *dead])
    if where == "aggregator":
        known = site.address()
        site.worker(known, " ".join([reports, *dead]), *CHEAP, "--insecure")
    return good, site.camera("b", _OTHER_ROOM, "simulated", known, *_RATE, "--insecure")


def _counted(site: FaultSite) -> tuple[int, int]:
    return site.frames(ROOM, "a"), site.frames(_OTHER_ROOM, "b")


def _judged(site: FaultSite, codes: list[int], good: int, bad: int) -> Outcome:
    few = [f"{bad} frames, {good} without dead names"] if bad < _ENOUGH * good else []
    detail = f"{bad} frames counted, {good} without dead names"
    return judge(site).outcome(wrong="; ".join(bad_ends(codes) + few), detail=detail)


def moved(trial: Trial) -> Outcome:
    """The worker is started at another address, and its name leads there."""
    control = {} if trial.protected else controls.NAMES_ARE_LOOKED_UP_ONCE
    with Names(trial.folder) as server, FaultSite(trial.folder, merged(WATCHED, control)) as site:
        server.write_hosts({"desk": "127.0.0.1"})
        site.wrap = server.wrap
        reports, port = site.address(), site.address().rpartition(":")[2]
        site.aggregator(reports)
        worker = site.worker(f"127.0.0.1:{port}", reports, *CHEAP)
        site.camera("a", ROOM, "simulated", f"desk:{port}", *_RATE, "--insecure")
        backs = []
        for turn in range(trial.times):
            first_counted(lambda: site.of(WORKER), time.time(), 15.0)
            worker.stop()
            address = f"127.0.0.{2 + turn % 2}"
            worker = site.worker(f"{address}:{port}", reports, *CHEAP)
            server.write_hosts({"desk": address})
            moment = max(at(worker.wait_for("worker ready")), time.time())
            backs.append(first_counted(lambda: site.of(WORKER), moment, 15.0) - moment)
        codes = [component.stop() for component in (*site.of(CAMERA), worker, *site.of(AGGREGATOR))]
        return judge(site).outcome(recovery_s=max(backs), wrong="; ".join(bad_ends(codes)))


def redis_by_name(trial: Trial) -> Outcome:
    """Redis' name leads nowhere until it stands in the file of hosts; an aggregator that waits for
    it says why, and ends when it is told to."""
    port = free_port()
    control = {} if trial.protected else controls.REDIS_NAMES_ARE_WAITED_FOR
    with Names(trial.folder) as server, FaultSite(trial.folder, control, port=str(port)) as site:
        site.wrap = server.wrap
        where = ("--redis", f"redis://desk.lan:{port}/0")
        reports, frames = site.address(), site.address()
        began = time.time()
        aggregator = site.start_aggregator(reports, *where)
        told_after_s = at(aggregator.wait_for("redis lost")) - began
        began = time.time()
        codes = [aggregator.stop()]
        ended = time.time() - began
        site.start_aggregator(reports, *where).wait_for("redis lost")
        site.worker(frames, reports, *CHEAP)
        site.camera("a", ROOM, "simulated", frames, *_RATE)
        healed = time.time()
        server.write_hosts({"desk.lan": "127.0.0.1"})
        back_s = first_counted(lambda: site.of(WORKER), healed) - healed
        flow = (*site.of(CAMERA), *site.of(WORKER), *site.of(AGGREGATOR))
        wrong = bad_ends([*codes, *(component.stop() for component in flow)])
        if max(told_after_s, ended) > _AGGREGATOR_TELLS_S:
            wrong.append(f"told after {told_after_s:.1f} s, ended after {ended:.1f} s")
        detail = f"told after {told_after_s:.1f} s, ended {ended:.1f} s after SIGTERM"
        return judge(site).outcome(recovery_s=back_s, wrong="; ".join(wrong), detail=detail)


def _dead(name: str, what: str, *fault: object) -> Row:
    return Row(
        name=name,
        what=what,
        run=dead_names(*fault),  # type: ignore[arg-type]
        group="Names",
        control="names looked up beside libzmq",
    )


ROWS: Final[tuple[Row, ...]] = (
    _dead("dns-silent", "a camera's second worker: no name server answers", 1, None, "worker"),
    _dead("dns-silent-many", "seven of a camera's eight workers: the same", 7, None, "worker"),
    _dead("dns-late", "a camera's second worker: unknown, said after 0.5 s", 1, 0.5, "worker"),
    _dead(
        "dns-silent-aggregator", "a worker's second aggregator: no name server answers",
        1, None, "aggregator",
    ),
    Row(
        name="dns-moved",
        what="a worker's name leads to another address",
        run=moved,
        group="Names",
        times=3,
        control="looking names up again",
        recover_within_s=1.0,
    ),
    Row(
        name="dns-redis",
        what="Redis by a name that no name server answers, until its file of hosts does",
        run=redis_by_name,
        group="Names",
        control="names looked up beside Redis' client",
        recover_within_s=30.0,
    ),
)  # fmt: skip
