"""The address that others are told, where no setting says it."""

import logging

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.protocol.limits import UNREACHED_MS
from roommood.shared.transport.addresses import is_wildcard
from roommood.shared.transport.advertising import Advertisement
from tests import hooks, ipv6_only


@pytest.fixture
def no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks.the_default_route_leaves_from(monkeypatch, lambda: "")


def test_what_was_asked_to_be_advertised_wins() -> None:
    advertisement = Advertisement("tcp://0.0.0.0:5701", "desk:5701")
    advertisement.look(0.0, ["192.0.2.7"])
    assert advertisement.address == "tcp://desk:5701"


def test_a_bound_address_is_advertised_as_it_is() -> None:
    assert Advertisement("tcp://192.0.2.7:5701", None).address == "tcp://192.0.2.7:5701"


def test_a_wildcard_is_advertised_as_an_address_others_can_use() -> None:
    address = Advertisement("tcp://*:5701", None).address
    assert address == "" or (address.endswith(":5701") and not is_wildcard(address))


def test_an_interface_is_nobody_elses() -> None:
    bound = Advertisement("tcp://[fe80::1%eth0]:5701", None)
    assert bound.address == ""
    with pytest.raises(ConfigError, match="names an interface"):
        Advertisement("tcp://*:5701", "[fe80::1%eth0]:5701")


def test_a_wildcard_cannot_be_asked_to_be_advertised() -> None:
    with pytest.raises(ConfigError, match="names no machine"):
        Advertisement("tcp://*:5701", "*:5701")


@pytest.mark.parametrize(
    ("reached_at", "address"),
    [
        (["127.0.0.1", "192.0.2.7", "192.0.2.8"], "tcp://192.0.2.7:5701"),
        (["::ffff:192.0.2.7"], "tcp://192.0.2.7:5701"),
        (["fe80::1", "2001:db8::1"], "tcp://[2001:db8::1]:5701"),
        (["127.0.0.1"], "tcp://127.0.0.1:5701"),
        ([], ""),
    ],
)
@pytest.mark.usefixtures("no_route")
def test_without_a_default_route_it_is_where_somebody_was_reached(
    reached_at: list[str], address: str
) -> None:
    advertisement = Advertisement("tcp://*:5701", None)
    assert advertisement.address == ""
    advertisement.look(0.0, reached_at)
    assert advertisement.address == address


@pytest.mark.parametrize(
    ("reached_at", "dialled_from", "host"),
    [
        ([], [], "10.8.0.2"),
        (["127.0.0.1"], ["127.0.0.1"], "10.8.0.2"),
        ([], ["192.0.2.7"], "192.0.2.7"),
        (["192.0.2.8"], ["192.0.2.7"], "192.0.2.8"),
        (["192.0.2.7"], ["10.8.0.2"], "192.0.2.7"),
        (["192.0.2.7", "10.8.0.2"], [], "10.8.0.2"),
        (["::ffff:192.0.2.7"], [], "192.0.2.7"),
        (["2001:db8::1", "fe80::1"], [], "10.8.0.2"),
    ],
)
def test_a_default_route_by_which_nobody_came_is_left_for_the_way_by_which_somebody_did(
    reached_at: list[str], dialled_from: list[str], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As beside a VPN."""
    hooks.the_default_route_leaves_from(monkeypatch, lambda: "10.8.0.2")
    advertisement = Advertisement("tcp://*:5701", None)
    assert advertisement.address == "tcp://10.8.0.2:5701"
    advertisement.look(0.0, reached_at, dialled_from)
    assert advertisement.address == f"tcp://{host}:5701"


@pytest.mark.usefixtures("no_route")
def test_who_listens_at_ipv4_alone_is_at_no_address_of_ipv6() -> None:
    advertisement = Advertisement("tcp://0.0.0.0:5701", None)
    advertisement.look(0.0, [], ["2001:db8::1"])
    assert advertisement.address == ""


def test_a_network_that_comes_or_changes_after_the_start_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = ["", "192.0.2.7", "192.0.2.8"]
    hooks.the_default_route_leaves_from(monkeypatch, lambda: hosts[0])
    advertisement = Advertisement("tcp://*:5701", None)
    for now_ms, host in enumerate(hosts):
        hosts[0] = host
        advertisement.look(now_ms * 10_000.0, [])
        assert advertisement.address == (f"tcp://{host}:5701" if host else "")


@pytest.mark.usefixtures("no_route")
def test_a_worker_that_nobody_can_be_told_of_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    advertisement = Advertisement("tcp://*:5701", None)
    for now_ms in (0.0, UNREACHED_MS - 1_000, UNREACHED_MS, 3 * UNREACHED_MS):
        advertisement.look(now_ms, [])
    (line,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "--advertise HOST:5701" in line.fields["todo"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("bound", "address"),
    [("*", "tcp://[2001:db8::7]:5701"), ("[::]", "tcp://[2001:db8::7]:5701"), ("0.0.0.0", "")],
)
def test_where_there_is_no_ipv4_it_is_the_address_of_ipv6(bound: str, address: str) -> None:
    program = (
        "from roommood.shared.transport.advertising import Advertisement\n"
        f"print(Advertisement('tcp://{bound}:5701', None).address)"
    )
    assert ipv6_only.run(program) == address
