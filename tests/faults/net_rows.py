"""Links that end, fall silent one way, flap, crawl or move; on loopback and between namespaces."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, cast

from roommood.shared.clock import boot_ms
from tests.end_to_end.site import Component, select_for, until
from tests.faults import controls
from tests.faults.checker import judge
from tests.faults.network import Network
from tests.faults.plant import (
    WATCHED,
    WORKER,
    FaultSite,
    at,
    bad_ends,
    first_counted,
    ids,
    merged,
    oldest_ms,
)
from tests.faults.proxy import FaultProxy
from tests.faults.wires import (
    Line,
    ProxyWire,
    Way,
    Where,
    cabled,
    proxied,
    start_camera,
    start_worker,
)
from tests.rows import Outcome, Row, Trial

Make = Callable[..., AbstractContextManager[Line]]
# What is done to a line for so many seconds; it ends the fault, and tells when that was.
Fault = Callable[[Line, float], float]


def for_a_while(hurt: Callable[[Line], object]) -> Fault:
    """What stays as it is until the line is healed."""

    def fault(line: Line, seconds: float) -> float:
        hurt(line)
        select_for(seconds)
        return line.heal()

    return fault


def one_way(way: Way) -> Fault:
    return for_a_while(lambda line: line.wire.drop(way))


cut: Final = for_a_while(lambda line: line.wire.cut())
crawl: Final = for_a_while(lambda line: line.wire.limit(1.0))


def flap(line: Line, seconds: float) -> float:
    """Down for a second, up for a second."""
    healed = 0.0
    for _ in range(max(1, round(seconds / 2))):
        line.wire.cut()
        select_for(1.0)
        line.wire.heal()
        healed = time.time()
        select_for(1.0)
    return line.carries_at(healed)


def _proxy(line: Line) -> FaultProxy:
    return cast(ProxyWire, line.wire).proxy


def resets(line: Line, seconds: float) -> float:
    """Every connection is reset twice a second."""
    healed = 0.0
    for _ in range(max(1, round(seconds * 2))):
        _proxy(line).reset()
        healed = time.time()
        select_for(0.5)
    return healed


@for_a_while
def refused(line: Line) -> None:
    """Whoever connects is reset: nobody listens there."""
    _proxy(line).refuse = True
    _proxy(line).reset()


@for_a_while
def far_end_forgets(line: Line) -> None:
    """The far machine loses its power: no word of it, and silence until it is back."""
    _proxy(line).silent = True
    _proxy(line).forget()


def slow_close(line: Line, seconds: float) -> float:
    """Ends of connections are told late, and the connections are reset."""
    _proxy(line).close_after_s = 5.0
    return resets(line, seconds)


def pi_power_cut(line: Line, seconds: float) -> float:
    """The camera's machine goes without a word, and is back with a new process."""
    line.camera = start_camera(line.site, _without_power(line, "pi", line.camera, seconds))
    return at(line.camera.wait_for("camera ready"))


def worker_power_cut(line: Line, seconds: float) -> float:
    line.worker = start_worker(line.site, _without_power(line, "work", line.worker, seconds))
    return line.carries_at(at(line.worker.wait_for("worker ready")))


def _without_power(line: Line, node: str, running: Component, seconds: float) -> Network:
    assert line.network is not None
    line.network.cut(node)
    running.kill()
    select_for(seconds)
    line.network.join(node)
    return line.network


def pi_renumbered(line: Line, seconds: float) -> float:
    """The Pi gets another address, and keeps it."""
    assert line.network is not None
    line.network.renumber("pi", "10.77.0.77")
    return time.time()


def worker_renumbered(line: Line, seconds: float) -> float:
    """The worker's machine is started at another address, and its name leads there."""
    assert line.network is not None
    line.worker.stop()
    line.network.renumber("work", "10.77.0.78")
    line.worker = start_worker(line.site, line.network)
    return at(line.worker.wait_for("worker ready"))


# How it is judged


def back_after(line: Line, where: Where, moment: float) -> float:
    """Seconds from `moment` until what was captured or analysed after it had arrived."""
    if where == "worker":
        return first_counted(lambda: line.site.of(WORKER), moment) - moment
    moment_ms = boot_ms() - (time.time() - moment) * 1000

    def fresh() -> list[float]:
        captured = {ids(row): row["captured_ms"] for row in line.camera.lines("sent")}
        begun = (row for worker in line.site.of(WORKER) for row in worker.lines("began"))
        return [
            at(line_begun)
            for line_begun in begun
            if captured.get(ids(line_begun), 0.0) >= moment_ms
        ]

    back = min(until(fresh, "a frame captured after it healed is begun with", 90.0))
    return float(back) - moment


def bad_wire(
    make: Make, where: Where, fault: Fault, seconds: float, control: dict[str, str]
) -> Callable[[Trial], Outcome]:
    """A row: the fault for `seconds` (5 in quick runs, at most 8 in controls), then as before."""

    def run(trial: Trial) -> Outcome:
        preludes = merged(WATCHED, {} if trial.protected else control)
        most_s = 8.0 if not trial.protected else 5.0 if trial.quick else seconds
        lasts = min(seconds, most_s)
        backs = []
        with FaultSite(trial.folder, preludes) as site, make(site, where) as line:
            for _ in range(trial.times):
                first_counted(lambda: site.of(WORKER), time.time())
                began = time.time()
                moment = fault(line, lasts)
                backs.append(back_after(line, where, moment))
                trial.note("healed", back_s=backs[-1], fault_s=moment - began)
            codes = line.stop()
            return _judged(site, codes, backs)

    return run


def _judged(site: FaultSite, codes: list[int], backs: list[float]) -> Outcome:
    oldest, too_old = oldest_ms(site)
    return judge(site).outcome(
        recovery_s=max(backs),
        wrong="; ".join(bad_ends(codes) + too_old),
        detail=f"oldest frame begun with {oldest:.0f} ms",
    )


# The rows


def _row(
    make: Make,
    where: Where,
    name: str,
    what: str,
    fault: Fault,
    seconds: float,
    control: tuple[str, dict[str, str]] = ("", {}),
) -> Row:
    return Row(
        name=name,
        what=what,
        run=bad_wire(make, where, fault, seconds, control[1]),
        group="Network",
        control=control[0],
        recover_within_s=1.0,
    )


# On loopback, and between namespaces.
_camera_proxied: Final = partial(_row, proxied, "camera")
_report_proxied: Final = partial(_row, proxied, "worker")
_camera_cabled: Final = partial(_row, cabled, "camera")
_report_cabled: Final = partial(_row, cabled, "worker")
_HEARTBEATS: Final = ("heartbeats", controls.NO_HEARTBEATS)
_CREDIT: Final = ("credit", merged(controls.NO_CREDIT, controls.OLD_FRAMES_ARE_TAKEN))
ROWS: Final[tuple[Row, ...]] = (
    _camera_proxied("proxy-silent", "camera–worker: no byte passes for 20 s", cut, 20.0),
    _camera_proxied(
        "proxy-forgotten", "camera–worker: half-open, the worker's side forgets the connection",
        far_end_forgets, 20.0, _HEARTBEATS,
    ),
    _camera_proxied("proxy-refused", "camera–worker: nobody listens for 20 s", refused, 20.0),
    _camera_proxied("proxy-resets", "camera–worker: a reset each 0.5 s", resets, 20.0),
    _camera_proxied(
        "proxy-slow-close", "camera–worker: resets, and ends told 5 s late", slow_close, 10.0
    ),
    _report_proxied(
        "proxy-report-silent", "worker–aggregator: no byte passes for 20 s", cut, 20.0
    ),
    _report_proxied(
        "proxy-report-forgotten", "worker–aggregator: half-open, the aggregator's side forgets",
        far_end_forgets, 20.0, _HEARTBEATS,
    ),
    _report_proxied("proxy-report-resets", "worker–aggregator: a reset each 0.5 s", resets, 20.0),
    # Where the cable is seen to be out, the camera's kernel tries twice a second by itself:
    # without heartbeats it would be back as soon, but frames of before would come with it.
    _camera_cabled("cable-camera", "camera's cable out for 60 s", cut, 60.0, _CREDIT),
    _report_cabled("cable-aggregator", "aggregator's cable out for 60 s", cut, 60.0, _HEARTBEATS),
    _camera_cabled(
        "one-way-up", "camera to worker: dropped for 60 s, the other way passes",
        one_way("up"), 60.0, _HEARTBEATS,
    ),
    _camera_cabled(
        "one-way-down", "worker to camera: dropped for 60 s, the other way passes",
        one_way("down"), 60.0, _HEARTBEATS,
    ),
    _report_cabled(
        "one-way-report-up", "worker to aggregator: dropped for 60 s, the other way passes",
        one_way("up"), 60.0, _HEARTBEATS,
    ),
    _report_cabled(
        "one-way-report-down", "aggregator to worker: dropped for 60 s, the other way passes",
        one_way("down"), 60.0, _HEARTBEATS,
    ),
    _camera_cabled("flap-camera", "camera's cable out and in each second", flap, 30.0),
    _report_cabled("flap-aggregator", "aggregator's cable out and in each second", flap, 30.0),
    _camera_cabled("crawl", "camera on 1 Mbit/s for 30 s", crawl, 30.0, _CREDIT),
    _camera_cabled(
        "pi-power-cut", "the camera's machine loses its power, and is back", pi_power_cut, 20.0
    ),
    _camera_cabled(
        "worker-power-cut", "the worker's machine loses its power, and is back",
        worker_power_cut, 20.0,
    ),
    _camera_cabled(
        "pi-renumbered", "the camera's machine gets another address",
        pi_renumbered, 0.0, ("a look at one's own addresses", controls.ADDRESSES_ARE_NOT_LOOKED_AT),
    ),
    _camera_cabled(
        "worker-renumbered", "the worker's machine gets another address under its name",
        worker_renumbered, 0.0,
    ),
)  # fmt: skip
