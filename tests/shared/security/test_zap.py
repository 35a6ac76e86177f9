"""Who comes in through a bound socket that has keys, and who does not."""

import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import zmq

from roommood.deploy.keys.site_keys import new_pair
from roommood.shared.clock import boot_ms
from roommood.shared.errors import ConfigError
from roommood.shared.process.metrics import Health
from roommood.shared.process.settings import AggregatorSettings, WorkerSettings, load
from roommood.shared.protocol.limits import REDIAL_MS
from roommood.shared.security.allow_list import AccessPolicy, AllowList, FixedPolicy
from roommood.shared.security.keys import ClientKeys, KeyPair
from roommood.shared.security.zap import Authenticator
from roommood.shared.transport.listener import Listener
from roommood.shared.transport.monitors import ConnectionEvent, Reconnector
from roommood.shared.transport.sockets import (
    bind_frames,
    bind_reports,
    close,
    connect_frames,
    connect_reports,
    receive_from,
    send,
)
from tests import hooks
from tests.shared.keyed import WORKERS, client, connects, entry, without, write_list
from tests.shared.peers import free_address, until

Context = zmq.Context[zmq.Socket[bytes]]
DOOR = new_pair()
STRANGER = new_pair()
NOBODY = FixedPolicy(frozenset())
DOOR_ONLY = FixedPolicy(frozenset({DOOR.public}))


class Everyone:
    """The control: an authenticator without an allow-list."""

    problem = ""

    def refresh(self) -> None:
        pass

    def authorizes(self, key: str) -> bool:
        return bool(key)


class Failing:
    """What no list of ours does: it raises in the authenticator's thread, once asked."""

    problem = ""

    def __init__(self) -> None:
        self.broken = False
        self.refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1

    def authorizes(self, key: str) -> bool:
        if self.broken:
            raise RuntimeError("as if there were a bug")
        return bool(key)


@pytest.fixture
def context() -> Iterator[Context]:
    context: Context = zmq.Context()
    yield context
    context.destroy(0)


@pytest.fixture
def address() -> str:
    return free_address()


@pytest.fixture
def enter(context: Context, address: str) -> Iterator[Callable[[AccessPolicy | None], Listener]]:
    """Opens a worker's listener to these policy."""
    opened: list[Listener] = []

    def make(policy: AccessPolicy | None, keys: KeyPair | None = WORKERS) -> Listener:
        settings = load(WorkerSettings, None, {"bind": address})
        opened.append(Listener(context, bind_frames, settings, keys, policy))
        return opened[-1]

    yield make
    for listener in opened:
        listener.close(0)


# Who comes in


def test_an_admitted_key_comes_in_and_its_messages_tell_whose_they_are(
    context: Context, address: str, enter: Callable[[AccessPolicy], Listener]
) -> None:
    router = enter(DOOR_ONLY).router
    socket, monitor = connect_frames(context, address, keys=client(DOOR))
    assert monitor.poll(20_000)
    assert socket.poll(20_000, zmq.POLLOUT)
    assert send(socket, [b"one", b"two"])
    assert router.poll(20_000)
    message = receive_from(router)
    close(socket, monitor)
    assert message is not None
    key, (_, *parts) = message
    assert (key, parts) == (DOOR.public, [b"one", b"two"])


def test_without_keys_a_message_is_nobodys(
    context: Context, address: str, enter: Callable[..., Listener]
) -> None:
    router = enter(None, None).router
    socket, monitor = connect_frames(context, address)
    assert socket.poll(20_000, zmq.POLLOUT)
    assert send(socket, [b"one"])
    assert router.poll(20_000)
    message = receive_from(router)
    close(socket, monitor)
    assert message is not None
    assert message[0] == ""


REFUSED = {
    "unknown-key": client(STRANGER),
    "other-security": None,
    "not-encrypted-for-us": ClientKeys(DOOR, STRANGER.public),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_who_has_no_good_key_does_not_come_in_and_is_counted(
    context: Context,
    address: str,
    enter: Callable[[AccessPolicy], Listener],
    reason: str,
) -> None:
    listener = enter(DOOR_ONLY)
    health = Health("worker")
    assert not connects(context, address, REFUSED[reason], timeout_s=0.6)
    until(lambda: reason in ended(listener), lambda: listener.tick(health), zmq.Poller())
    assert connects(context, address, client(DOOR))


@pytest.mark.parametrize("reason", ["other-security", "not-encrypted-for-us"])
def test_a_failed_handshake_is_told_with_the_peers_address(
    context: Context,
    address: str,
    enter: Callable[[AccessPolicy], Listener],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = enter(DOOR_ONLY)
    health = Health("worker")
    socket, monitor = connect_frames(context, address, keys=REFUSED[reason])
    poller = zmq.Poller()
    for source in (listener.router,):
        poller.register(source, zmq.POLLIN)
    until(lambda: caplog.records, lambda: listener.tick(health), poller)
    close(socket, monitor)
    fields = caplog.records[0].fields  # type: ignore[attr-defined]
    assert caplog.records[0].getMessage() == "connection failed"
    assert fields["peer"] == "127.0.0.1"
    assert fields["why"].startswith(reason)


def ended(listener: Listener) -> dict[str, float]:
    facts = listener.samples("worker")
    return {fact.labels["reason"]: fact.value for fact in facts if "reason" in fact.labels}


def test_an_unknown_key_does_come_in_without_an_allow_list(
    context: Context, address: str, enter: Callable[[AccessPolicy], Listener]
) -> None:
    """The control of the test above: the keys alone keep nobody out."""
    enter(Everyone())
    assert connects(context, address, client(STRANGER))


# Without an authenticator


def test_without_an_authenticator_nobody_comes_in(context: Context, address: str) -> None:
    router = bind_frames(context, address, insecure=False, keys=WORKERS)
    assert not connects(context, address, client(DOOR), timeout_s=0.6)
    close(router)


@pytest.mark.parametrize("off", [(zmq.ZAP_ENFORCE_DOMAIN,), (zmq.ZAP_DOMAIN,)], ids=str)
def test_but_anyone_would_if_the_domain_were_not_enforced(
    context: Context, address: str, off: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a CURVE server alone, as in libzmq's default, asks nobody."""
    without(monkeypatch, *off)
    router = bind_frames(context, address, insecure=False, keys=WORKERS)
    assert connects(context, address, client(STRANGER))
    close(router)


def test_when_the_authenticator_has_died_nobody_new_comes_in_and_the_process_is_not_ready(
    context: Context,
    address: str,
    enter: Callable[[AccessPolicy], Listener],
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy, health = Failing(), Health("worker")
    listener = enter(policy)
    health.ready = True
    inside, monitor = connect_frames(context, address, keys=client(DOOR))
    assert inside.poll(20_000, zmq.POLLOUT)
    listener.tick(health)
    assert health.ready
    with caplog.at_level(logging.ERROR):
        policy.broken = True
        assert not connects(context, address, client(DOOR), timeout_s=0.6)
        until(lambda: not health.ready, lambda: listener.tick(health), zmq.Poller())
    assert "nobody new gets in" in health.fault
    assert "nobody new gets in" in caplog.text
    assert not connects(context, address, client(DOOR), timeout_s=0.6)
    refreshed = policy.refreshed
    listener.tick(health)
    assert policy.refreshed > refreshed
    assert send(inside, [b"still here"])
    assert listener.router.poll(20_000)
    close(inside, monitor)


class Stuck(Everyone):
    """A list on a disk that does not answer, while `there` is not set."""

    def __init__(self) -> None:
        self.there = threading.Event()
        self.there.set()

    def refresh(self) -> None:
        self.there.wait(60)


def test_while_the_authenticator_hangs_the_process_is_not_ready_and_works_on(
    enter: Callable[[AccessPolicy], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.a_hung_authenticator_is_noticed_after(monkeypatch, 2_000.0)
    policy, health = Stuck(), Health("worker")
    listener = enter(policy)
    health.ready = True
    look = partial(listener.tick, health)
    look()
    assert health.ready
    policy.there.clear()
    until(lambda: not health.ready, look, zmq.Poller())
    assert "hangs for" in health.fault
    policy.there.set()
    until(lambda: health.ready, look, zmq.Poller())
    assert health.fault == ""


def test_an_authenticator_that_answers_no_more_lets_nobody_in(
    context: Context, address: str
) -> None:
    """As a thread that hangs: its socket is there, and nobody reads it."""
    deaf = context.socket(zmq.REP)
    deaf.bind("inproc://zeromq.zap.01")
    router = bind_frames(context, address, insecure=False, keys=WORKERS)
    assert not connects(context, address, client(DOOR), timeout_s=1.2)
    close(router)
    deaf.close(0)


def test_a_request_that_is_none_is_answered_with_a_refusal(context: Context) -> None:
    authenticator = Authenticator(context, Everyone())
    asker = context.socket(zmq.REQ)
    asker.connect("inproc://zeromq.zap.01")
    good = [b"1.0", b"7", b"roommood", b"192.0.2.1", b"", b"CURVE", b"k" * 32]
    plain = [*good[:5], b"PLAIN", b"name", b"password"]
    for request in ([b"1.0"], [b"9.9", *good[1:]], plain, [*good[:6], b"short"], [*good, b"x"]):
        asker.send_multipart(request)
        assert asker.poll(20_000)
        assert asker.recv_multipart()[2] == b"400"
    asker.send_multipart(good)
    assert asker.recv_multipart()[1:3] == [b"7", b"200"]
    asker.close(0)
    authenticator.stop()


# Changes while it runs


def test_a_key_that_is_admitted_later_comes_in_by_itself(
    context: Context, address: str, enter: Callable[[AccessPolicy], Listener], tmp_path: Path
) -> None:
    path = write_list(tmp_path / "cameras.toml", [])
    enter(AllowList(path))
    assert comes_in_after_refusal(context, address, path, redial=True)


def test_it_would_stay_out_for_ever_if_nobody_dialled_again(
    context: Context, address: str, enter: Callable[[AccessPolicy], Listener], tmp_path: Path
) -> None:
    """The control: libzmq gives up for good what was refused once."""
    path = write_list(tmp_path / "cameras.toml", [])
    enter(AllowList(path))
    assert not comes_in_after_refusal(context, address, path, redial=False)


def comes_in_after_refusal(context: Context, address: str, path: Path, redial: bool) -> bool:
    socket, monitor = connect_frames(context, address, keys=client(DOOR))
    reconnector = Reconnector(socket, address, monitor)
    seen: list[ConnectionEvent] = []

    def tick() -> None:
        seen.extend(reconnector.events(boot_ms()))
        if redial:
            reconnector.tick(boot_ms())

    poller = zmq.Poller()
    poller.register(monitor, zmq.POLLIN)
    until(lambda: ConnectionEvent.REFUSED in seen, tick, poller)
    write_list(path, [entry(DOOR)])
    until_ms = boot_ms() + (20_000 if redial else 2 * REDIAL_MS)
    until(lambda: ConnectionEvent.CONNECTED in seen or boot_ms() > until_ms, tick, poller)
    close(socket, monitor)
    return ConnectionEvent.CONNECTED in seen


def test_a_revoked_key_does_not_come_in_again(
    context: Context, address: str, enter: Callable[[AccessPolicy], Listener], tmp_path: Path
) -> None:
    path = write_list(tmp_path / "cameras.toml", [entry(DOOR)])
    enter(AllowList(path))
    assert connects(context, address, client(DOOR))
    write_list(path, [entry(DOOR, gone=True)])
    assert not connects(context, address, client(DOOR), timeout_s=0.6)


def test_a_list_that_cannot_be_read_any_more_shows_in_the_metrics(
    enter: Callable[[AccessPolicy], Listener], tmp_path: Path
) -> None:
    path = write_list(tmp_path / "cameras.toml", [entry(DOOR)])
    allow_list = AllowList(path)
    listener = enter(allow_list)
    assert readable(listener)
    path.write_text("[[camera]")
    until(lambda: allow_list.problem, lambda: None, zmq.Poller())
    assert not readable(listener)
    assert allow_list.authorizes(DOOR.public)


def readable(listener: Listener) -> bool:
    name = "roommood_worker_allow_list_readable"
    (value,) = (fact.value for fact in listener.samples("worker") if fact.name == name)
    return bool(value)


# Addresses of other machines


@pytest.mark.parametrize("connect", [connect_frames, connect_reports])
def test_without_keys_other_machines_are_not_talked_to_unless_insecure_is_said(
    context: Context, connect: Callable[..., tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]
) -> None:
    elsewhere = "tcp://192.0.2.7:5701"
    with pytest.raises(ConfigError, match=r"roommood keys init.*--insecure"):
        connect(context, elsewhere)
    close(*connect(context, elsewhere, keys=client(DOOR)))
    close(*connect(context, elsewhere, insecure=True))


@pytest.mark.parametrize("bind", [bind_frames, bind_reports])
def test_without_keys_no_public_address_is_bound_unless_insecure_is_said(
    context: Context, bind: Callable[..., zmq.Socket[bytes]]
) -> None:
    with pytest.raises(ConfigError, match=r"roommood keys init.*--insecure"):
        bind(context, everywhere(), insecure=False)
    close(bind(context, everywhere(), insecure=False, keys=WORKERS))
    close(bind(context, everywhere(), insecure=True))


def everywhere() -> str:
    return free_address().replace("127.0.0.1", "0.0.0.0")


def test_an_entrance_that_cannot_be_bound_leaves_no_authenticator_behind(
    context: Context, address: str
) -> None:
    taken = bind_reports(context, address, insecure=False)
    settings = load(AggregatorSettings, None, {"bind": address})
    with pytest.raises(ConfigError, match="cannot listen"):
        Listener(context, bind_reports, settings, WORKERS, NOBODY)
    assert "authenticator" not in {thread.name for thread in threading.enumerate()}
    close(taken)
