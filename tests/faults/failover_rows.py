"""Masters that are replaced, and a Cluster that is read while one of its nodes is down."""

import time
from functools import partial
from typing import Any, Final, cast

from redis.exceptions import RedisClusterException, RedisError

from roommood.aggregator.counting.store import Store
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.stats.site import Site, SiteReader
from roommood.shared.clock import wall_ms
from roommood.shared.errors import StoreError
from tests.aggregator.made import delivery, face, result
from tests.end_to_end.site import until
from tests.faults.kitchen import kitchen
from tests.faults.plant import AGGREGATOR, DURABLE
from tests.redis_cluster import Cluster
from tests.redis_pair import RedisPair, follows
from tests.redis_sentinels import Sentinels
from tests.rows import Outcome, Row, Trial

ROOMS: Final = tuple(f"room-{number}" for number in range(12))
# What a server says of itself changes nothing: its connections are kept.
_POOL_IS_KEPT: Final = {
    AGGREGATOR: """
from roommood.aggregator.redis import servers
servers.leave_wrong_server = lambda client: None
"""
}


def behind_one_address(trial: Trial) -> Outcome:
    """The old master lives on as a replica, and keeps the connections that it has."""
    pair = RedisPair(**DURABLE)
    with kitchen(trial, _POOL_IS_KEPT, server=pair) as room:
        backs = []
        for _ in range(trial.times):
            room.load()
            pair.swap()
            backs.append(room.back_s(time.time()))
        return room.judged(backs, room.settle())


def sentinels_killed_master(trial: Trial) -> Outcome:
    """The master is killed; in the control its address is all that the aggregator knows."""
    watched = Sentinels()
    direct = ("--redis", f"redis://127.0.0.1:{watched.ports[0]}/0")
    options = () if trial.protected else direct
    with kitchen(trial, {}, *options, server=watched) as room:
        backs = []
        for _ in range(trial.times):
            room.load()
            killed = watched.servers[watched.master()]
            killed.kill()
            backs.append(room.back_s(time.time()))
            killed.start()
            until(partial(follows, killed), "the old master follows", 60.0)
        return room.judged(backs, room.settle())


# Reading a Cluster


def cluster_reader(trial: Trial, *, hangs: bool) -> Outcome:
    """Each node in turn is down; in the control redis-py's own client of the Cluster reads."""
    with Cluster() as cluster:
        store, backs, longest_s = Store(cluster.url), [], 0.0
        _show(store)
        reader = SiteReader(cluster.url)
        for number in range(trial.times):
            lost = number % 3
            node = cluster.nodes[lost]
            (node.freeze if hangs else node.kill)()
            began_s = time.monotonic()
            if trial.protected:
                _check(reader.look(), cluster, lost)
                reader.look()
            else:
                _look_plainly(cluster)
            longest_s = max(longest_s, time.monotonic() - began_s)
            (node.thaw if hangs else node.start)()
            ended = time.time()
            until(partial(_is_whole, reader), "all rooms are there again", 60.0)
            backs.append(time.time() - ended)
        reader.close()
        store.close()
        return Outcome(
            recovery_s=max(backs), detail=f"two looks took at most {longest_s:.1f} s meanwhile"
        )


def _show(store: Store) -> None:
    now_ms = wall_ms()
    store.check_schema()
    frames = [delivery(result(0, face(), room=room), now_ms - 100) for room in ROOMS]
    assert not store.commit(frames, now_ms).errors
    store.touch_rooms(dict.fromkeys(ROOMS, now_ms))


def _check(site: Site, cluster: Cluster, lost: int) -> None:
    assert [known.room for known in site.rooms] == sorted(ROOMS)
    unknown = {now.room for now in site.now if now.away}
    assert unknown == {room for room in ROOMS if cluster.node_of(room) == lost}
    assert site.away == {f"127.0.0.1:{cluster.ports[lost]}"}


def _is_whole(reader: SiteReader) -> bool:
    try:
        site = reader.look()
    except StoreError:
        return False
    return not site.away and not any(now.away for now in site.now)


def _look_plainly(cluster: Cluster) -> None:
    try:
        client = cast(Any, cluster.client())
        with RoomStats(client) as stats:
            assert len(stats.live_of(ROOMS)) == len(ROOMS)
    except (StoreError, RedisError, RedisClusterException) as error:
        raise AssertionError(f"nothing could be read: {error}") from error


_row: Final = partial(Row, group="Redis", times=3)
ROWS: Final[tuple[Row, ...]] = (
    _row(
        "failover-address", "another master behind the same address, the old one a replica",
        behind_one_address, control="leaving a server that says it is the wrong one",
        control_times=1, recover_within_s=3.0,
    ),
    _row(
        "sentinel-master-killed", "SIGKILL of the master that three sentinels watch",
        sentinels_killed_master, control="sentinels", control_times=1, recover_within_s=20.0,
    ),
    _row(
        "cluster-reader-node-killed", "each node of a Cluster is killed: the other rooms are shown",
        partial(cluster_reader, hangs=False), control="asking each shard by itself",
        quick_times=3, control_times=3, recover_within_s=5.0,
    ),
    _row(
        "cluster-reader-node-hangs", "each node of a Cluster hangs: the other rooms are shown",
        partial(cluster_reader, hangs=True), control="asking each shard by itself",
        control_times=3, recover_within_s=15.0,
    ),
)  # fmt: skip
