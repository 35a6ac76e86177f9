"""Names are looked up beside the loop, and a silent one delays no other."""

import socket
import threading
from collections.abc import Iterator

import pytest
import zmq

from roommood.shared.protocol.limits import MAX_LEARNED_LOOKUPS, MAX_LOOKUPS, MAX_NUMBERS
from roommood.shared.transport import resolver as module
from roommood.shared.transport.resolver import (
    Numbers,
    Resolver,
    is_number,
    look_up,
    look_up_within,
)
from tests.end_to_end.site import until as eventually
from tests.shared.peers import until


class Server:
    """Answers all names but those that are told to wait."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked: list[str] = []

    def __call__(self, address: str) -> Numbers:
        self.asked.append(address)
        if "silent" in address:
            self.released.wait(30.0)
        return Numbers((f"tcp://127.0.0.1:{address.rpartition(':')[2]}",))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.released.set()


@pytest.fixture
def resolver(server: Server) -> Iterator[Resolver]:
    resolver = Resolver(server)
    yield resolver
    resolver.close()


def answered(resolver: Resolver, address: str) -> Numbers:
    poller = zmq.Poller()
    poller.register(resolver.fileno(), zmq.POLLIN)
    answers: list[Numbers | None] = []

    def tick() -> None:
        resolver.drain()
        answers.append(resolver.answer(address))

    until(lambda: answers and answers[-1] is not None, tick, poller)
    assert answers[-1] is not None
    return answers[-1]


def test_a_silent_name_delays_no_other(resolver: Resolver) -> None:
    for n in range(MAX_LOOKUPS - 1):
        resolver.ask(f"tcp://silent{n}:1")
    resolver.ask("tcp://desk:5701")
    assert answered(resolver, "tcp://desk:5701") == Numbers(("tcp://127.0.0.1:5701",))
    assert resolver.is_pending("tcp://silent0:1")
    assert resolver.answer("tcp://silent0:1") is None


def test_silent_names_of_others_delay_no_configured_one(resolver: Resolver, server: Server) -> None:
    for n in range(MAX_LOOKUPS * 2):
        resolver.ask(f"tcp://silent{n}:1", learned=True)
    resolver.ask("tcp://desk:5701")
    answered(resolver, "tcp://desk:5701")
    until(lambda: silent(server) == MAX_LEARNED_LOOKUPS, lambda: None, zmq.Poller())
    assert silent(server) == MAX_LEARNED_LOOKUPS


def silent(server: Server) -> int:
    return len([name for name in server.asked if "silent" in name])


def test_more_names_than_threads_are_answered_when_their_turn_comes(
    resolver: Resolver, server: Server
) -> None:
    for n in range(MAX_LOOKUPS):
        resolver.ask(f"tcp://silent{n}:1")
    resolver.ask("tcp://desk:5701")
    server.released.set()
    answered(resolver, "tcp://desk:5701")


def test_a_name_is_asked_for_once_at_a_time_and_answered_once(
    resolver: Resolver, server: Server
) -> None:
    for _ in range(3):
        resolver.ask("tcp://silent:1")
    server.released.set()
    answered(resolver, "tcp://silent:1")
    assert server.asked == ["tcp://silent:1"]
    assert resolver.answer("tcp://silent:1") is None


def test_a_resolver_that_is_closed_ends_its_threads(resolver: Resolver) -> None:
    resolver.ask("tcp://desk:5701")
    answered(resolver, "tcp://desk:5701")
    resolver.close()
    ours = threads()
    for thread in ours:
        thread.join(20)
    assert not any(thread.is_alive() for thread in ours)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "resolver"]


@pytest.mark.parametrize("idle_s", [0.05, 600.0])
def test_threads_that_nobody_needs_end_and_are_started_again_when_one_is(
    resolver: Resolver, server: Server, monkeypatch: pytest.MonkeyPatch, idle_s: float
) -> None:
    """With the second, which nobody waits for, they stay: the control."""
    monkeypatch.setattr(module, "IDLE_LOOKUP_S", idle_s)
    before = set(threads())
    for n in range(MAX_LOOKUPS):
        resolver.ask(f"tcp://silent{n}:1")
    server.released.set()
    for n in range(MAX_LOOKUPS):
        answered(resolver, f"tcp://silent{n}:1")
    ours = set(threads()) - before
    if idle_s > 1:
        assert len(ours) == MAX_LOOKUPS
        return
    for thread in ours:
        thread.join(20)
    assert not any(thread.is_alive() for thread in ours)
    resolver.ask("tcp://desk:5701")
    assert answered(resolver, "tcp://desk:5701").addresses == ("tcp://127.0.0.1:5701",)


# What is found


@pytest.mark.parametrize(
    ("address", "is_so"),
    [
        ("tcp://127.0.0.1:1", True), ("tcp://[::1]:1", True), ("tcp://[fe80::1%2]:1", True),
        ("tcp://desk:1", False), ("tcp://127.1:1", False), ("tcp://*:1", False),
    ],
)  # fmt: skip
def test_a_number_needs_no_looking_up(address: str, is_so: bool) -> None:
    assert is_number(address) is is_so


def test_localhost_is_this_machine_whatever_a_name_server_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert look_up("tcp://localhost:1").addresses == ("tcp://127.0.0.1:1", "tcp://[::1]:1")


def test_all_addresses_of_a_name_are_found_of_both_families_with_their_scope(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def three(*_: object, **__: object) -> list[tuple[object, ...]]:
        v6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "")
        return [
            (*v6, ("fe80::5", 7, 0, 3)),
            (*v6, ("2001:db8::1", 7, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 7)),
            *[(socket.AF_INET, 1, 6, "", (f"192.0.2.{n}", 7)) for n in range(100, 140)],
        ]

    monkeypatch.setattr(socket, "getaddrinfo", three)
    addresses = look_up("tcp://desk:7").addresses
    assert addresses[:3] == ("tcp://[fe80::5%3]:7", "tcp://[2001:db8::1]:7", "tcp://192.0.2.7:7")
    assert len(addresses) == MAX_NUMBERS


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (socket.gaierror(socket.EAI_NONAME, "-"), "the name desk is unknown"),
        (socket.gaierror(socket.EAI_AGAIN, "-"), "no name server answers for desk"),
        (UnicodeError("label too long"), "the name desk is unknown"),
    ],
)
def test_why_a_name_leads_nowhere_is_told(
    error: Exception, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    assert look_up("tcp://desk:7") == Numbers(why=why)


def test_who_waits_for_a_name_waits_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(30.0) and [])
    assert look_up_within("tcp://desk:7", 0.05).why.startswith("no name server answered for desk")
    released.set()


def test_who_asks_again_meanwhile_waits_no_more_and_a_late_answer_is_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released, asked = threading.Event(), []

    def silent(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        released.wait(30.0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 7))]

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    assert not look_up_within("tcp://slow:7", 0.05).addresses
    assert not look_up_within("tcp://slow:7", 60.0).addresses
    assert asked == ["slow"]
    released.set()
    assert eventually(lambda: look_up_within("tcp://slow:7", 0.0).addresses, "it is taken")
    assert asked == ["slow"]
