"""Which workers a camera uses: those it was told of first, the rest by rendezvous hash."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.protocol.limits import (
    LEARNED_WORKER_DROP_MS,
    MAX_ADDRESSES,
    MAX_WORKERS_PER_CAMERA,
)
from roommood.shared.transport.addresses import has_zone, is_loopback, is_wildcard, parse_address

# How long an address that has proved nothing is tried while others wait.
_TRY_MS: Final = 5_000.0
_MOST_TRIES_KEPT: Final = 4_096


class Membership:
    """The addresses a camera knows: configured for ever, learned while they are heard of.

    Configured ones are seeds: where as many others as a camera uses have proved the key, and those
    in use have taken frames, a seed is one address among them, or all cameras that name one worker
    would be its connections. They are back as soon as several of the others are gone.

    Where a handshake succeeded, the other side has the key: such an address goes before all that
    are only named, and is remembered when it falls silent. The others are tried in turn, so that
    no number of invented ones hides a worker. A missing or empty list removes nobody. No input or
    output; time is an argument.
    """

    def __init__(self, camera: str, configured: Iterable[str]) -> None:
        self._camera = camera
        self.configured = list(dict.fromkeys(configured))
        self._learned: dict[str, float] = {}
        self._proven: set[str] = set()  # of those that are learned
        self._serving: set[str] = set()  # of the proven ones
        self._remembered: dict[str, None] = {}
        self._tries: Counter[str] = Counter()
        self._used_since: dict[str, float] = {}
        self._aliases: dict[str, str] = {}
        self._unusable: set[str] = set()

    def learn(self, addresses: Iterable[str], heard_from: str, now_ms: float) -> None:
        """Takes in the list that the worker at `heard_from` passed on."""
        known = {*self.configured, *self._aliases, *self._unusable}
        for address in usable(addresses, heard_from) - known:
            if len(self._learned) >= MAX_ADDRESSES and address in self._remembered:
                self._make_room()
            if len(self._learned) < MAX_ADDRESSES:
                self._learned.setdefault(address, now_ms)

    def proved(self, address: str) -> None:
        """A handshake with this address succeeded."""
        if address not in self._learned:
            return
        self._proven.add(address)
        self._tries.pop(address, None)
        self._remembered.pop(address, None)
        self._remembered[address] = None
        if len(self._remembered) > MAX_ADDRESSES:
            del self._remembered[next(iter(self._remembered))]

    def took_frames(self, address: str) -> None:
        """The worker at this address has begun with frames on the connection that stands."""
        if address in self._proven:
            self._serving.add(address)

    def heard(self, address: str, now_ms: float) -> None:
        """The worker at this address has spoken."""
        if address in self._learned:
            self._learned[address] = now_ms

    def alias(self, address: str, other: str) -> bool:
        """Two addresses reach one worker; True if `address` is learned, and so is given up."""
        if address in self.configured:
            return False
        self._drop(address)
        self._aliases[address] = other
        if len(self._aliases) > MAX_ADDRESSES:
            del self._aliases[next(iter(self._aliases))]
        return True

    def reject(self, address: str) -> None:
        """No socket can be made for this learned address; it is not learned again."""
        self._drop(address)
        if len(self._unusable) < MAX_ADDRESSES:
            self._unusable.add(address)

    def lost(self, address: str) -> None:
        """The connection to this address ended; what was its alias may be another's now."""
        self._serving.discard(address)
        self._aliases = {alias: other for alias, other in self._aliases.items() if other != address}

    def addresses(self, now_ms: float) -> list[str]:
        """At most `MAX_WORKERS_PER_CAMERA` addresses to use, configured ones first.

        The learned ones are ranked by a hash of camera and address (Thaler & Ravishankar
        1998), so that cameras spread evenly over workers and a change moves few of them. One
        place is left to those that have proved nothing yet.
        """
        self._drop_silent(now_ms)
        seeds = [] if self._needs_no_seeds() else self.configured
        places = max(0, MAX_WORKERS_PER_CAMERA - len(seeds))
        self._end_tries(now_ms, crowded=len(self._learned) > places)
        proven = sorted(self._proven | set(self.configured) - set(seeds), key=self._rank)
        waiting = sorted(self._learned.keys() - self._proven, key=self._waiting_order)
        kept = proven[: places - 1 if waiting and places > 1 else places]
        others = [*kept, *waiting][:places]
        used = self._learned.keys() & set(others)
        self._used_since = {address: self._used_since.get(address, now_ms) for address in used}
        self._serving &= used
        return [*seeds, *others][:MAX_WORKERS_PER_CAMERA]

    def _needs_no_seeds(self) -> bool:
        # One place may be another's that is being tried, one more may just have been lost.
        in_use = MAX_WORKERS_PER_CAMERA - len(self.configured) - 1
        enough = len(self._proven) >= MAX_WORKERS_PER_CAMERA
        return enough and len(self._serving) >= max(1, in_use)

    def _end_tries(self, now_ms: float, *, crowded: bool) -> None:
        for address, since_ms in list(self._used_since.items()):
            if crowded and address not in self._proven and now_ms - since_ms >= _TRY_MS:
                self._tries[address] += 1
                del self._used_since[address]
        if len(self._tries) > _MOST_TRIES_KEPT:
            self._tries.clear()

    def _waiting_order(self, address: str) -> tuple[int, bool, bytes]:
        return self._tries[address], address not in self._remembered, self._rank(address)

    def _drop_silent(self, now_ms: float) -> None:
        for address, heard_ms in list(self._learned.items()):
            # The silence of a proven one says nothing while it was not used.
            used_ms = self._used_since.get(address, now_ms) if address in self._proven else heard_ms
            if now_ms - max(heard_ms, used_ms) > LEARNED_WORKER_DROP_MS:
                self._drop(address)

    def _make_room(self) -> None:
        strangers = self._learned.keys() - self._remembered.keys()
        if strangers:
            self._drop(max(strangers, key=self._waiting_order))

    def _drop(self, address: str) -> None:
        self._learned.pop(address, None)
        self._proven.discard(address)
        self._serving.discard(address)
        self._used_since.pop(address, None)

    def _rank(self, address: str) -> bytes:
        return hashlib.sha256(f"{self._camera}\0{address}".encode()).digest()


def usable(addresses: Iterable[str], heard_from: str) -> set[str]:
    """Learned addresses that mean something on this machine.

    A loopback address names another machine's inside, unless it was learned over loopback; a
    wildcard names nobody, and an interface is named otherwise here.
    """
    parsed = {_parsed(address) for address in addresses} - {""}
    named = {address for address in parsed if not (is_wildcard(address) or has_zone(address))}
    return {address for address in named if is_loopback(heard_from) or not is_loopback(address)}


def _parsed(address: str) -> str:
    try:
        return parse_address(address)
    except ConfigError:
        return ""
