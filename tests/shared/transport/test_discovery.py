"""Workers announced over real multicast are found; the announcement is trusted with nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.protocol.limits import MAX_ADDRESSES
from roommood.shared.transport.discovery import SERVICE, Finder, announced, finding
from tests import hooks
from tests.end_to_end.site import until

zeroconf = pytest.importorskip("zeroconf")
ADDRESS = "tcp://192.0.2.7:5701"


@pytest.fixture
def finder() -> Iterator[Finder]:
    try:
        with finding(True) as started:
            yield started
    except ConfigError as error:
        pytest.skip(str(error))


def test_an_announced_worker_is_found_and_forgotten_when_it_leaves(finder: Finder) -> None:
    with announced("aa01", ADDRESS, True):
        assert until(lambda: ADDRESS in finder(), "it is found")
    assert until(lambda: ADDRESS not in finder(), "it is forgotten")


def test_a_worker_whose_address_becomes_another_is_announced_there(finder: Finder) -> None:
    """As beside a VPN, where the first camera shows which address is the one."""
    moved = "tcp://192.0.2.70:5701"
    with announced("aa11", ADDRESS, True) as announcement:
        until(lambda: ADDRESS in finder(), "it is found")
        for address in ("", "tcp://127.0.0.1:5701", moved):
            announcement.move(address)
        until(lambda: finder() == {moved}, "it is found there alone")
    until(lambda: not finder(), "it is forgotten")
    announcement.move(ADDRESS)


def test_two_workers_are_both_found(finder: Finder) -> None:
    second = "tcp://192.0.2.8:5702"
    with announced("aa02", ADDRESS, True), announced("aa03", second, True):
        assert until(lambda: {ADDRESS, second} <= finder(), "both are found")


def test_a_worker_that_moves_is_found_at_its_new_address_though_the_table_be_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hooks.discovery_keeps_at_most(monkeypatch, 1)
    moved, network = "tcp://192.0.2.9:5701", Announcements()
    finder: Any = Finder()
    network.address = "192.0.2.7"
    finder.add_service(network, SERVICE, f"aa09.{SERVICE}")
    finder.add_service(network, SERVICE, f"aa10.{SERVICE}")
    assert finder() == {ADDRESS}
    network.address = "192.0.2.9"
    finder.update_service(network, SERVICE, f"aa09.{SERVICE}")
    assert finder() == {moved}


def test_more_announcements_than_are_taken_at_once_hide_nobody_for_long() -> None:
    network, finder = Announcements(), Finder()
    listener: Any = finder
    for number in range(2 * MAX_ADDRESSES):
        network.address = f"192.0.{2 + number // 256}.{number % 256}"
        listener.add_service(network, SERVICE, f"invented-{number}.{SERVICE}")
    network.address = "203.0.113.7"
    listener.add_service(network, SERVICE, f"honest.{SERVICE}")
    looks = [finder() for _ in range(200)]
    assert max(map(len, looks)) == MAX_ADDRESSES
    assert any("tcp://203.0.113.7:5701" in look for look in looks)


class Announcements:
    """A network on which every name is announced at `address`."""

    address = ""

    def get_service_info(self, type_: str, name: str, _ms: int) -> Any:
        return zeroconf.ServiceInfo(type_, name, port=5701, parsed_addresses=[self.address])


def test_a_host_by_name_is_passed_on_by_name(finder: Finder) -> None:
    with announced("aa04", "tcp://desk.example:5701", True):
        assert until(lambda: "tcp://desk.example:5701" in finder(), "it is found")


def test_what_is_no_address_is_left_out(finder: Finder) -> None:
    bad = zeroconf.ServiceInfo(
        SERVICE, f"aa05.{SERVICE}", port=5701, properties={"host": "x y;\n"},
        server="roommood-aa05.local.", parsed_addresses=[],
    )  # fmt: skip
    with zeroconf.Zeroconf() as network, announced("aa06", ADDRESS, True):
        network.register_service(bad)
        until(lambda: ADDRESS in finder(), "the good one is found")
        assert finder() == {ADDRESS}


def test_a_loopback_address_is_not_announced_to_others() -> None:
    with (
        pytest.raises(ConfigError, match="--advertise"),
        announced("aa07", "tcp://127.0.0.1:5701", True),
    ):
        pass


def test_nobody_listens_who_was_not_asked_to() -> None:
    with finding(False) as finder, announced("aa08", "tcp://127.0.0.1:5701", False):
        assert finder() == frozenset()
