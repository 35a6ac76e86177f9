"""A bad wire between two processes: the proxy's on loopback, or a cable between namespaces."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from tests.end_to_end.site import Component
from tests.faults.beacon import Beacon, beacon
from tests.faults.network import Network
from tests.faults.plant import CHEAP, ROOM, FaultSite
from tests.faults.proxy import FaultProxy

Way = Literal["up", "down"]
# Which wire is bad: the one from the camera to the worker, or from the worker to the aggregator.
Where = Literal["camera", "worker"]
_FRAMES_PORT = 5701
_REPORTS_PORT = 5702


class Wire(Protocol):
    """Faults of a wire; "up" is towards the worker, or from the worker to the aggregator."""

    def cut(self) -> None: ...
    def drop(self, way: Way) -> None: ...
    def limit(self, mbit_per_s: float) -> None: ...
    def heal(self) -> None: ...


class ProxyWire:
    """A wire through a proxy: what is held comes late, as TCP brings it."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy

    def cut(self) -> None:
        self.proxy.silent = True

    def drop(self, way: Way) -> None:
        (self.proxy.up if way == "up" else self.proxy.down).held = True

    def limit(self, mbit_per_s: float) -> None:
        self.proxy.limit(mbit_per_s * 1e6)

    def heal(self) -> None:
        self.proxy.heal()


class Cable:
    """What leads from a node to its peer; `out` is the one of the two whose cable is pulled."""

    def __init__(self, network: Network, node: str, peer: str, out: str) -> None:
        self.network, self.node, self.peer, self.out = network, node, peer, out
        self._deaf: set[Way] = set()

    def cut(self) -> None:
        self.network.cut(self.out)

    def drop(self, way: Way) -> None:
        self._deaf.add(way)
        self.network.deafen(self.node, self.peer, way)

    def limit(self, mbit_per_s: float) -> None:
        self.network.limit(self.node, mbit_per_s)

    def heal(self) -> None:
        for way in self._deaf:
            self.network.undeafen(self.node, self.peer, way)
        self._deaf.clear()
        self.network.limit(self.node, 0)
        self.network.join(self.out)


@dataclass
class Line:
    """A camera, a worker and an aggregator in a row, with one bad wire between two of them."""

    site: FaultSite
    wire: Wire
    camera: Component
    worker: Component
    aggregator: Component
    network: Network | None = None
    beacon: Beacon | None = None

    def heal(self) -> float:
        """Ends the fault; when the wire carried again, in seconds since 1970."""
        self.wire.heal()
        return self.carries_at(time.time())

    def carries_at(self, moment: float) -> float:
        return self.beacon.back_at(moment) if self.beacon else moment

    def stop(self) -> list[int]:
        return [component.stop() for component in (self.camera, self.worker, self.aggregator)]


@contextlib.contextmanager
def proxied(site: FaultSite, where: Where, *camera: str) -> Iterator[Line]:
    """The line on loopback, with a proxy in the place of the bad wire."""
    reports, frames = site.address(), site.address()
    with FaultProxy(frames if where == "camera" else reports) as proxy:
        aggregator = site.aggregator(reports)
        given = proxy.address if where == "worker" else reports
        known = proxy.address if where == "camera" else frames
        # Cameras are told of the wire's address only, lest they find a way around it.
        worker = site.worker(frames, given, *CHEAP, "--advertise", known)
        eye = site.camera("a", ROOM, "simulated", known, *(camera or ("--rate-hz", "10")))
        yield Line(site, ProxyWire(proxy), eye, worker, aggregator)


@contextlib.contextmanager
def cabled(site: FaultSite, where: Where, *camera: str) -> Iterator[Line]:
    """The line over three machines, "pi", "work" and "desk", without keys. Raises Skipped."""
    with Network("desk", "work", "pi") as network:
        site.wrap = network.on("desk")
        reports = f"{network.address('desk')}:{_REPORTS_PORT}"
        aggregator = site.aggregator(reports, "--insecure")
        worker = start_worker(site, network)
        eye = start_camera(site, network, *camera)
        node, peer = ("pi", "work") if where == "camera" else ("work", "desk")
        path, host = site.folder / "beacon", network.address(peer)
        with beacon(path, network.on(node), network.on(peer), host) as light:
            cable = Cable(network, node, peer, out="pi" if where == "camera" else "desk")
            yield Line(site, cable, eye, worker, aggregator, network, light)
        site.wrap = ()


def start_worker(site: FaultSite, network: Network) -> Component:
    site.wrap = network.on("work")
    frames = f"{network.address('work')}:{_FRAMES_PORT}"
    reports = f"{network.address('desk')}:{_REPORTS_PORT}"
    return site.worker(frames, reports, *CHEAP, "--insecure")


def start_camera(site: FaultSite, network: Network, *options: str) -> Component:
    """It knows the worker by name, as /etc/hosts has it."""
    site.wrap = network.on("pi")
    own = (*(options or ("--rate-hz", "10")), "--insecure")
    return site.camera("a", ROOM, "simulated", f"work:{_FRAMES_PORT}", *own)
