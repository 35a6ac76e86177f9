"""Peers that were never reached: that, why, and what to do is told within seconds."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from roommood.deploy.keys.site_keys import SiteKeys
from roommood.shared.transport.monitors import WHY_NOT, ConnectionEvent
from tests.end_to_end.site import Component, Line, until
from tests.faults import controls
from tests.faults.checker import judge
from tests.faults.names import Names
from tests.faults.network import Network
from tests.faults.plant import CHEAP, ROOM, FaultSite, bad_ends
from tests.redis_server import free_port
from tests.rows import Outcome, Row, Trial

# Seconds after which it must be told, by its own clock: 5 are promised. A busy machine may need
# longer to start it.
_WITHIN_S: Final = 8.0
_PATIENCE_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Told:
    """A component that reaches nobody, the address, and what its log must say of that."""

    component: Component
    address: str
    why: str
    metrics: int = 0
    # What the log may say instead, where the peer may end the connection before it is read.
    at_first: str = ""

    @property
    def line(self) -> Line:
        """Raises AssertionError if it is not told in time, or with another reason."""
        kind = "aggregator" if "worker" in self.component.name else "worker"
        lines: list[Line] = until(
            lambda: self.component.lines(f"{kind} never reached"),
            f"{self.why!r} is told\n{self.component.tail()}",
            _PATIENCE_S,
        )
        line = lines[0]
        assert line["away_s"] <= _WITHIN_S, line
        assert line["level"] == "warning"
        assert line["peer"] == f"tcp://{self.address}"
        assert any(why in line["why"] for why in (self.why, self.at_first) if why), line
        assert f"doctor --{kind} {self.address}" in line["todo"], line
        return line

    def is_in_readyz(self) -> bool:
        """True if /readyz says it too, and that it is not ready."""
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/readyz", timeout=5)
        except urllib.error.HTTPError as not_ready:
            answer = json.loads(not_ready.read())
            return self.why in str(answer["workers"][f"tcp://{self.address}"])
        return False


Case = Callable[[FaultSite], Told]


def camera(site: FaultSite, address: str, why: str, *options: str) -> Told:
    """A camera that knows one worker."""
    port = free_port()
    own = ("--metrics-port", str(port), *(options or ("--insecure",)))
    return Told(site.camera("a", ROOM, "simulated", address, *own), address, why, port)


def nobody_listens(site: FaultSite) -> Told:
    address = site.address()
    return camera(site, address, f"refused: nothing listens at {address}")


def another_component(site: FaultSite) -> Told:
    reports = site.address()
    site.aggregator(reports)
    return camera(site, reports, "connected, but it does not answer")


def keys_on_one_side(site: FaultSite) -> Told:
    frames = site.address()
    site.worker(frames, site.address(), *CHEAP)
    _add_keys(site)
    reached = camera(site, frames, "other keys: only one side has any", "--drain-s", "5")
    return replace(reached, at_first=WHY_NOT[ConnectionEvent.BROKEN_OFF])


def other_keys(site: FaultSite) -> Told:
    frames = site.address()
    _add_keys(site)
    site.worker(frames, site.address(), *CHEAP)
    _add_keys(site, "other")
    return camera(site, frames, "other keys: it has not the key", "--drain-s", "5")


def not_admitted(site: FaultSite) -> Told:
    frames, keys = site.address(), _add_keys(site)
    keys.revoke("a")
    site.worker(frames, site.address(), *CHEAP)
    return camera(site, frames, "it does not admit this key", "--drain-s", "5")


def no_aggregator(site: FaultSite) -> Told:
    reports = site.address()
    worker = site.worker(site.address(), reports, *CHEAP)
    return Told(worker, reports, f"refused: nothing listens at {reports}")


def _add_keys(site: FaultSite, name: str = "keys") -> SiteKeys:
    keys = SiteKeys(site.folder / name)
    keys.init()
    keys.add_camera("a", ROOM)
    site.keys = keys
    return keys


# Names and networks


def named(answer_after_s: float | None, why: str) -> Callable[[Trial], Outcome]:
    def run(trial: Trial) -> Outcome:
        with Names(trial.folder, answer_after_s) as server, _site(trial) as site:
            site.wrap = server.wrap
            return _outcome(camera(site, "desk.lan:5701", why))

    return run


def far(address: str, why: str, *, dropped: bool = False) -> Callable[[Trial], Outcome]:
    """On a machine with one neighbour, to which all is `dropped`, and no default route."""

    def run(trial: Trial) -> Outcome:
        with Network("pi", "desk") as network, _site(trial) as site:
            if dropped:
                network.deafen("pi", "desk", "up")
            site.wrap = network.on("pi")
            return _outcome(replace(camera(site, address, why), metrics=0))

    return run


def second_machine(trial: Trial, *, has_vpn: bool) -> Outcome:
    """Three machines on a network without a default route; the camera knows the first worker only.
    That of the second worker may have one that leads elsewhere."""
    preludes = {} if trial.protected else controls.ADVERTISED_BY_DEFAULT_ROUTE_ONLY
    with Network("desk", "work", "pi") as network, FaultSite(trial.folder, preludes) as site:
        if has_vpn:
            network.route_elsewhere("work")
        site.wrap = network.on("desk")
        reports, frames = f"{network.address('desk')}:5700", f"{network.address('desk')}:5701"
        aggregator = site.aggregator(reports, "--insecure")
        first = site.worker(frames, reports, *CHEAP, "--insecure")
        site.wrap = network.on("work")
        second = site.worker("0.0.0.0:5701", reports, *CHEAP, "--insecure")
        site.wrap = network.on("pi")
        eye = site.camera("a", ROOM, "simulated", frames, "--insecure", "--rate-hz", "10")
        until(lambda: second.lines("analysed"), "the second worker is used", 15.0)
        codes = [component.stop() for component in (eye, first, second, aggregator)]
        return judge(site).outcome(wrong="; ".join(bad_ends(codes)))


# How it is judged


def _site(trial: Trial) -> FaultSite:
    return FaultSite(trial.folder, {} if trial.protected else controls.NOBODY_IS_MISSED)


def case(make: Case) -> Callable[[Trial], Outcome]:
    def run(trial: Trial) -> Outcome:
        with _site(trial) as site:
            return _outcome(make(site))

    return run


def _outcome(reached: Told) -> Outcome:
    line = reached.line
    if reached.metrics:
        until(reached.is_in_readyz, "/readyz says it, too")
    assert reached.component.stop() == 0
    return Outcome(detail=f"{line['why']} (after {line['away_s']} s)")


def _row(name: str, what: str, run: Callable[[Trial], Outcome]) -> Row:
    return Row(
        name=f"never-reached-{name}", what=f"never reached: {what}", run=run,
        group="Never reached", control="telling of it",
    )  # fmt: skip


CASES: Final = {
    "refused": ("nobody listens at the worker's port", nobody_listens),
    "another": ("another component's port", another_component),
    "one-side": ("only the camera has keys", keys_on_one_side),
    "other-keys": ("the worker has another site's keys", other_keys),
    "not-admitted": ("the camera's key is revoked", not_admitted),
    "aggregator": ("nobody listens at the aggregator's port", no_aggregator),
}
ROWS: Final[tuple[Row, ...]] = (
    *(_row(name, what, case(make)) for name, (what, make) in CASES.items()),
    _row("name", "the worker's name is unknown", named(0.4, "the name desk.lan is unknown")),
    _row(
        "name-server", "no name server answers",
        named(None, "no name server answers for desk.lan"),
    ),
    _row("no-route", "no route to the worker", far("192.0.2.7:5701", "no route to 192.0.2.7")),
    _row("off", "no machine at that address", far("10.77.0.99:5701", "no route to 10.77.0.99")),
    Row(
        name="never-reached-no-default-route",
        what="a second worker's machine has no default route",
        run=partial(second_machine, has_vpn=False), group="Never reached",
        control="the address by which the aggregator is reached",
    ),
    Row(
        name="never-reached-vpn",
        what="a second worker's machine has its default route in a VPN",
        run=partial(second_machine, has_vpn=True), group="Never reached",
        control="the address by which the aggregator is reached",
    ),
    _row(
        "timed-out", "a firewall drops what is sent to the worker",
        far("10.77.0.2:5701", "timed out: 10.77.0.2 is off, or a firewall", dropped=True),
    ),
)  # fmt: skip
