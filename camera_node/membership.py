"""Which workers a camera uses: those it was told of first, the rest by rendezvous hash."""

import hashlib
from collections.abc import Iterable

from roommood.shared.errors import ConfigError
from roommood.shared.protocol.limits import (
    LEARNED_WORKER_DROP_MS,
    MAX_ADDRESSES,
    MAX_WORKERS_PER_CAMERA,
)
from roommood.shared.transport.addresses import is_loopback, is_wildcard, parse_address


class Membership:
    """The addresses a camera knows: configured for ever, learned while they are heard of.

    A missing or empty list removes nobody. No input or output; time is an argument.
    """

    def __init__(self, camera: str, configured: Iterable[str]) -> None:
        self._camera = camera
        self.configured = list(dict.fromkeys(configured))
        self._learned: dict[str, float] = {}
        self._aliases: dict[str, str] = {}
        self._unusable: set[str] = set()

    def learn(self, addresses: Iterable[str], heard_from: str, now_ms: float) -> None:
        """Takes in the list that the worker at `heard_from` passed on."""
        known = {*self.configured, *self._aliases, *self._unusable}
        for address in usable(addresses, heard_from) - known:
            if len(self._learned) < MAX_ADDRESSES:
                self._learned.setdefault(address, now_ms)

    def heard(self, address: str, now_ms: float) -> None:
        """The worker at this address has spoken."""
        if address in self._learned:
            self._learned[address] = now_ms

    def alias(self, address: str, other: str) -> bool:
        """Two addresses reach one worker; True if `address` is learned, and so is given up."""
        if address in self.configured:
            return False
        self._learned.pop(address, None)
        self._aliases[address] = other
        return True

    def reject(self, address: str) -> None:
        """No socket can be made for this learned address; it is not learned again."""
        self._learned.pop(address, None)
        if len(self._unusable) < MAX_ADDRESSES:
            self._unusable.add(address)

    def lost(self, address: str) -> None:
        """The connection to this address ended; what was its alias may be another's now."""
        self._aliases = {one: other for one, other in self._aliases.items() if other != address}

    def wanted(self, now_ms: float) -> list[str]:
        """At most `MAX_WORKERS_PER_CAMERA` addresses to use, configured ones first.

        The learned ones are ranked by a hash of camera and address (Thaler & Ravishankar
        1998), so that cameras spread evenly over workers and a change moves few of them.
        """
        self._drop_silent(now_ms)
        ranked = sorted(self._learned, key=self._rank)
        return [*self.configured, *ranked][:MAX_WORKERS_PER_CAMERA]

    def _drop_silent(self, now_ms: float) -> None:
        for address, heard_ms in list(self._learned.items()):
            if now_ms - heard_ms > LEARNED_WORKER_DROP_MS:
                del self._learned[address]

    def _rank(self, address: str) -> bytes:
        return hashlib.sha256(f"{self._camera}\0{address}".encode()).digest()


def usable(addresses: Iterable[str], heard_from: str) -> set[str]:
    """Learned addresses that mean something on this machine.

    A loopback address names another machine's inside, unless it was learned over loopback; a
    wildcard names nobody.
    """
    parsed = {_parsed(address) for address in addresses} - {""}
    named = {one for one in parsed if not is_wildcard(one)}
    return {one for one in named if is_loopback(heard_from) or not is_loopback(one)}


def _parsed(address: str) -> str:
    try:
        return parse_address(address)
    except ConfigError:
        return ""
