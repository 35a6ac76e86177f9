"""The store: faults of Redis, the schema, health, models, pausing and forgetting."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from roommood.aggregator.counting.outcomes import Outcome
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import client as redis_client
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.client import connect
from roommood.aggregator.redis.connections import TIMEOUT_S
from roommood.aggregator.redis.url import without_password
from roommood.shared.errors import ConfigError, SchemaMismatch, StoreAway, StoreError, StoreRefuses
from roommood.shared.protocol.messages import ModelReport
from tests.aggregator.made import HOUR_MS, counters, delivery, face, result, stored, stream
from tests.ports import free_cluster_port, free_port
from tests.redis_server import RedisServer

NOW_MS = HOUR_MS + 301_000


@pytest.fixture
def durable() -> Iterator[RedisServer]:
    """A Redis of its own that has on disk whatever it has confirmed."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server


def _stream_through(
    server: RedisServer, when: Callable[[int], None]
) -> tuple[int, dict[str, dict[str, int]]]:
    """Send 1,200 results until all are acknowledged; `when` is told how many are, each time.

    Returns the number of attempts that stayed unsettled, and the totals in Redis.
    """
    deliveries, store = stream(11, 1200), Store(server.url)
    waiting, unsettled = list(range(1200)), 0
    while waiting:
        sent, waiting = waiting[:20], waiting[20:]
        report = store.commit([deliveries[i] for i in sent], NOW_MS)
        again = [i for i, o in zip(sent, report.outcomes, strict=True) if o is Outcome.UNSETTLED]
        unsettled += len(again)
        waiting += again
        when(1200 - len(waiting))
    with server.client() as client:
        return unsettled, stored(client, "kitchen")


class _Killer:
    """Kills Redis from a thread of its own, while results go on being sent, and restarts it."""

    def __init__(self, server: RedisServer, at: tuple[int, ...]) -> None:
        self._server, self._at = server, list(at)
        self._threads: list[threading.Thread] = []

    def __call__(self, acknowledged: int) -> None:
        if self._at and acknowledged >= self._at[0]:
            self._at.pop(0)
            self._threads.append(threading.Thread(target=self._kill))
            self._threads[-1].start()

    def _kill(self) -> None:
        self._server.kill()
        self._server.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def test_killing_redis_mid_stream_loses_and_doubles_nothing_acknowledged(
    durable: RedisServer,
) -> None:
    killer = _Killer(durable, (200, 500, 900))
    unsettled, totals = _stream_through(durable, killer)
    killer.join()
    assert unsettled > 0
    assert totals == counters(stream(11, 1200))


def test_a_redis_that_keeps_nothing_fails_the_same_check() -> None:
    with RedisServer() as forgetful:
        killer = _Killer(forgetful, (600,))
        _, totals = _stream_through(forgetful, killer)
        killer.join()
    assert totals != counters(stream(11, 1200))


def test_a_commit_whose_answer_is_lost_stays_unsettled_and_is_a_duplicate_when_resent(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries = stream(12, 30, ("kitchen", "hall"))
    store.commit([delivery(result(room="cellar"))], NOW_MS)  # Redis knows the script
    with monkeypatch.context() as patched:
        execute = redis.client.Pipeline.execute

        def cut_off(pipe: redis.client.Pipeline, **options: bool) -> None:
            execute(pipe, **options)
            raise redis.ConnectionError("cut off after the command ran")

        patched.setattr(redis.client.Pipeline, "execute", cut_off)
        report = store.commit(deliveries, NOW_MS)
    assert set(report.outcomes) == {Outcome.UNSETTLED}
    assert set(report.errors) == {"kitchen", "hall"}
    assert isinstance(report.away, StoreAway)
    assert stored(client, "kitchen", "hall") == counters(deliveries)
    assert set(store.commit(deliveries, NOW_MS).outcomes) == {Outcome.DUPLICATE}
    assert stored(client, "kitchen", "hall") == counters(deliveries)


def test_a_hanging_redis_is_away_in_time_and_its_late_answer_is_not_taken_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_client, "TIMEOUT_S", 0.2)
    deliveries = stream(13, 40)
    with RedisServer() as server:
        store = Store(server.url)
        store.commit(deliveries[:10], NOW_MS)
        server.freeze()
        start_s = time.monotonic()
        report = store.commit(deliveries[:25], NOW_MS)
        assert time.monotonic() - start_s < 25 * 0.2, "not as long for each delivery"
        assert isinstance(report.away, StoreAway)
        assert set(report.outcomes) == {Outcome.UNSETTLED}
        server.thaw()
        outcomes = store.commit(deliveries, NOW_MS).outcomes
        assert Outcome.UNSETTLED not in outcomes
        assert outcomes[:10] == (Outcome.DUPLICATE,) * 10
        with server.client() as client:
            assert stored(client, "kitchen") == counters(deliveries)


def test_redis_down_is_store_away_at_once_and_counts_when_it_is_back() -> None:
    with RedisServer() as server:
        store = Store(server.url)
        server.stop()
        given = delivery(result(0, face()))
        start_s = time.monotonic()
        assert isinstance(store.commit([given], NOW_MS).away, StoreAway)
        calls: list[Callable[[], object]] = [
            store.check_schema,
            store.paused_rooms,
            lambda: store.touch_rooms({"kitchen": 1.0}),
            lambda: store.write_health({"door": {"rate_hz": 1.0}}, {}, NOW_MS),
            lambda: store.pause("kitchen"),
            lambda: store.forget("kitchen", NOW_MS),
        ]
        for call in calls:
            with pytest.raises(StoreAway, match="does not answer"):
                call()
        assert time.monotonic() - start_s < len(calls) * TIMEOUT_S
        server.start()
        assert store.commit([given], NOW_MS).outcomes == (Outcome.COMMITTED,)


def test_a_script_that_redis_has_forgotten_is_loaded_again(
    store: Store, client: redis.Redis
) -> None:
    deliveries = stream(14, 30, ("kitchen", "hall"))
    store.commit(deliveries[:20], NOW_MS)
    client.script_flush()
    assert set(store.commit(deliveries[20:], NOW_MS).outcomes) == {Outcome.COMMITTED}
    assert stored(client, "kitchen", "hall") == counters(deliveries)


def test_a_read_only_redis_settles_nothing(store: Store, client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", free_port())
    try:
        report = store.commit([delivery(result(0, face()))], NOW_MS)
    finally:
        client.replicaof("NO", "ONE")
    assert report.outcomes == (Outcome.UNSETTLED,)
    assert isinstance(report.away, StoreRefuses)
    assert store.commit([delivery(result(0, face()))], NOW_MS).outcomes == (Outcome.COMMITTED,)


@pytest.mark.parametrize(
    ("name", "hurt", "healed"),
    [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")],
)
def test_a_redis_without_memory_or_replicas_takes_nothing_and_is_told_as_a_whole(
    store: Store, client: redis.Redis, name: str, hurt: str, healed: str
) -> None:
    deliveries = stream(18, 20, ("kitchen", "hall"))
    client.config_set(name, hurt)
    try:
        report = store.commit(deliveries, NOW_MS)
        with pytest.raises(StoreRefuses, match="refused"):
            store.check_schema()
    finally:
        client.config_set(name, healed)
    assert set(report.outcomes) == {Outcome.UNSETTLED}
    assert isinstance(report.away, StoreRefuses)
    assert stored(client, "kitchen", "hall") == {}
    assert set(store.commit(deliveries, NOW_MS).outcomes) == {Outcome.COMMITTED}


def test_one_rooms_broken_key_is_not_told_as_the_whole_redis(
    store: Store, client: redis.Redis
) -> None:
    client.set(redis_keys.live("kitchen"), "no hash")
    report = store.commit(stream(19, 20, ("kitchen", "hall")), NOW_MS)
    assert report.away is None
    assert set(report.errors) == {"kitchen"}
    assert type(report.errors["kitchen"]) is StoreError


def test_an_empty_batch_asks_nothing_of_redis() -> None:
    report = Store("unix:///nowhere").commit([], NOW_MS)
    assert report.outcomes == ()
    assert report.away is None


def test_an_empty_redis_is_claimed_and_another_version_is_refused_with_the_way_out(
    store: Store, client: redis.Redis
) -> None:
    store.check_schema()
    store.check_schema()
    assert client.get(redis_keys.SCHEMA) == redis_keys.SCHEMA_VERSION
    assert client.ttl(redis_keys.SCHEMA) == -1
    client.set(redis_keys.SCHEMA, "99")
    with pytest.raises(SchemaMismatch, match=r"version 99 .* empty database"):
        store.check_schema()
    assert client.get(redis_keys.SCHEMA) == "99"


def test_rooms_are_noted_and_their_time_never_moves_back(store: Store, client: redis.Redis) -> None:
    store.touch_rooms({"kitchen": 2000.4, "hall": 1000.0})
    store.touch_rooms({"kitchen": 1500.0})
    store.touch_rooms({})
    assert client.zrange(redis_keys.ROOMS, 0, -1, withscores=True) == [
        ("hall", 1000.0),
        ("kitchen", 2000.0),
    ]


def test_a_room_last_seen_in_the_future_was_last_seen_when_that_is_noticed(
    store: Store, client: redis.Redis
) -> None:
    """A clock was hours ahead, and was set back; two aggregators' clocks may differ by less."""
    ahead_ms = NOW_MS + redis_keys.AHEAD_MS
    store.touch_rooms({"kitchen": NOW_MS + 3 * 3.6e6, "hall": ahead_ms - 1, "attic": 1000.0})
    store.end_futures(NOW_MS)
    assert client.zrange(redis_keys.ROOMS, 0, -1, withscores=True) == [
        ("attic", 1000.0),
        ("kitchen", NOW_MS),
        ("hall", ahead_ms - 1),
    ]
    store.touch_rooms({"kitchen": NOW_MS + 500})
    assert client.zscore(redis_keys.ROOMS, "kitchen") == NOW_MS + 500


def test_a_forgotten_room_is_not_listed_by_what_was_seen_before(
    store: Store, client: redis.Redis
) -> None:
    store.forget("kitchen", 2000.0)
    store.touch_rooms({"kitchen": 1999.0, "hall": 1999.0})
    assert client.zrange(redis_keys.ROOMS, 0, -1) == ["hall"]
    store.touch_rooms({"kitchen": 2001.0})
    assert client.zrange(redis_keys.ROOMS, 0, -1) == ["hall", "kitchen"]


def test_health_is_written_with_its_time_and_lives_ten_seconds(
    store: Store, client: redis.Redis
) -> None:
    store.write_health({"door": {"room": "kitchen", "rate_hz": 29.5}}, {"w1": {}}, 1234.0)
    door = {"room": "kitchen", "rate_hz": "29.5", "updated_ms": "1234"}
    assert client.hgetall(redis_keys.camera("door")) == door
    assert client.hgetall(redis_keys.worker("w1")) == {"updated_ms": "1234"}
    for key in (redis_keys.camera("door"), redis_keys.worker("w1")):
        assert 9 <= client.ttl(key) <= 10


def test_health_that_one_key_refuses_is_written_for_all_others(
    store: Store, client: redis.Redis
) -> None:
    client.set(redis_keys.camera("door"), "not a hash")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        store.write_health({"door": {}, "window": {"rate_hz": 1.0}}, {"w1": {}}, 1234.0)
    assert client.hget(redis_keys.camera("window"), "rate_hz") == "1.0"
    assert client.ttl(redis_keys.worker("w1")) > 0


def test_health_and_its_end_are_one_transaction(store: Store, client: redis.Redis) -> None:
    """Seen by the server: what is between them could be cut off, and the hash stay for ever."""
    with client.monitor() as monitor:  # type: ignore[no-untyped-call]
        store.write_health({"door": {}}, {"w1": {}}, 1234.0)
        client.echo("end")
        words = [""]
        while words[-1] != "ECHO":
            words.append(str(monitor.next_command()["command"]).split()[0])
    first = words.index("MULTI")
    assert words[first : first + 8] == ["MULTI", "HSET", "EXPIRE", "EXEC"] * 2


def test_a_room_is_forgotten_up_to_now_by_the_clock_of_redis(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever calls may be an hour ahead: an hour of results would be refused."""
    monkeypatch.setattr(time, "time", lambda: 1.0)
    store.forget("kitchen")
    seconds, _ = client.time()
    tombstone = client.get(redis_keys.forgotten("kitchen"))
    assert abs(int(tombstone or 0) / 1000 - seconds) < 60


def test_a_models_contract_can_be_read_back(store: Store, client: redis.Redis) -> None:
    matrix = [[0.125] * 8] * 8
    confusion = {"small": {"hard": matrix, "soft": matrix}}
    store.write_models([ModelReport("net-1", ("neutral", "fear"), 1.5, confusion)])
    fields = client.hgetall(redis_keys.model("net-1"))
    assert json.loads(fields["labels"]) == ["neutral", "fear"]
    assert float(fields["temperature"]) == 1.5
    assert json.loads(fields["hard:small"]) == matrix
    ttl_s = client.ttl(redis_keys.model("net-1"))
    assert ttl_s > redis_keys.RESOLUTIONS[-1].keep_s + redis_keys.RESOLUTIONS[-1].length_s


def test_a_model_of_the_same_name_takes_nothing_over_from_the_one_before(
    store: Store, client: redis.Redis
) -> None:
    """Else its faces would be corrected by how another confused them."""
    confusion = {"small": {"hard": [[0.125] * 8] * 8, "soft": [[0.125] * 8] * 8}}
    store.write_models([ModelReport("net-1", ("neutral", "fear"), 1.5, confusion)])
    store.write_models([ModelReport("net-1", ("neutral", "anger"), 1.0, {})])
    assert set(client.hgetall(redis_keys.model("net-1"))) == {"labels", "temperature"}


def test_rooms_can_be_paused_and_resumed(store: Store) -> None:
    store.pause("kitchen")
    store.pause("hall")
    store.pause("hall")
    assert store.paused_rooms() == ("hall", "kitchen")
    store.resume("kitchen")
    assert store.paused_rooms() == ("hall",)


def test_forgetting_leaves_the_tombstone_alone_and_other_rooms_untouched(
    store: Store, client: redis.Redis
) -> None:
    deliveries = stream(15, 60, ("kitchen", "kitchen-2"))
    store.commit(deliveries, NOW_MS)
    store.touch_rooms({"kitchen": NOW_MS, "kitchen-2": NOW_MS})
    others = stored(client, "kitchen-2")
    keys = set(client.scan_iter(redis_keys.of_room("kitchen")))
    assert store.forget("kitchen", NOW_MS) == len(keys)
    assert set(client.scan_iter("*kitchen}*")) == {redis_keys.forgotten("kitchen")}
    assert client.ttl(redis_keys.forgotten("kitchen")) > 6 * 3600 - 5
    assert client.zrange(redis_keys.ROOMS, 0, -1) == ["kitchen-2"]
    assert stored(client, "kitchen-2") == others


def test_what_was_captured_before_the_forgetting_is_refused_and_what_came_after_is_counted(
    store: Store, client: redis.Redis
) -> None:
    early, late = delivery(result(0, face()), NOW_MS - 1), delivery(result(1, face()), NOW_MS)
    store.commit([early], NOW_MS)
    store.forget("kitchen", NOW_MS)
    outcomes = store.commit([early, late], NOW_MS + 10).outcomes
    assert outcomes == (Outcome.FORGOTTEN, Outcome.COMMITTED)
    assert stored(client, "kitchen") == counters([late])


def test_forgetting_while_results_come_in_never_counts_one_twice(
    server: RedisServer, client: redis.Redis
) -> None:
    """Each result is sent twice around a forgetting: it may be gone, but never doubled."""
    deliveries = stream(16, 400)
    finished = threading.Event()

    def keep_forgetting() -> None:
        store = Store(server.url)
        while not finished.is_set():
            store.forget("kitchen", HOUR_MS - 1)
        store.close()

    forgetter = threading.Thread(target=keep_forgetting)
    forgetter.start()
    store = Store(server.url)
    for first in range(0, 400, 20):
        for _ in range(2):
            store.commit(deliveries[first : first + 20], NOW_MS)
    finished.set()
    forgetter.join()
    right = counters(deliveries)
    for key, sums in stored(client, "kitchen").items():
        assert all(n <= right[key][name] for name, n in sums.items())


def test_a_cluster_counts_the_same() -> None:
    port = str(free_cluster_port())
    with RedisServer(port=port, cluster_enabled="yes") as server, server.client() as node:
        node.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
        while "cluster_state:ok" not in str(node.execute_command("CLUSTER", "INFO")):
            pass
        store = Store(f"redis://127.0.0.1:{port}?cluster=true")
        deliveries = stream(17, 40, ("kitchen", "hall"))
        store.check_schema()
        outcomes = store.commit(deliveries * 2, NOW_MS).outcomes
        assert outcomes.count(Outcome.COMMITTED) == outcomes.count(Outcome.DUPLICATE) == 80
        assert stored(node, "kitchen", "hall") == counters(deliveries)
        store.touch_rooms({"kitchen": NOW_MS})
        store.write_health({"door": {}, "window": {}}, {"w1": {}}, NOW_MS)
        assert store.forget("kitchen", NOW_MS) > 0
        assert stored(node, "kitchen") == {}
        store.close()


def test_a_wrong_password_is_refused_without_being_shown(tmp_path: Path) -> None:
    with RedisServer(requirepass="right") as server:
        url = server.url
        right, wrong = tmp_path / "right", tmp_path / "wrong"
        right.write_text("right\n")
        wrong.write_text("sesame\n")
        for file in (right, wrong):
            file.chmod(0o600)
        store = Store(url, right)
        store.check_schema()
        with pytest.raises(StoreRefuses, match="does not let us in") as caught:
            Store(url, wrong).check_schema()
        assert "sesame" not in str(caught.value)
        report = Store(url, wrong).commit([delivery(result(0))], NOW_MS)
        assert report.outcomes == (Outcome.UNSETTLED,)
        assert isinstance(report.away, StoreRefuses)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host:1/0", "redis://host:1"),
        ("unix:///run/r.sock?db=0&password=secret", "unix://..."),
        ("redis://user@host?db=0", "redis://***@host?db=0"),
        ("redis://host", "redis://host"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize("url", ["http://host", "host:6379", "redis://host?cluster=maybe"])
def test_a_url_that_cannot_be_used_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"Redis URL"):
        connect(url)


def test_a_password_file_that_is_missing_or_empty_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    for name in ("missing", "empty"):
        with pytest.raises(ConfigError, match=name):
            connect("redis://host", tmp_path / name)
