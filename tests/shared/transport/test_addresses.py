"""Addresses are parsed once, and what only one machine can reach is told apart."""

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.protocol.limits import MAX_ADDRESS_CHARS
from roommood.shared.transport.addresses import (
    host_of,
    is_loopback,
    is_wildcard,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("desk:5701", "tcp://desk:5701"),
        ("tcp://desk:5701", "tcp://desk:5701"),
        ("192.0.2.7:1", "tcp://192.0.2.7:1"),
        ("[::1]:65535", "tcp://[::1]:65535"),
        ("[fe80::1%eth0]:5701", "tcp://[fe80::1%eth0]:5701"),
        ("[fe80::1%2]:5701", "tcp://[fe80::1%2]:5701"),
        ("*:5701", "tcp://*:5701"),
        ("my_desk.local:5701", "tcp://my_desk.local:5701"),
    ],
)
def test_an_address_is_host_and_port(text: str, address: str) -> None:
    assert parse_address(text) == address
    assert parse_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "desk", "desk:", ":5701", "desk:0", "desk:65536", "desk:99999", "desk:-1", "desk:5701 ",
        "udp://desk:5701", "ipc://desk:5701", "::1:5701", "a b:5701", "desk:٣", "desk:1\n",
        "tcp://a;tcp://b:1", "desk:5701/x", "300.1.1.1:1", "1.2.3.4.5:1", "[::::]:1", "desk.0x:1",
        "[2001:db8::1%eth0]:1",
        "[fe80::1%]:1", "[fe80::1%eth0;x]:1", "fe80::1%eth0:1", "desk%eth0:1",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="write host:port"):
        parse_address(text)


def test_an_address_has_a_greatest_length() -> None:
    for length in (MAX_ADDRESS_CHARS - 1, MAX_ADDRESS_CHARS):
        assert parse_address(("ab." * length)[: length - 2] + ":1")
    with pytest.raises(ConfigError):
        parse_address("a" * (MAX_ADDRESS_CHARS - 1) + ":1")


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("tcp://127.0.0.1:1", True),
        ("tcp://127.9.9.9:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://localhost:1", True),
        ("tcp://LOCALHOST:1", True),
        ("tcp://localhost.:1", True),
        ("tcp://desk.localhost:1", True),
        ("tcp://127.1:1", True),
        ("tcp://0x7f.1:1", True),
        ("tcp://2130706433:1", True),
        ("tcp://[::ffff:127.0.0.1]:1", True),
        ("tcp://10.1:1", False),
        ("tcp://0.0.0.0:1", False),
        ("tcp://*:1", False),
        ("tcp://[::]:1", False),
        ("tcp://192.168.1.2:1", False),
        ("tcp://localhost.example.org:1", False),
    ],
)
def test_loopback_is_told_from_what_others_can_reach(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "[::]", "0", "0x0", "[::ffff:0.0.0.0]"])
def test_a_wildcard_is_an_address_to_bind_but_not_to_connect(host: str) -> None:
    assert is_wildcard(f"tcp://{host}:5701")
    assert not is_wildcard("tcp://desk:5701")


def test_the_host_of_an_ipv6_address_has_no_brackets() -> None:
    assert host_of("tcp://[fe80::1]:5701") == "fe80::1"
