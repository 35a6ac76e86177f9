"""Which rooms are new to an aggregator: not those that its site lists."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from roommood.aggregator.counting.admission import Admission
from roommood.aggregator.counting.clock_guard import ClockGuard
from roommood.aggregator.counting.housekeeping import Housekeeping
from roommood.aggregator.counting.memory_watch import MemoryWatch
from roommood.aggregator.counting.peers import Peers
from roommood.aggregator.counting.redis_status import RedisStatus
from roommood.aggregator.counting.store import Store
from roommood.shared.process.metrics import Health
from roommood.shared.protocol.limits import ROOMS_AT_ONCE
from roommood.shared.security.allow_list import AllowList, Entry, render_allow_list
from tests.aggregator.made import HOUR_MS, delivery, result
from tests.redis_server import RedisServer

ROOMS = [f"room-{number}" for number in range(3 * ROOMS_AT_ONCE)]


@pytest.fixture
def store() -> Iterator[Store]:
    with RedisServer() as server:
        store = Store(server.url)
        yield store
        store.close()


def listed(path: Path) -> AllowList:
    entries = [
        Entry(f"camera-{place}", room, f"{place:040d}", date(2026, 1, 1))
        for place, room in enumerate(ROOMS)
    ]
    path.write_text(render_allow_list(entries))
    path.chmod(0o644)
    return AllowList(path)


def counted_at_once(store: Store, allow_list: AllowList | None) -> int:
    health, admission = Health("aggregator"), Admission()
    house = Housekeeping(
        store, RedisStatus(store, health), ClockGuard(store.clock_ms, health),
        MemoryWatch(health), Peers(), admission, allow_list,
    )  # fmt: skip
    house.tick(0.0, HOUR_MS)
    deliveries = [delivery(result(room=room)) for room in ROOMS]
    return [admission.waits_for(each, HOUR_MS, 0.0) for each in deliveries].count("")


def test_a_room_that_the_site_lists_is_counted_of_at_once(store: Store, tmp_path: Path) -> None:
    assert counted_at_once(store, listed(tmp_path / "cameras.toml")) == len(ROOMS)
    assert counted_at_once(store, None) == ROOMS_AT_ONCE
