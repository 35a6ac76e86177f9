"""Host names of Redis: they hold nobody up, and lead where the system says."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import connections
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.shared.errors import StoreAway
from tests.ports import free_port
from tests.redis_server import RedisServer


@pytest.fixture
def unanswered(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No name server answers, until the event is set; nobody waits long for one."""
    released = threading.Event()
    monkeypatch.setattr(connections, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(60.0) and [])
    yield released
    released.set()


@pytest.mark.parametrize(
    "url",
    [
        "redis://plain.lan:6379/0", "rediss://tls.lan:6379/0",
        "redis://node.lan:6379?cluster=true", "redis+sentinel://sentinel.lan:26379/site/0",
    ],
)  # fmt: skip
def test_a_name_that_no_server_answers_is_a_redis_that_is_away(
    url: str, unanswered: threading.Event
) -> None:
    with pytest.raises(StoreAway, match=r"no name server answered|no answer of a sentinel\)"):
        Store(url).check_schema()
    assert not unanswered.is_set()


def test_all_addresses_of_a_name_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    port, real = free_port(), socket.getaddrinfo
    family = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    addresses = [(*family, (host, port)) for host in ("127.0.0.9", "127.0.0.1")]

    def of_two(host: str, *rest: Any, **more: Any) -> list[Any]:
        return addresses if host == "desk.lan" else real(host, *rest, **more)

    with RedisServer(port=str(port)):
        monkeypatch.setattr(socket, "getaddrinfo", of_two)
        with RoomStats(f"redis://desk.lan:{port}/0") as stats:
            assert stats.rooms() == []


def test_what_is_no_utf8_is_nobodys_name() -> None:
    with RedisServer() as server:
        with redis.Redis.from_url(server.url) as by_hand:
            by_hand.sadd("roommood:paused", "k\xfcche".encode("latin-1"), "kitchen")
            by_hand.zadd("roommood:rooms", {b"k\xfcche": 1.0, b"kitchen": 2.0})
        store = Store(server.url)
        assert "kitchen" in store.paused_rooms()
        assert "kitchen" in store.rooms()
        store.close()
        with RoomStats(server.url) as stats:
            assert [room.paused for room in stats.rooms() if room.room == "kitchen"] == [True]
