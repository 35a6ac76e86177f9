"""Addresses of workers and aggregators: `tcp://host:port`, parsed once."""

import ipaddress
import re
import socket
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.protocol.limits import MAX_ADDRESS_CHARS
from roommood.shared.security.secret_urls import shown

MAX_PORT: Final = 65_535
_LABEL: Final = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
# Of a link-local address: the interface, by its name or number.
_ZONE: Final = "%[A-Za-z0-9_.-]{1,15}"
_HOST: Final = rf"\[[0-9a-fA-F:.]+(?:{_ZONE})?\]|(?:{_LABEL}\.)*{_LABEL}\.?|\*"
_NUMBER: Final = re.compile(r"\d+|0[xX][0-9a-fA-F]*", re.ASCII)
_ADDRESS: Final = re.compile(rf"(?:tcp://)?(?P<host>{_HOST}):(?P<port>\d{{1,5}})", re.ASCII)


def parse_address(text: str) -> str:
    """`host:port` or `tcp://host:port` as `tcp://host:port`. Raises ConfigError."""
    match = _ADDRESS.fullmatch(text) if len(text) <= MAX_ADDRESS_CHARS else None
    if match is None or not 0 < int(match["port"]) <= MAX_PORT or not _is_host(match["host"]):
        raise ConfigError(
            f"{shown(text)!r} is not an address: write host:port, for example desk:5701"
        )
    return f"tcp://{match['host']}:{match['port']}"


def shifted(address: str, by: int) -> str:
    """A parsed address with its port higher by `by`. Raises ConfigError beyond 65535."""
    host, _, port = address.rpartition(":")
    if int(port) + by > MAX_PORT:
        raise ConfigError(f"{address} leaves no port for instance {by + 1}: take a lower one")
    return f"{host}:{int(port) + by}"


def host_of(address: str) -> str:
    """Host of a parsed address, without the brackets of IPv6."""
    return address.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def has_zone(address: str) -> bool:
    """True for a link-local address with an interface, which only its own machine knows."""
    return "%" in host_of(address)


def is_same(address: str, other: str) -> bool:
    """True if two addresses are one, however they write its number; names are never told apart."""
    if address == other:
        return True
    numbers = (number_of(address), number_of(other))
    if None in numbers:
        return True
    return numbers[0] == numbers[1] and address.rpartition(":")[2] == other.rpartition(":")[2]


def number_of(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The number in an address, IPv4 where IPv6 only wraps it; None where there is a name.

    However it is spelt: `127.1` and `0x7f.1` are 127.0.0.1 to whoever connects, inet(3).
    """
    host = host_of(address).partition("%")[0]
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return _ipv4_by_inet(host)
    wrapped = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else None
    return wrapped or number


def is_loopback(address: str) -> bool:
    """True if the address can only be reached from its own machine."""
    host = host_of(address).lower().removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    number = number_of(address)
    return number is not None and number.is_loopback


def is_wildcard(address: str) -> bool:
    """True if the address stands for all interfaces, so that nobody can connect to it."""
    number = number_of(address)
    return host_of(address) == "*" or (number is not None and number.is_unspecified)


def _ipv4_by_inet(host: str) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _is_host(host: str) -> bool:
    """False for what looks like a number and is none, as 300.1.1.1 and [::::], and for a zone where
    there is none."""
    if "%" in host:
        number = number_of(f"tcp://{host}:1")
        return number is not None and number.is_link_local
    last = host.removesuffix(".").rpartition(".")[2]
    looks_like_number = host.startswith("[") or _NUMBER.fullmatch(last) is not None
    return not looks_like_number or number_of(f"tcp://{host}:1") is not None
