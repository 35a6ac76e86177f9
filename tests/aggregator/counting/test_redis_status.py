"""What is told of a Redis that answers some questions and refuses to count."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roommood.aggregator.counting.redis_status import RedisStatus
from roommood.aggregator.counting.store import Store
from roommood.shared.process.metrics import Health
from tests.aggregator.made import HOUR_MS, delivery, result
from tests.redis_server import RedisServer

SCRIPTS = "evalsha", "eval"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def store(server: RedisServer, tmp_path: Path) -> Iterator[Store]:
    """Of a user who may do all but run scripts."""
    file = tmp_path / "password"
    file.write_text("pw\n")
    file.chmod(0o600)
    commands = ["+@all", *(f"-{name}" for name in SCRIPTS)]
    with server.client() as admin:
        admin.acl_setuser(
            "writer", enabled=True, passwords=["+pw"], keys=["*"], channels=["*"],
            commands=commands,
        )  # fmt: skip
    store = Store(server.url.replace("unix://", "unix://writer@"), file)
    yield store
    store.close()


def work(store: Store, status: RedisStatus, seconds: int, *, tells_counting: bool = True) -> None:
    """As an aggregator does: it counts, is refused, and then does all else that is due."""
    for second in range(seconds):
        now_ms = second * 1_000.0
        committed = store.commit([delivery(result(second + 1))], HOUR_MS)
        status.note(committed.away, now_ms, is_of_counting=tells_counting)
        store.paused_rooms()
        status.note(None, now_ms + 600.0)


@pytest.mark.parametrize(("tells_counting", "lines"), [(True, 1), (False, 5)])
def test_a_redis_that_refuses_to_count_alone_is_lost_once_and_not_each_second(
    tells_counting: bool, lines: int, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The control: where any answer makes up for it, it is lost and back each second."""
    health = Health("aggregator")
    work(store, RedisStatus(store, health), 5, tells_counting=tells_counting)
    assert [r.getMessage() for r in caplog.records].count("redis lost") == lines
    assert health.ready is not tells_counting


def test_it_is_back_with_the_first_result_that_is_counted(
    server: RedisServer, store: Store
) -> None:
    health = Health("aggregator")
    status = RedisStatus(store, health)
    work(store, status, 2)
    with server.client() as admin:
        admin.acl_setuser("writer", enabled=True, commands=[f"+{name}" for name in SCRIPTS])
    work(store, status, 1)
    assert health.ready


def test_readyz_says_why_until_redis_is_reached(server: RedisServer, store: Store) -> None:
    health = Health("aggregator")
    status = RedisStatus(store, health)
    work(store, status, 1)
    assert "refused: " in str(health.detail["redis"]) or "let us in" in str(health.detail["redis"])
    with server.client() as admin:
        admin.acl_setuser("writer", enabled=True, commands=[f"+{name}" for name in SCRIPTS])
    work(store, status, 1)
    assert health.detail["redis"] == "reached"


@pytest.mark.parametrize("command", ["setbit", "hset", "expireat"])
def test_the_command_that_a_user_may_not_do_in_a_script_is_named(
    command: str, server: RedisServer, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as admin:
        admin.acl_setuser("writer", enabled=True, commands=["+@all", f"-{command}"])
    health = Health("aggregator")
    work(store, RedisStatus(store, health), 3)
    (lost,) = [r for r in caplog.records if r.getMessage() == "redis lost"]
    assert f"'{command}'" in str(health.detail["redis"])
    assert "roommood keys redis" in str(health.detail["redis"])
    assert f"'{command}'" in str(vars(lost))
