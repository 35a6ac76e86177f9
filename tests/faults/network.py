"""Several machines in one: network namespaces on a switch, with links that fail on command.

    with Network("desk", "work", "pi1") as network:
        site.wrap = network.on("pi1")      # what is started now runs there
        network.cut("pi1")

Wants root and `ip` and `tc` of iproute2. Nodes have the addresses 10.77.0.1, .2, ... in the order
in which they are named, and names of their own for each other in /etc/hosts.
"""

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from tests.rows import Skipped

# A locally administered address that no machine has: what is sent to it is dropped.
_NOBODY: Final = "02:00:00:00:00:fe"
# Bytes that a slow link's own queue holds: about what a home router keeps.
_QUEUE_BYTES: Final = 256 * 1024


def why_no_namespaces() -> str:
    """ "" if namespaces can be made here, else why not."""
    if os.geteuid() != 0:
        return "network namespaces want root"
    missing = [program for program in ("ip", "tc") if shutil.which(program) is None]
    if missing:
        return f"{' and '.join(missing)} of iproute2 not found"
    probe = f"rm{os.getpid()}-probe"
    made = _try("ip", "netns", "add", probe)
    _try("ip", "netns", "del", probe)
    return "" if made else "network namespaces cannot be made here"


class Network:
    """Namespaces by node name, each with one cable to the switch. Raises Skipped."""

    def __init__(self, *nodes: str) -> None:
        if why := why_no_namespaces():
            raise Skipped(why)
        self._addresses = {node: f"10.77.0.{n}" for n, node in enumerate(nodes, start=1)}
        self._switch = self._space("switch")

    def __enter__(self) -> "Network":
        try:
            self._build()
        except BaseException:
            self._end()
            raise
        return self

    def _build(self) -> None:
        self._make(self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge", "up")
        for node in self._addresses:
            self._attach(node)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _attach(self, node: str) -> None:
        space = self._space(node)
        self._make(space)
        ends = ("link", "add", "eth0", "netns", space, "type", "veth")
        _ip(*ends, "peer", "name", _port(node), "netns", self._switch)
        _ip("-n", self._switch, "link", "set", _port(node), "master", "bridge", "up")
        _ip("-n", space, "addr", "add", f"{self._addresses[node]}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        self._write_hosts(space, self._addresses)

    def _make(self, space: str) -> None:
        _ip("netns", "add", space)
        _ip("-n", space, "link", "set", "lo", "up")

    def _end(self) -> None:
        for space in (*map(self._space, self._addresses), self._switch):
            _try("ip", "netns", "del", space)
            shutil.rmtree(Path("/etc/netns") / space, ignore_errors=True)

    def _write_hosts(self, space: str, addresses: dict[str, str]) -> None:
        folder = Path("/etc/netns") / space
        folder.mkdir(parents=True, exist_ok=True)
        hosts = {"localhost": "127.0.0.1", **addresses}
        (folder / "hosts").write_text("".join(f"{ip} {name}\n" for name, ip in hosts.items()))

    def _space(self, node: str) -> str:
        return f"rm{os.getpid()}-{node}"

    # Where things are

    def on(self, node: str) -> tuple[str, ...]:
        """What a command begins with that is to run on a node."""
        return ("ip", "netns", "exec", self._space(node))

    def address(self, node: str) -> str:
        return self._addresses[node]

    # Faults

    def route_elsewhere(self, node: str) -> None:
        """Gives a node a second network, as of a VPN, which has the default route."""
        space = self._space(node)
        _ip("-n", space, "link", "add", "vpn0", "type", "veth", "peer", "name", "vpn1")
        for end in ("vpn0", "vpn1"):
            _ip("-n", space, "link", "set", end, "up")
        _ip("-n", space, "addr", "add", "10.88.0.2/24", "dev", "vpn0")
        _ip("-n", space, "route", "add", "default", "via", "10.88.0.1", "dev", "vpn0")

    def cut(self, node: str) -> None:
        """Pulls the cable at the switch."""
        _ip("-n", self._switch, "link", "set", _port(node), "down")

    def join(self, node: str) -> None:
        _ip("-n", self._switch, "link", "set", _port(node), "up")

    def deafen(self, node: str, peer: str, which: Literal["up", "down"]) -> None:
        """Drops what goes one way between two nodes: "up" is from `node` to `peer`."""
        sender, receiver = (node, peer) if which == "up" else (peer, node)
        entry = (self._addresses[receiver], "lladdr", _NOBODY, "nud", "permanent", "dev", "eth0")
        _ip("-n", self._space(sender), "neigh", "replace", *entry)

    def undeafen(self, node: str, peer: str, which: Literal["up", "down"]) -> None:
        sender, receiver = (node, peer) if which == "up" else (peer, node)
        _ip("-n", self._space(sender), "neigh", "del", self._addresses[receiver], "dev", "eth0")

    def limit(self, node: str, mbit_per_s: float) -> None:
        """Gives what a node sends a bandwidth and a queue; 0 for none."""
        _try("tc", "-n", self._space(node), "qdisc", "del", "dev", "eth0", "root")
        if mbit_per_s:
            rate = ("rate", f"{mbit_per_s}mbit", "burst", "16kb", "limit", str(_QUEUE_BYTES))
            where = ("tc", "-n", self._space(node), "qdisc", "add", "dev", "eth0", "root")
            _run(*where, "tbf", *rate)

    def renumber(self, node: str, address: str) -> None:
        """Gives a node another address, as DHCP does; the other nodes' /etc/hosts say so."""
        space, old = self._space(node), self._addresses[node]
        # In this order: with the first address of a subnet go the others.
        _ip("-n", space, "addr", "del", f"{old}/24", "dev", "eth0")
        _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        self._addresses[node] = address
        # Written in place: a running process sees the file that was mounted when it began.
        for other in self._addresses:
            self._write_hosts(self._space(other), self._addresses)


def _port(node: str) -> str:
    return f"to-{node}"


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"


def _try(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, timeout=20, check=False).returncode == 0
