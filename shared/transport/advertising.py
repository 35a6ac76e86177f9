"""The address by which others are to reach a bound socket, found out where no setting says it."""

import logging
import socket
from collections.abc import Iterable
from itertools import islice
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.process.logs import event
from roommood.shared.protocol.limits import UNREACHED_MS
from roommood.shared.transport.addresses import (
    has_zone,
    host_of,
    is_loopback,
    is_wildcard,
    number_of,
    parse_address,
)

_LOOK_EVERY_MS: Final = 2_000.0
_MOST_LOOKED_AT: Final = 64
_log = logging.getLogger(__name__)


class Advertisement:
    """What others are told; "" while nothing is known: then only who was told uses this socket.

    What the settings say wins. A socket bound to all interfaces is where somebody has reached this
    machine, at the interface with the default route if that is one of the ways, else where this
    machine has reached somebody: a VPN takes the default route, and nobody comes that way. Before
    anybody came it is at the default route, else at loopback if anybody came that way. It is
    looked at again: networks come after the start, and change.
    """

    def __init__(self, bound: str, advertised: str | None) -> None:
        """Raises ConfigError where `advertised` is no address of a machine."""
        self.address = _address_for(bound, advertised)
        self._is_found_out = not self.address and not has_zone(bound)
        self._bound = bound
        self._looked_ms = float("-inf")
        self._warn_at_ms: float | None = None
        if self._is_found_out:
            self.address = self._at(_default_interface(bound))

    def look(
        self, now_ms: float, reached_at: Iterable[str], dialled_from: Iterable[str] = ()
    ) -> None:
        """To be called each turn. Own addresses: `reached_at` of connections that others made,
        `dialled_from` of those to others."""
        if not self._is_found_out or now_ms - self._looked_ms < _LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        ways = [_usable(each, self._bound) for each in (reached_at, dialled_from)]
        host = _best(_default_interface(self._bound), *ways)
        if host and self._at(host) != self.address:
            self.address = self._at(host)
            event(_log, logging.INFO, "advertised", address=self.address)
        elif not self.address:
            self._warn(now_ms)

    def _warn(self, now_ms: float) -> None:
        """Once, when it has had the time to be found."""
        if self._warn_at_ms is None:
            self._warn_at_ms = now_ms + UNREACHED_MS
        if now_ms >= self._warn_at_ms:
            self._warn_at_ms = float("inf")
            port = self._bound.rpartition(":")[2]
            why = "no default route, and nobody has come over a network yet"
            todo = f"--advertise HOST:{port}, else only cameras with --worker HOST:{port} come here"
            event(_log, logging.WARNING, "address not advertised", why=why, todo=todo)

    def _at(self, host: str) -> str:
        shown = f"[{host}]" if ":" in host else host
        return f"tcp://{shown}:{self._bound.rpartition(':')[2]}" if host else ""


def _address_for(bound: str, advertised: str | None) -> str:
    if advertised:
        address = parse_address(advertised)
        if is_wildcard(address):
            raise ConfigError(f"{address} names no machine: advertise a host that others can reach")
        if has_zone(address):
            raise ConfigError(
                f"{address} names an interface, which others name otherwise: advertise a name, or "
                "an address that is not link-local"
            )
        return address
    return "" if is_wildcard(bound) or has_zone(bound) else bound


def _usable(hosts: Iterable[str], bound: str) -> list[str]:
    """Those of a version of IP that is listened at, without zones."""
    usable = []
    for host in islice(hosts, _MOST_LOOKED_AT):
        number = number_of(f"tcp://{f'[{host}]' if ':' in host else host}:1")
        if number is None or number.is_link_local:
            continue
        if number.version == 4 or host_of(bound) in ("*", "::"):
            usable.append(str(number))
    return usable


def _best(default: str, reached_at: list[str], dialled_from: list[str]) -> str:
    """What other machines can use; loopback is better than nothing."""
    for ways in (reached_at, dialled_from):
        far = [host for host in ways if not is_loopback(f"tcp://[{host}]:1")]
        if default in far or (far and not default):
            return default or far[0]
        # One of another version of IP says nothing of this one.
        far = [host for host in far if (":" in host) == (":" in default)]
        if far:
            return far[0]
    return default or next(iter([*reached_at, *dialled_from]), "")


def _default_interface(bound: str) -> str:
    """Of IPv4, else of IPv6 where that is listened at."""
    v4, v6 = _at_default_route(socket.AF_INET, "192.0.2.1"), ""
    if not v4 and host_of(bound) in ("*", "::"):
        v6 = _at_default_route(socket.AF_INET6, "2001:db8::1")
    return v4 or v6


def _at_default_route(family: socket.AddressFamily, anybody: str) -> str:
    # Connecting a datagram socket sends nothing; it asks the kernel which interface it would use.
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((anybody, 9))
            host = str(probe.getsockname()[0])
    except OSError:
        return ""
    return "" if host.startswith("fe80:") else host
