"""A master that is replaced: behind one address, and as sentinels do it. All servers are real."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.counting.outcomes import Outcome
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import servers as redis_servers
from roommood.aggregator.redis.failures import is_of_wrong_server
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.shared.clock import wall_ms
from roommood.shared.errors import StoreAway, StoreError
from tests.aggregator.made import HOUR_MS, counters, delivery, face, result, stored, stream
from tests.certificates import make_certificates, server_with_tls
from tests.end_to_end.site import until
from tests.redis_pair import RedisPair, follows
from tests.redis_sentinels import Sentinels
from tests.redis_server import RedisServer

NOW_MS = HOUR_MS + 301_000


@pytest.fixture
def pair() -> Iterator[RedisPair]:
    with RedisPair() as pair:
        yield pair


def commit(store: Store, seq: int) -> Outcome:
    return store.commit([delivery(result(seq, face()), NOW_MS)], NOW_MS).outcomes[0]


def test_the_new_master_behind_the_same_address_is_reached_at_once(
    pair: RedisPair,
) -> None:
    store = Store(pair.url)
    assert commit(store, 0) is Outcome.COMMITTED
    pair.swap()
    outcomes = [commit(store, 1) for _ in range(3)]
    assert outcomes == [Outcome.UNSETTLED, Outcome.COMMITTED, Outcome.DUPLICATE]
    store.pause("den")
    assert store.paused_rooms() == ("den",)
    store.close()


def test_with_the_pool_kept_it_is_never_reached(
    pair: RedisPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(redis_servers, "leave_wrong_server", lambda _client: None)
    store = Store(pair.url)
    assert commit(store, 0) is Outcome.COMMITTED
    pair.swap()
    assert {commit(store, 1) for _ in range(5)} == {Outcome.UNSETTLED}
    store.close()


@pytest.mark.parametrize(
    "message",
    [
        "You can't write against a read only replica.", "READONLY You can't write",
        "Redis is loading the dataset in memory", "LOADING Redis is loading",
        "Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "The cluster is down", "CLUSTERDOWN Hash slot not served",
    ],
)  # fmt: skip
def test_what_speaks_of_the_server_is_told_from_what_speaks_of_a_key(message: str) -> None:
    assert is_of_wrong_server(redis.ResponseError(message))
    for other in (
        "WRONGTYPE Operation against a key",
        "OOM command not allowed",
        "unknown command",
    ):
        assert not is_of_wrong_server(redis.ResponseError(other))


def test_a_server_that_never_heard_of_hello_is_spoken_to_all_the_same() -> None:
    with RedisServer(rename_command='HELLO ""') as old:
        store = Store(old.url)
        store.check_schema()
        assert commit(store, 0) is Outcome.COMMITTED
        store.close()
        with pytest.raises(StoreError):  # the control: the newer protocol
            Store(f"{old.url}&protocol=3").check_schema()


# Sentinels


@pytest.fixture(scope="module")
def sentinels() -> Iterator[Sentinels]:
    with Sentinels() as three:
        yield three


@pytest.mark.timeout(180)
def test_a_killed_master_loses_and_doubles_nothing(sentinels: Sentinels) -> None:
    deliveries = stream(31, 40, ("den", "hall"))
    store = Store(sentinels.url)
    store.check_schema()
    first = sentinels.master()
    acknowledged = [commit_all(store, deliveries[:40])]
    sentinels.servers[first].kill()
    until(lambda: commit_all(store, deliveries[:40]), "the new master counts", 60.0)
    assert sentinels.master() != first
    until(lambda: commit_all(store, deliveries), "everything is counted", 30.0)
    assert acknowledged == [True]
    with sentinels.client() as client:
        assert stored(client, "den", "hall") == counters(deliveries)
    with RoomStats(sentinels.url, now_ms=lambda: NOW_MS) as stats:
        assert stats.rooms() == []
        store.touch_rooms({"den": wall_ms()})
        assert [room.room for room in stats.rooms()] == ["den"]
    store.close()
    sentinels.servers[first].start()
    until(lambda: follows(sentinels.servers[first]), "the old master follows", 60.0)


def commit_all(store: Store, deliveries: list[Delivery]) -> bool:
    return Outcome.UNSETTLED not in store.commit(deliveries, NOW_MS).outcomes


@pytest.mark.timeout(120)
def test_what_no_replica_has_is_not_acknowledged(sentinels: Sentinels) -> None:
    store = Store(sentinels.url)
    replica = sentinels.servers[1 - sentinels.master()]
    replica.freeze()
    try:
        report = store.commit([delivery(result(900, face()), NOW_MS)], NOW_MS)
    finally:
        replica.thaw()
    assert report.outcomes == (Outcome.UNSETTLED,)
    assert isinstance(report.away, StoreAway)
    assert "no replica" in str(report.away)
    until(lambda: commit(store, 900) is Outcome.DUPLICATE, "it was counted, and is confirmed", 30.0)
    store.close()


def test_sentinels_that_know_no_such_service_are_away(sentinels: Sentinels) -> None:
    store = Store(sentinels.url.replace("/site/", "/other/"))
    with pytest.raises(StoreAway, match="No master found for 'other'"):
        store.check_schema()


def test_a_password_of_the_servers_and_one_of_the_sentinels(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("redis", "sentinel")]
    for file, word in zip(files, ("sesame", "other"), strict=True):
        file.write_text(word)
        file.chmod(0o600)
    with Sentinels(sentinel_password="other", requirepass="sesame", masterauth="sesame") as guarded:
        url = f"{guarded.url}?sentinel_password_file={files[1]}"
        store = Store(url, files[0])
        store.check_schema()
        store.close()
        with pytest.raises(StoreAway):
            Store(guarded.url, files[0]).check_schema()


@pytest.fixture
def with_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sentinels]:
    certificates = make_certificates(tmp_path, "IP:127.0.0.1")
    monkeypatch.setenv("REDIS_SERVER", server_with_tls(certificates))
    with Sentinels(tls=certificates) as three:
        yield three


@pytest.mark.timeout(180)
def test_sentinels_and_servers_with_tls_replace_a_master_too(with_tls: Sentinels) -> None:
    store = Store(with_tls.url)
    assert commit(store, 0) is Outcome.COMMITTED
    with_tls.servers[with_tls.master()].kill()
    until(lambda: commit(store, 1) is Outcome.COMMITTED, "the new master counts", 60.0)
    assert commit(store, 0) is Outcome.DUPLICATE
    store.close()
    with pytest.raises(StoreAway, match="no answer of a sentinel"):
        Store(with_tls.url.replace("rediss+", "redis+").partition("?")[0]).check_schema()


def test_a_sentinel_of_another_authority_is_not_trusted(with_tls: Sentinels) -> None:
    with pytest.raises(StoreAway, match="no answer of a sentinel"):
        Store(with_tls.url.replace("/ca.pem", "/other.pem")).check_schema()
