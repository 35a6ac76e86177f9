"""The store and the read side on a real Redis Cluster of three nodes."""

import dataclasses
from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis.cluster import RedisCluster

from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.outcomes import CommitReport, Outcome
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.client import connect
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.stats.site import SiteReader
from roommood.shared.clock import wall_ms
from roommood.shared.errors import ConfigError, ShardAway, StoreAway, StoreError
from tests.aggregator.made import HOUR_MS, counters, delivery, face, result, stored, stream
from tests.end_to_end.site import until
from tests.ports import free_port
from tests.redis_cluster import Cluster

NOW_MS = HOUR_MS + 301_000
# Enough for each of the three nodes to keep some.
ROOMS = tuple(f"room-{number}" for number in range(12))


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def client(cluster: Cluster) -> Iterator[RedisCluster]:
    client = cluster.client()
    yield client
    client.close()


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    shared_cluster.client().flushall()
    return shared_cluster


@pytest.fixture
def store(cluster: Cluster) -> Iterator[Store]:
    store = Store(cluster.url)
    yield store
    store.close()


def deliver_until_acknowledged(store: Store, deliveries: list[Delivery]) -> int:
    """Sends 24 at a time, again and again, each twice; returns the attempts left unsettled."""
    waiting, unsettled = list(deliveries), 0
    while waiting:
        sent, waiting = waiting[:24], waiting[24:]
        outcomes = store.commit(sent, NOW_MS).outcomes
        again = [
            delivery for delivery, o in zip(sent, outcomes, strict=True) if o is Outcome.UNSETTLED
        ]
        settled = [delivery for delivery in sent if delivery not in again]
        repeated = store.commit(settled, NOW_MS).outcomes
        assert set(repeated) <= {Outcome.DUPLICATE, Outcome.UNSETTLED}
        unsettled += len(again)
        waiting += again
    return unsettled


def settled_somewhere(store: Store, deliveries: list[Delivery]) -> CommitReport | None:
    """What became of them, where any node settled any; a second attempt changes nothing."""
    report = store.commit(deliveries, NOW_MS)
    return report if set(report.outcomes) != {Outcome.UNSETTLED} else None


def test_the_rooms_of_these_tests_lie_on_all_nodes(cluster: Cluster) -> None:
    assert {cluster.node_of(room) for room in ROOMS} == {0, 1, 2}


def test_results_of_rooms_on_all_nodes_are_counted_once(store: Store, client: RedisCluster) -> None:
    deliveries = stream(21, 40, ROOMS)
    assert deliver_until_acknowledged(store, deliveries) == 0
    assert stored(client, *ROOMS) == counters(deliveries)


def test_a_node_that_is_lost_takes_only_its_own_rooms_and_is_caught_up_with() -> None:
    deliveries = stream(22, 30, ROOMS)
    with Cluster() as cluster:
        lost = cluster.node_of(ROOMS[0])
        store = Store(cluster.url)
        store.commit(deliveries[:24], NOW_MS)
        cluster.nodes[lost].kill()
        # Who answers late on a busy machine is away for a while, too, as the first attempt sees it.
        report = until(lambda: settled_somewhere(store, deliveries), "living nodes answer")
        settled = {
            delivery.result.room
            for delivery, outcome in zip(deliveries, report.outcomes, strict=True)
            if outcome is not Outcome.UNSETTLED
        }
        assert settled == {room for room in ROOMS if cluster.node_of(room) != lost}
        assert {type(error) for error in report.errors.values()} == {ShardAway}
        assert report.away is None
        assert store.shards_away == {f"127.0.0.1:{cluster.ports[lost]}"}
        cluster.nodes[lost].start()
        assert deliver_until_acknowledged(store, deliveries) > 0
        assert store.shards_away == frozenset()
        with cluster.client() as client:
            assert stored(client, *ROOMS) == counters(deliveries)
        for node in cluster.nodes:
            node.kill()
        store.commit(deliveries, NOW_MS)
        assert isinstance(store.commit(deliveries, NOW_MS).away, StoreAway)
        store.close()


def test_nodes_that_keep_nothing_on_disk_fail_the_same_check() -> None:
    deliveries = stream(22, 30, ROOMS)
    with Cluster(appendonly="no") as cluster:
        lost = cluster.node_of(ROOMS[0])
        store = Store(cluster.url)
        store.commit(deliveries, NOW_MS)
        cluster.nodes[lost].kill()
        cluster.nodes[lost].start()
        deliver_until_acknowledged(store, deliveries[24:])
        with cluster.client() as client:
            assert stored(client, *ROOMS) != counters(deliveries)
        store.close()


def test_nodes_that_forgot_the_script_are_told_it_again(
    store: Store, cluster: Cluster, client: RedisCluster
) -> None:
    deliveries = stream(23, 2, ROOMS)
    store.commit(deliveries[:12], NOW_MS)
    for node in cluster.nodes:
        with node.client() as connection:
            connection.script_flush()
    store.commit(deliveries, NOW_MS)
    assert stored(client, *ROOMS) == counters(deliveries)


def test_a_cluster_is_read_paused_and_forgotten_as_one_redis_is(
    store: Store, cluster: Cluster, client: RedisCluster
) -> None:
    now_ms = wall_ms()
    store.check_schema()
    kept = [delivery(result(0, face(), room=room), now_ms - 100) for room in ROOMS]
    store.commit(kept, now_ms)
    store.touch_rooms(dict.fromkeys(ROOMS, now_ms))
    store.write_health({"door": {"sent": 1}}, {"w": {"threads": 1}}, now_ms)
    store.pause("room-3")
    with RoomStats(cluster.url) as stats:
        assert [known.room for known in stats.rooms()] == sorted(ROOMS)
        assert [known.room for known in stats.rooms() if known.paused] == ["room-3"]
        assert all(now.people == 1 for now in stats.live_rooms())
        assert all(stats.summary(room, timedelta(hours=1)).people == 1 for room in ROOMS)
        assert stats.history("room-0", timedelta(minutes=2), timedelta(seconds=10))[-1]
        assert store.forget("room-0", now_ms) > 4
        assert "room-0" not in [known.room for known in stats.rooms()]
    assert client.hgetall(redis_keys.camera("door"))["sent"] == "1"
    assert set(store.commit(kept[:1], now_ms).outcomes) == {Outcome.FORGOTTEN}
    assert list(client.scan_iter(redis_keys.of_room("room-0"))) == [redis_keys.forgotten("room-0")]


def test_one_node_that_answers_suffices_to_find_the_others(cluster: Cluster) -> None:
    url = f"redis://127.0.0.1:{free_port()},127.0.0.1:{cluster.ports[2]}?cluster=true"
    with RoomStats(url) as stats:
        assert stats.rooms() == []


def known_rooms(store: Store) -> None:
    """A frame of each room, with the health of its camera, as of now."""
    now_ms = wall_ms()
    store.check_schema()
    frames = [
        delivery(result(0, face(), room=room, camera=f"cam-{room}"), now_ms - 100) for room in ROOMS
    ]
    assert not store.commit(frames, now_ms).errors
    store.touch_rooms(dict.fromkeys(ROOMS, now_ms))
    store.write_health({f"cam-{room}": {"room": room} for room in ROOMS}, {"w": {}}, now_ms)
    store.pause(ROOMS[0])


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_with_any_one_node_down_readers_connect_and_show_what_lives(lost: int) -> None:
    """Also with a URL that names living nodes only, and with one that names the lost one first."""
    with Cluster() as cluster:
        store = Store(cluster.url)
        known_rooms(store)
        cluster.nodes[lost].kill()
        node = f"127.0.0.1:{cluster.ports[lost]}"
        living = [f"127.0.0.1:{port}" for port in cluster.ports if f"127.0.0.1:{port}" != node]
        for hosts in (",".join(living), living[0], f"{node},{living[1]}"):
            look_at(f"redis://{hosts}?cluster=true", cluster, lost, node)
        on_living = next(
            room
            for room in ("new-1", "new-2", "new-3", "new-4", "new-5", "new-6")
            if cluster.node_of(room) != lost
        )
        with pytest.raises(ShardAway):
            store.touch_rooms({on_living: wall_ms()})
        with RoomStats(f"redis://{living[0]}?cluster=true") as stats:
            assert on_living in [known.room for known in stats.rooms()]
        newcomer = Store(f"redis://{living[0]}?cluster=true")
        newcomer.check_schema()
        assert newcomer.paused_rooms() == (ROOMS[0],)
        newcomer.close()
        store.close()


def look_at(url: str, cluster: Cluster, lost: int, node: str) -> None:
    reader = SiteReader(url)
    site = reader.look()
    on_lost = {room for room in ROOMS if cluster.node_of(room) == lost}
    assert site.away == {node}
    assert [known.room for known in site.rooms] == sorted(ROOMS)
    assert [known.room for known in site.rooms if known.paused] == [ROOMS[0]]
    assert {now.room for now in site.now if now.away} == on_lost
    assert all(now.people == 1 for now in site.now if not now.away)
    minutes = reader.lately([*ROOMS], timedelta(minutes=5))
    assert {room for room, minute in zip(ROOMS, minutes, strict=True) if minute is None} == on_lost
    asked = {
        f"cam-{r}" for r in ROOMS if cluster.node_of_key(redis_keys.camera(f"cam-{r}")) != lost
    }
    assert {camera.camera for camera in site.cameras} == asked
    reader.close()
    with RoomStats(url) as stats:
        for room in set(ROOMS) - on_lost:
            assert stats.summary(room, timedelta(minutes=5)).people == 1
        for room in on_lost:
            with pytest.raises(ShardAway, match=node):
                stats.summary(room, timedelta(minutes=5))
        with pytest.raises(StoreAway if on_lost else ConfigError):
            stats.summary("nowhere", timedelta(minutes=5))


def test_what_is_set_while_a_node_is_away_is_told_with_how_far_it_is_in_force() -> None:
    with Cluster() as cluster:
        store = Store(cluster.url)
        known_rooms(store)
        lost = cluster.node_of_key(redis_keys.copies(redis_keys.PAUSED, True)[-1])
        cluster.nodes[lost].kill()
        node = f"127.0.0.1:{cluster.ports[lost]}"
        with pytest.raises(ShardAway, match=f"{node} .* in force by what the other nodes keep"):
            store.pause(ROOMS[1])
        assert store.paused_rooms() == tuple(sorted(ROOMS[:2]))
        with pytest.raises(ShardAway, match=f"{node} .* in force as long as that node is away"):
            store.resume(ROOMS[0])
        assert store.paused_rooms() == (ROOMS[1],)
        with pytest.raises(ShardAway, match="in force as long as that node is away"):
            store.set_group(ROOMS[1], "upstairs")
        store.close()


def test_why_a_living_node_serves_nobody_is_told_also_while_it_is_not_tried() -> None:
    """With Redis' default one lost node stops all of them."""
    with Cluster(cluster_require_full_coverage="yes") as cluster, RoomStats(cluster.url) as stats:
        room = next(room for room in ROOMS if cluster.node_of(room) != 0)
        known_rooms(store := Store(cluster.url))
        store.close()
        stats.summary(room, timedelta(minutes=5))
        cluster.nodes[0].kill()

        def why_not() -> str:
            with pytest.raises(StoreError) as caught:
                stats.summary(room, timedelta(minutes=5))
            return str(caught.value)

        until(lambda: _serves_nobody(cluster), "the living nodes have noticed")
        reasons = [why_not() for _ in range(5)]
    assert all("cluster-require-full-coverage is yes" in why for why in reasons), reasons


def _serves_nobody(cluster: Cluster) -> bool:
    states = []
    for node in cluster.nodes[1:]:
        with node.client() as client:
            states.append(client.execute_command("CLUSTER INFO")["cluster_state"])
    return set(states) == {"fail"}


def test_a_store_is_made_while_its_cluster_is_away() -> None:
    store = Store(f"redis://127.0.0.1:{free_port()}?cluster=true")
    report = store.commit([delivery(result())], NOW_MS)
    assert isinstance(report.away, StoreAway)
    assert not isinstance(report.away, ShardAway)
    with pytest.raises(StoreAway):
        store.check_schema()


@pytest.mark.parametrize(
    "url",
    [
        "unix:///run/redis.sock?cluster=true",
        "redis://127.0.0.1:6379/1?cluster=true",
        "redis://127.0.0.1:6379,elsewhere:http?cluster=true",
    ],
)
def test_a_url_that_no_cluster_can_have_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        connect(url)


def test_what_was_acknowledged_twice_is_told_as_a_duplicate(store: Store) -> None:
    given = delivery(result(7, face()))
    other = dataclasses.replace(given, ticket="again")
    assert store.commit([given, other], NOW_MS).outcomes == (Outcome.COMMITTED, Outcome.DUPLICATE)
