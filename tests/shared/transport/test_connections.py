"""Which connections to a bound socket are cut: those that never end a message, or say nothing."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from roommood.shared.protocol.limits import (
    MAX_HANDSHAKE_BYTES,
    MAX_JPEG_BYTES,
    MAX_UNFINISHED_BYTES,
    MAX_UNFINISHED_BYTES_IN_ALL,
    MAX_UNSHAKEN_OF_ADDRESS,
    MUTE_MS,
)
from roommood.shared.transport import strangers, tcp
from roommood.shared.transport.connections import Connections
from tests.end_to_end.site import until

_CHUNK = bytes(1 << 20)
FIRST = 100_000


class Pair:
    """Both ends of a TCP connection; what is sent is read at once, as libzmq does."""

    def __init__(self, listener: socket.socket) -> None:
        self.client = socket.create_connection(listener.getsockname())
        self.server, _ = listener.accept()
        self.fd = self.server.fileno()

    def send(self, count: int) -> None:
        while count:
            sent = self.client.send(_CHUNK[: min(count, len(_CHUNK))])
            left = sent
            while left:
                left -= len(self.server.recv(left))
            count -= sent

    def fill(self) -> None:
        """With more than the kernel takes: nobody reads."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.client.send(_CHUNK)

    def is_refused(self) -> bool:
        try:
            self.client.send(b"x")
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        return False

    def shake_hands(self) -> None:
        """As far as this side can see: more than a greeting and WELCOME has arrived."""
        self.server.sendall(bytes(300))
        self.client.recv(300, socket.MSG_WAITALL)
        until(lambda: tcp.bytes_acked(self.fd) >= 300, "it is acknowledged")

    def is_cut(self) -> bool:
        self.client.settimeout(0.0)
        try:
            return self.client.recv(1) == b""
        except BlockingIOError:
            return False
        finally:
            self.client.settimeout(None)

    def close(self) -> None:
        self.client.close()
        self.server.close()


class Crowd:
    """Connections, the time, which a test moves on, and the memory that this process holds."""

    def __init__(self, listener: socket.socket, keyed: bool) -> None:
        self.listener = listener
        self.held_bytes, self.grows = 0, True
        self.connections = Connections(keyed=keyed, first=FIRST, memory=self.memory)
        self.pairs: list[Pair] = []
        self.cut_at_accept: list[str] = []
        self.now_ms = 1_000_000.0

    def memory(self) -> int:
        self.held_bytes += MAX_UNFINISHED_BYTES if self.grows else 0
        return self.held_bytes

    def accept(self) -> Pair:
        pair = self.accept_stranger()
        pair.shake_hands()
        return pair

    def accept_stranger(self) -> Pair:
        pair = Pair(self.listener)
        self.pairs.append(pair)
        self.cut_at_accept += self.connections.accepted(pair.fd, self.now_ms)
        return pair

    def close(self) -> None:
        for pair in self.pairs:
            pair.close()

    def look(self, after_ms: float = 300.0) -> list[str]:
        self.now_ms += after_ms
        cut = self.connections.look(self.now_ms, self.connections.take_heard())
        return cut + self.connections.cut(self.now_ms)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        closing(Crowd(listener, keyed=True)) as crowd,
    ):
        yield crowd


@pytest.fixture
def keyless() -> Iterator[Crowd]:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        closing(Crowd(listener, keyed=False)) as crowd,
    ):
        yield crowd


def test_a_connection_that_speaks_is_left_alone_however_much_it_says(crowd: Crowd) -> None:
    pair = crowd.accept()
    for _ in range(5):
        pair.send(MAX_UNFINISHED_BYTES // 2)
        crowd.connections.heard(pair.fd)
        assert crowd.look() == []
    assert not pair.is_cut()


@pytest.mark.parametrize(("more", "due"), [(-1, []), (0, []), (1, ["endless"])])
def test_a_message_may_take_so_many_bytes_to_end(crowd: Crowd, more: int, due: list[str]) -> None:
    pair = crowd.accept()
    pair.send(1000)
    crowd.connections.heard(pair.fd)
    crowd.look()
    pair.send(MAX_UNFINISHED_BYTES + more)
    assert crowd.look() == due
    assert pair.is_cut() == bool(due)


def test_while_memory_does_not_grow_connections_are_looked_at_each_second(crowd: Crowd) -> None:
    crowd.grows = False
    pair = crowd.accept()
    assert crowd.look() == []
    pair.send(MAX_UNFINISHED_BYTES + 1)
    assert [crowd.look(250.0) for _ in range(4)] == [[], [], [], ["endless"]]
    assert pair.is_cut()


@pytest.mark.parametrize(
    ("grown", "due"), [(MAX_JPEG_BYTES, []), (MAX_JPEG_BYTES + 1, ["endless"])]
)
def test_where_memory_has_grown_since_they_are_looked_at_sooner(
    crowd: Crowd, grown: int, due: list[str]
) -> None:
    crowd.grows, crowd.held_bytes = False, 10 * MAX_JPEG_BYTES
    pair = crowd.accept()
    assert crowd.look() == []
    pair.send(MAX_UNFINISHED_BYTES + 1)
    crowd.held_bytes += grown - 1
    assert crowd.look(250.0) == []
    crowd.held_bytes += 1
    assert crowd.look(250.0) == due


def test_memory_that_shrank_and_grows_again_has_grown(crowd: Crowd) -> None:
    crowd.grows, crowd.held_bytes = False, 10 * MAX_JPEG_BYTES
    pair = crowd.accept()
    crowd.look()
    crowd.held_bytes = 0
    assert crowd.look(250.0) == []
    pair.send(MAX_UNFINISHED_BYTES + 1)
    crowd.held_bytes = MAX_JPEG_BYTES + 1
    assert crowd.look(250.0) == ["endless"]


def test_of_many_that_end_nothing_the_worst_is_cut_until_they_fit(crowd: Crowd) -> None:
    each = MAX_UNFINISHED_BYTES - 1
    many = MAX_UNFINISHED_BYTES_IN_ALL // each + 1
    small = crowd.accept()
    small.send(1000)
    pairs = [crowd.accept() for _ in range(many)]
    for pair in pairs:
        pair.send(each)
    assert crowd.look() == ["endless"]
    assert sum(pair.is_cut() for pair in pairs) == 1
    assert not small.is_cut()
    assert crowd.look() == []


@pytest.mark.parametrize(("more", "due"), [(0, []), (1, ["crowd"])])
def test_before_its_handshake_one_may_send_what_that_takes(
    crowd: Crowd, more: int, due: list[str]
) -> None:
    known, stranger = crowd.accept(), crowd.accept_stranger()
    known.send(2 * MAX_HANDSHAKE_BYTES)
    stranger.send(MAX_HANDSHAKE_BYTES + more)
    assert crowd.look(25.0) == due
    assert stranger.is_cut() == bool(due)
    assert not known.is_cut()


@pytest.mark.parametrize(("more", "due"), [(0, []), (1, ["crowd"])])
def test_without_keys_a_first_message_is_bounded_whether_hands_were_shaken(
    keyless: Crowd, more: int, due: list[str]
) -> None:
    known, stranger = keyless.accept(), keyless.accept()
    keyless.connections.heard(known.fd)
    known.send(2 * (MAX_HANDSHAKE_BYTES + FIRST))
    stranger.send(MAX_HANDSHAKE_BYTES + FIRST + more)
    assert keyless.look(25.0) == due
    assert stranger.is_cut() == bool(due)
    assert not known.is_cut()


def test_who_is_heard_before_it_is_known_that_it_came_is_no_stranger(keyless: Crowd) -> None:
    pair = Pair(keyless.listener)
    keyless.pairs.append(pair)
    keyless.connections.heard(pair.fd)
    heard = keyless.connections.take_heard()
    keyless.connections.accepted(pair.fd, keyless.now_ms)
    pair.send(2 * (MAX_HANDSHAKE_BYTES + FIRST))
    assert keyless.connections.look(keyless.now_ms + 25.0, heard) == []
    assert not pair.is_cut()


def test_of_strangers_that_send_too_much_together_the_worst_are_cut(
    keyless: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "MAX_UNSHAKEN_BYTES_IN_ALL", 2 * FIRST)
    few, more, most = (keyless.accept() for _ in range(3))
    for pair, count in ((few, FIRST // 2), (more, FIRST - 1), (most, FIRST)):
        pair.send(count)
    assert keyless.look(25.0) == ["crowd"]
    assert [stranger.is_cut() for stranger in (few, more, most)] == [False, False, True]
    assert keyless.look(25.0) == []


def test_of_one_address_only_so_many_may_be_at_their_handshake(crowd: Crowd) -> None:
    strangers = [crowd.accept_stranger() for _ in range(MAX_UNSHAKEN_OF_ADDRESS)]
    assert crowd.cut_at_accept == []
    assert crowd.accept_stranger().is_cut()
    assert crowd.cut_at_accept == ["crowd"]
    strangers[0].shake_hands()
    crowd.look(25.0)
    assert not crowd.accept_stranger().is_cut()
    assert not any(stranger.is_cut() for stranger in strangers)


def test_where_too_many_are_at_it_in_all_the_oldest_is_cut(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "MAX_UNSHAKEN_IN_ALL", 2)
    first, second, third = (crowd.accept_stranger() for _ in range(3))
    assert (first.is_cut(), second.is_cut(), third.is_cut()) == (True, False, False)


@pytest.mark.parametrize(
    ("after_ms", "due"), [(MUTE_MS - 1, []), (MUTE_MS, []), (MUTE_MS + 1, ["mute"])]
)
def test_a_connection_may_be_mute_for_so_long(
    crowd: Crowd, after_ms: float, due: list[str]
) -> None:
    pair = crowd.accept()
    assert crowd.look(after_ms) == due
    assert pair.is_cut() == bool(due)
    assert len(crowd.connections) == (not due)


def test_each_message_starts_the_time_anew(crowd: Crowd) -> None:
    pair = crowd.accept()
    for _ in range(4):
        crowd.connections.heard(pair.fd)
        assert crowd.look(MUTE_MS * 0.9) == []


def test_who_is_heard_after_it_was_looked_at_is_neither_mute_nor_endless(crowd: Crowd) -> None:
    mute, endless = crowd.accept(), crowd.accept()
    endless.send(MAX_UNFINISHED_BYTES + 1)
    assert crowd.connections.look(crowd.now_ms + 2 * MUTE_MS, []) == []
    assert crowd.connections.overdue
    crowd.connections.heard(mute.fd)
    crowd.connections.heard(endless.fd)
    assert crowd.connections.cut(crowd.now_ms + 2 * MUTE_MS) == []
    assert not crowd.connections.overdue
    assert not mute.is_cut()
    assert not endless.is_cut()


def test_who_sends_fast_is_looked_at_as_often_as_strangers(crowd: Crowd) -> None:
    slow, fast = crowd.accept(), crowd.accept()
    slow.send(MAX_UNFINISHED_BYTES // 4)
    fast.send(MAX_UNFINISHED_BYTES // 2)
    assert crowd.look() == []
    assert crowd.connections.next_look_ms(crowd.now_ms) == strangers.LOOK_EVERY_MS
    slow.send(MAX_UNFINISHED_BYTES)
    fast.send(MAX_UNFINISHED_BYTES)
    assert crowd.look(strangers.LOOK_EVERY_MS) == ["endless"]
    assert (slow.is_cut(), fast.is_cut()) == (False, True)
    assert crowd.look() == ["endless"]
    assert slow.is_cut()


def test_who_is_fast_no_more_is_looked_at_as_others_are(crowd: Crowd) -> None:
    pair = crowd.accept()
    pair.send(MAX_UNFINISHED_BYTES // 2)
    crowd.look()
    crowd.look(240.0)
    assert crowd.connections.next_look_ms(crowd.now_ms) == strangers.LOOK_EVERY_MS
    crowd.look(10.0)
    assert crowd.connections.next_look_ms(crowd.now_ms) == 250.0


def test_a_connection_that_closed_is_forgotten(crowd: Crowd) -> None:
    pair = crowd.accept()
    crowd.connections.closed(pair.fd)
    crowd.connections.heard(pair.fd)
    assert crowd.look(2 * MUTE_MS) == []
    assert not pair.is_cut()


def test_who_pours_into_a_full_buffer_learns_that_it_is_cut(crowd: Crowd) -> None:
    pair = crowd.accept()
    pair.client.setblocking(False)
    pair.fill()
    assert crowd.look(MUTE_MS + 1) == ["mute"]
    pair.server.setblocking(False)
    while pair.server.recv(1 << 20):  # as libzmq does, which then closes it
        pass
    pair.server.close()
    until(pair.is_refused, "it is told", 20.0)


def test_a_descriptor_that_is_another_s_by_now_is_not_touched(crowd: Crowd) -> None:
    old = crowd.accept()
    fd = old.fd
    old.close()
    newcomer = Pair(crowd.listener)
    crowd.pairs.append(newcomer)
    assert newcomer.client.fileno() == fd or newcomer.fd == fd
    assert crowd.look(MUTE_MS + 1) == ["mute"]
    assert not newcomer.is_cut()


def test_a_descriptor_that_was_a_socket_pair_s_before_it_was_looked_at_is_not_touched(
    crowd: Crowd,
) -> None:
    """A connection that ends at once may leave its number to what this process opens next."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert crowd.connections.accepted(ours.fileno(), crowd.now_ms) == []
        assert crowd.connections.peer(ours.fileno()) == ""
        assert list(crowd.connections.own_addresses()) == []
        assert crowd.look(MUTE_MS + 1) == ["mute"]
        theirs.send(b"x")
        assert ours.recv(1) == b"x"
        assert not crowd.connections


def test_a_descriptor_that_is_closed_or_no_socket_costs_nothing(crowd: Crowd) -> None:
    pair = crowd.accept()
    pair.close()
    with open("/dev/null", "rb") as no_socket:
        crowd.connections.accepted(no_socket.fileno(), crowd.now_ms)
        assert crowd.look() == []
        assert sorted(crowd.look(MUTE_MS)) == ["mute", "mute"]
