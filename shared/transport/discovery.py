"""Workers found on the local network by mDNS (RFC 6762, DNS-SD RFC 6763), with zeroconf.

What is found says where, never who: anybody on the network can announce anything, and only the
keys decide whom a camera talks to.
"""

import asyncio
import contextlib
import ipaddress
import logging
import random
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from roommood.shared.errors import ConfigError, RoommoodError
from roommood.shared.process.logs import event
from roommood.shared.protocol.limits import MAX_ADDRESSES
from roommood.shared.transport.addresses import host_of, is_loopback, parse_address

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, Zeroconf

SERVICE: Final = "_roommood._tcp.local."
_ASK_MS: Final = 3_000
# Names that are kept, invented ones among them, and addresses of one name.
_MOST_NAMES: Final = 4_096
_MOST_ADDRESSES_OF_ONE: Final = 8
_log = logging.getLogger(__name__)


class Finder:
    """The addresses of workers that announce themselves, as of now. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._addresses: dict[str, tuple[str, ...]] = {}

    def __call__(self) -> frozenset[str]:
        """Addresses as `shared.transport.addresses` writes them; at most `MAX_ADDRESSES`.

        Of more than that others each time, so that invented ones hide nobody for long.
        """
        with self._lock:
            addresses = [address for some in self._addresses.values() for address in some]
        return frozenset(random.sample(addresses, min(len(addresses), MAX_ADDRESSES)))

    # What zeroconf calls, in a thread of its own (its names: `zeroconf.ServiceListener`)

    def add_service(self, zc: "Zeroconf", type_: str, name: str) -> None:
        """A worker is announced."""
        self.update_service(zc, type_, name)

    def update_service(self, zc: "Zeroconf", type_: str, name: str) -> None:
        """It is announced anew, perhaps at another address."""
        from zeroconf import Error, EventLoopBlocked

        try:
            info = zc.get_service_info(type_, name, _ASK_MS)
        except (Error, EventLoopBlocked) as error:
            # It is announced again before long.
            event(_log, logging.WARNING, "announcement not read", name=name, why=repr(error))
            return
        addresses = _addresses(info) if info else ()
        with self._lock:
            if addresses and (name in self._addresses or len(self._addresses) < _MOST_NAMES):
                self._addresses[name] = addresses

    def remove_service(self, zc: "Zeroconf", type_: str, name: str) -> None:  # noqa: ARG002
        """It says that it leaves."""
        with self._lock:
            self._addresses.pop(name, None)


@contextlib.contextmanager
def finding(is_enabled: bool) -> Iterator[Finder]:
    """Listens for workers while inside, if `is_enabled`; else nobody is ever found.

    Raises ConfigError where multicast cannot be used.
    """
    finder = Finder()
    if not is_enabled:
        yield finder
        return
    from zeroconf import ServiceBrowser

    with _network() as zeroconf:
        listener: Any = finder  # it has the methods of zeroconf's base class
        ServiceBrowser(zeroconf, SERVICE, listener=listener)
        yield finder


class Announcement:
    """Of a worker, at an address that may become another one."""

    def __init__(self, worker_id: str, address: str) -> None:
        self._worker_id, self._address = worker_id, address
        self._moves = 0
        self._network: Zeroconf | None = None

    def begin(self, network: "Zeroconf") -> None:
        """Waits until others have had the time to object to the name."""
        network.register_service(self._service())
        event(_log, logging.INFO, "worker announced", address=self._address)
        self._network = network

    def move(self, address: str) -> None:
        """Announces it at another address, if that is news to others; waits for nothing."""
        network = self._network
        is_news = address not in ("", self._address) and not is_loopback(address)
        if network is None or network.loop is None or not is_news:
            return
        self._address, self._moves = address, self._moves + 1
        asyncio.run_coroutine_threadsafe(
            network.async_update_service(self._service()), network.loop
        )
        event(_log, logging.INFO, "worker announced", address=address)

    def end(self) -> None:
        """Says that the worker leaves."""
        network, self._network = self._network, None
        if network is not None:
            network.unregister_service(self._service())

    def _service(self) -> "ServiceInfo":
        # By another host each time: what is known of the one before is believed for two minutes.
        return _service(self._worker_id, self._address, f"{self._worker_id}-{self._moves}")


@contextlib.contextmanager
def announced(worker_id: str, address: str, is_enabled: bool) -> Iterator[Announcement]:
    """Announces a worker at `address` while inside, if `is_enabled`.

    Raises ConfigError where the address is loopback, or multicast cannot be used.
    """
    announcement = Announcement(worker_id, address)
    if not is_enabled:
        yield announcement
        return
    if not address or is_loopback(address):
        raise ConfigError(
            f"{address or 'no address'} means nothing to other machines: announce a worker that "
            "binds an address of the network, or say which with --advertise"
        )
    with _network() as zeroconf:
        announcement.begin(zeroconf)
        yield announcement
        announcement.end()


@contextlib.contextmanager
def _network() -> Iterator["Zeroconf"]:
    from zeroconf import Zeroconf

    try:
        zeroconf = Zeroconf()
    except OSError as error:
        raise ConfigError(f"the network does not carry mDNS: {error}") from error
    try:
        yield zeroconf
    finally:
        zeroconf.close()


def _service(worker_id: str, address: str, machine: str) -> "ServiceInfo":
    """The announcement. A host name travels as text, for the camera to ask about; zeroconf wants
    an address all the same."""
    from zeroconf import ServiceInfo

    host, port = host_of(address), int(address.rpartition(":")[2])
    is_number = _is_number(host)
    return ServiceInfo(
        SERVICE,
        f"{worker_id}.{SERVICE}",
        port=port,
        properties={"host": "" if is_number else host},
        parsed_addresses=[host if is_number else "0.0.0.0"],
        server=f"roommood-{machine}.local.",
    )


def _addresses(info: "ServiceInfo") -> tuple[str, ...]:
    named = (info.properties or {}).get(b"host") or b""
    hosts = [named.decode("ascii", "replace")] if named else info.parsed_addresses()
    addresses = []
    for host in hosts:
        bracketed = f"[{host}]" if ":" in host else host
        with contextlib.suppress(RoommoodError):
            addresses.append(parse_address(f"{bracketed}:{info.port}"))
    return tuple(addresses[:_MOST_ADDRESSES_OF_ONE])


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
