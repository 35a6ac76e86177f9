"""A Redis that may throw away what makes counting exact is told of: log, health, page."""

import logging
from pathlib import Path

import pytest

from roommood.aggregator.counting.memory_watch import MemoryWatch, RedisMemory
from roommood.aggregator.counting.store import Store
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.deploy.keys.redis_users import write_redis_access
from roommood.shared.process.metrics import Health
from tests.redis_server import RedisServer


@pytest.mark.parametrize(
    ("policy", "limit", "evicts"),
    [("allkeys-lru", "64mb", True), ("volatile-ttl", "64mb", True),
     ("noeviction", "64mb", False), ("allkeys-lru", "0", False)],
)  # fmt: skip
def test_a_redis_that_may_evict_is_told_from_one_that_does_not(
    policy: str, limit: str, evicts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    health = Health("aggregator")
    watch = MemoryWatch(health)
    with (
        RedisServer(maxmemory=limit, maxmemory_policy=policy) as server,
        caplog.at_level("WARNING"),
    ):
        store = Store(server.url)
        for _ in range(3):  # told once an hour, however often it is looked at
            watch.look(store.memory())
        store.warn(watch.warning)
        with RoomStats(server.url) as stats:
            assert ("maxmemory-policy" in stats.warning()) is evicts
        store.warn("")
        with RoomStats(server.url) as stats:
            assert stats.warning() == ""
        store.close()
    assert [record.message for record in caplog.records] == ["redis may evict"] * evicts
    assert health.detail["redis_may_evict"] is evicts


def test_it_is_told_again_after_it_was_mended(caplog: pytest.LogCaptureFixture) -> None:
    watch = MemoryWatch(Health("aggregator"))
    with caplog.at_level(logging.WARNING):
        for policy in ("allkeys-lru", "noeviction", "allkeys-lru"):
            watch.look(RedisMemory(1, 100, policy))
    assert len(caplog.records) == 2


def test_the_shipped_rights_suffice_and_without_them_nothing_is_said(tmp_path: Path) -> None:
    access = write_redis_access(tmp_path)
    with access.acl.open("a") as acl:
        acl.write("user admin on >secret ~* &* +@all\n")
    with RedisServer(
        login="admin:secret",
        aclfile=str(access.acl),
        maxmemory="64mb",
        maxmemory_policy="allkeys-lru",
    ) as server:
        url = server.url.replace("unix://", "unix://writer@")
        writer = Store(url, access.writer_password)
        assert writer.memory().may_evict
        writer.warn("something")
        writer.close()
        reader = Store(url.replace("writer@", "reader@"), access.reader_password)
        assert reader.memory() == RedisMemory(0, 0)
        reader.close()
