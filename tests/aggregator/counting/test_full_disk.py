"""A Redis that cannot write its snapshot refuses every change, and says how it takes them."""

import re
import shlex

import pytest
import redis

from roommood.aggregator.counting.store import Store
from roommood.shared.errors import StoreRefuses
from tests.end_to_end.site import until
from tests.redis_server import RedisServer


def test_a_pause_that_a_full_disk_refuses_says_what_lets_it_through() -> None:
    with RedisServer(save="1 1") as server, server.client() as admin:
        # No file can take the place of a folder.
        (server.socket.parent / "dump.rdb").mkdir()
        admin.set("roommood:anything", "new")
        until(lambda: _snapshot(admin) == "err", "the snapshot has failed")
        store = Store(server.url)
        with pytest.raises(StoreRefuses, match="its disk is full or not writable") as refused:
            store.pause("kitchen")
        command = re.search("`redis-cli (.*?)`", str(refused.value))
        assert command is not None
        admin.execute_command(*shlex.split(command[1]))
        store.pause("kitchen")
        assert store.paused_rooms() == ("kitchen",)
        store.close()


def _snapshot(admin: redis.Redis) -> str:
    return str(admin.info("persistence")["rdb_last_bgsave_status"])
