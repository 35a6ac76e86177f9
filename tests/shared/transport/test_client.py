"""A dialled connection finds its peer by name, moves with the name, and says why it is away."""

import errno
import logging
import shlex
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zmq

from roommood.shared.clock import boot_ms
from roommood.shared.protocol.limits import (
    LOOKUP_AGAIN_MAX_MS,
    STILL_AWAY_MS,
    UNREACHED_AGAIN_MS,
    UNREACHED_MS,
)
from roommood.shared.transport import resolver
from roommood.shared.transport.client import ClientConnection, Dialer, doctor_command
from roommood.shared.transport.monitors import BROKEN_OFF_WITHOUT_KEYS, ConnectionEvent
from roommood.shared.transport.reachability import MUTE, NO_ANSWER, why_not_connected
from roommood.shared.transport.resolver import Numbers
from roommood.shared.transport.sockets import Router, bind_frames, close, connect_frames
from tests.shared.fakes import Rig
from tests.shared.peers import free_address


class DialerRig(Rig):
    """A dialer, its connection to "desk", and what that name leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, Numbers] = {}
        self.ahead_ms = 0.0
        self.seen: list[ConnectionEvent] = []
        self.moves = 0
        self.routers: list[Router] = []
        self.dialer = Dialer(
            "worker", self.context, self.poller, connect_frames, "doctor {}".format,
            insecure=True, keys=None,
        )  # fmt: skip
        self.connection: ClientConnection

    def listen(self, address: str) -> str:
        self.routers.append(bind_frames(self.context, address, insecure=False))
        return address

    def dial(self, address: str = "tcp://desk:5701") -> ClientConnection:
        self.connection = ClientConnection(self.dialer, address, boot_ms())
        return self.connection

    def tick(self) -> None:
        now_ms = boot_ms() + self.ahead_ms
        self.dialer.tick(None)
        self.seen += self.connection.events(now_ms)
        self.moves += self.connection.tick(now_ms)

    def close(self) -> None:
        self.connection.close(0)
        self.dialer.close()
        for router in self.routers:
            close(router)
        super().close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[DialerRig]:
    rig = DialerRig()
    unknown = Numbers(why="the name desk is unknown")
    monkeypatch.setattr(resolver, "look_up", lambda name: rig.names.get(name, unknown))
    yield rig
    rig.close()


def test_all_addresses_of_a_name_are_tried_until_one_answers(site: DialerRig) -> None:
    there = site.listen(free_address())
    nowhere = (free_address(), free_address().replace("127.0.0.1", "[::1]"))
    site.names["tcp://desk:5701"] = Numbers((*nowhere, there))
    connection = site.dial()
    site.until(lambda: connection.connected)
    assert connection._reconnector.number == there


def test_a_name_that_is_known_later_is_found_later(site: DialerRig) -> None:
    connection = site.dial()
    site.until(lambda: connection.reach.why == "the name desk is unknown")
    site.names["tcp://desk:5701"] = Numbers((site.listen(free_address()),))
    site.until(lambda: connection.connected)


def test_a_connection_moves_where_its_name_leads_now_though_it_stands(site: DialerRig) -> None:
    first, second = site.listen(free_address()), site.listen(free_address())
    site.names["tcp://desk:5701"] = Numbers((first,))
    connection = site.dial()
    site.until(lambda: connection.connected)
    connection.answered()
    site.names["tcp://desk:5701"] = Numbers((second,))
    site.ahead_ms = LOOKUP_AGAIN_MAX_MS
    site.until(lambda: site.moves)
    site.until(lambda: connection.connected)
    assert connection._reconnector.number == second


def test_a_name_that_is_forgotten_leaves_a_connection_that_stands(site: DialerRig) -> None:
    site.names["tcp://desk:5701"] = Numbers((site.listen(free_address()),))
    connection = site.dial()
    site.until(lambda: connection.connected)
    connection.answered()
    del site.names["tcp://desk:5701"]
    asked_ms = connection._asked_ms
    site.ahead_ms = LOOKUP_AGAIN_MAX_MS
    site.until(lambda: connection._asked_ms > asked_ms)
    assert connection.connected
    assert connection.reach.state == "reached"


def test_libzmq_is_never_given_a_name(site: DialerRig, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    real = zmq.Socket.connect

    def connect(self: zmq.Socket[bytes], address: str) -> object:
        given.append(address)
        return real(self, address)

    monkeypatch.setattr(zmq.Socket, "connect", connect)
    site.names["tcp://desk:5701"] = Numbers((site.listen(free_address()),))
    connection = site.dial()
    site.until(lambda: connection.connected)
    assert given
    assert all(resolver.is_number(each) for each in given if each.startswith("tcp://"))


@pytest.mark.parametrize("allowed", [False, True])
def test_without_keys_localhost_leads_to_this_machine_only(allowed: bool, site: DialerRig) -> None:
    site.dialer.insecure = allowed
    connection = site.dial("tcp://localhost:5701")
    assert connection._is_allowed("tcp://127.0.0.1:5701")
    assert connection._is_allowed("tcp://192.0.2.7:5701") is allowed


# Why it is away


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    return [(record.getMessage(), getattr(record, "fields", {})) for record in warnings]


def test_what_was_never_reached_is_told_once_after_seconds_and_again_after_minutes(
    site: DialerRig, caplog: pytest.LogCaptureFixture
) -> None:
    address = free_address()
    connection = site.dial(address)
    site.ahead_ms = UNREACHED_MS - 1_000
    site.until(lambda: "refused" in connection.reach.why)
    assert lines(caplog) == []
    site.ahead_ms = UNREACHED_MS
    site.until(lambda: lines(caplog))
    for _ in range(3):
        site.tick()
    ((message, fields),) = lines(caplog)
    shown = address.removeprefix("tcp://")
    assert message == "worker never reached"
    assert fields["why"] == f"refused: nothing listens at {shown}"
    assert fields["todo"] == f"doctor {shown}"
    site.ahead_ms = UNREACHED_MS + UNREACHED_AGAIN_MS
    site.until(lambda: len(lines(caplog)) == 2)


def test_a_peer_that_connects_and_never_answers_is_told_as_well(
    site: DialerRig, caplog: pytest.LogCaptureFixture
) -> None:
    connection = site.dial(site.listen(free_address()))
    site.until(lambda: connection.connected)
    site.ahead_ms = UNREACHED_MS
    site.until(lambda: lines(caplog))
    assert lines(caplog)[0][1]["why"] == NO_ANSWER


def test_who_accepts_and_says_nothing_is_told_as_that(
    site: DialerRig, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        connection = site.dial(address)
        site.until(lambda: connection.reach.why == MUTE)
        site.ahead_ms = UNREACHED_MS
        site.until(lambda: lines(caplog))
    assert lines(caplog)[0][1]["why"] == MUTE
    site.until(lambda: "refused: nothing listens" in connection.reach.why)
    site.listen(address)
    site.until(lambda: connection.connected)
    assert connection.reach.why == NO_ANSWER


def test_who_ends_each_handshake_is_not_said_to_lack_keys_where_none_are_used(
    site: DialerRig, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.01)
        connection = site.dial(f"tcp://127.0.0.1:{other.getsockname()[1]}")

        def is_told() -> bool:
            with suppress(TimeoutError):
                other.accept()[0].close()
            return connection.reach.why == BROKEN_OFF_WITHOUT_KEYS

        site.until(is_told)
        site.ahead_ms = UNREACHED_MS
        site.until(lambda: is_told() and lines(caplog))
    assert lines(caplog)[0][1]["why"] == BROKEN_OFF_WITHOUT_KEYS


def test_a_learned_address_that_is_dialled_anew_each_minute_is_not_told_each_minute(
    site: DialerRig,
) -> None:
    assert site.dialer.may_tell("tcp://desk:5701", 0.0)
    assert not site.dialer.may_tell("tcp://desk:5701", 60_000.0)
    assert site.dialer.may_tell("tcp://desk:5701", UNREACHED_AGAIN_MS)
    site.dial()


def test_who_has_answered_is_lost_and_back_and_why_is_told_after_half_a_minute(
    site: DialerRig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    connection = site.dial(site.listen(free_address()))
    site.until(lambda: connection.connected)
    connection.answered()
    close(site.routers.pop())
    site.until(lambda: not connection.connected)
    assert lines(caplog)[0][0] == "worker lost"
    site.ahead_ms = STILL_AWAY_MS - 1_000
    site.until(lambda: "refused" in connection.reach.why)
    assert len(lines(caplog)) == 1
    site.ahead_ms = STILL_AWAY_MS + 1_000
    site.until(lambda: len(lines(caplog)) == 2)
    message, fields = lines(caplog)[1]
    assert message == "worker still away"
    assert str(fields["why"]).startswith("refused: nothing listens at ")
    site.listen(connection.address)
    site.until(lambda: connection.connected)
    connection.answered()
    assert caplog.records[-1].getMessage() == "worker back"


def test_the_command_that_finds_out_more_can_be_pasted_whatever_the_folder_is_called() -> None:
    command = doctor_command("worker", Path("/my rooms/keys"), "desk:5701")
    assert shlex.split(command)[-1] == "/my rooms/keys"


def test_what_this_machine_itself_forbids_is_not_laid_on_the_peer() -> None:
    why = why_not_connected("tcp://192.0.2.8:5701", PermissionError(errno.EACCES, "no"))
    assert why.startswith("this machine may not connect to 192.0.2.8")
