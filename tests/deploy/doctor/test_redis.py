"""What the doctor says of a Redis, by the rights of whoever asks. Real servers of each kind."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from roommood.deploy.cli import app
from roommood.deploy.doctor import redis as redis_checks
from roommood.deploy.doctor.findings import Finding, Level
from roommood.deploy.doctor.redis import check_redis
from roommood.deploy.doctor.redis_version import (
    is_open_to_lua_bug,
    version_finding,
)
from roommood.deploy.keys.redis_users import RedisAccess, write_redis_access
from tests import hooks
from tests.ports import free_port
from tests.redis_server import RedisServer

ADMIN = ("test-admin", "only-here")
ADMINISTRATOR = f"user {ADMIN[0]} on >{ADMIN[1]} ~* &* +@all\n"


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> RedisAccess:
    access = write_redis_access(tmp_path_factory.mktemp("access"))
    with access.acl.open("a") as acl:
        acl.write(ADMINISTRATOR)
    return access


@pytest.fixture(scope="module")
def guarded(access: RedisAccess) -> Iterator[RedisServer]:
    port = str(free_port())
    options = {"aclfile": str(access.acl), "port": port, "appendonly": "yes"}
    with RedisServer(login=":".join(ADMIN), **options) as server:
        yield server


@pytest.fixture
def plain() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def as_user(server: RedisServer, user: str) -> str:
    return server.url.replace("unix://", f"unix://{user}@")


def by_about(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.about: finding for finding in findings}


def looked(server: RedisServer, user: str, password: Path) -> dict[str, Finding]:
    return by_about(check_redis(as_user(server, user), password))


def test_the_writer_of_a_guarded_redis_finds_all_well(
    guarded: RedisServer, access: RedisAccess
) -> None:
    result = looked(guarded, "writer", access.writer_password)
    assert "read and write" in result["redis rights"].found
    good = ("redis rights", "redis access", "redis clock", "redis memory", "redis disk")
    assert {about: result[about].level for about in good} == dict.fromkeys(good, Level.OK)
    assert result["redis reach"].level is Level.SKIPPED


def test_the_reader_is_found_to_read_only_and_what_it_may_not_ask_is_skipped(
    guarded: RedisServer, access: RedisAccess
) -> None:
    result = looked(guarded, "reader", access.reader_password)
    assert result["redis rights"].level is Level.OK
    assert "read only" in result["redis rights"].found
    assert result["redis"].level is not Level.FAIL
    assert "7.0" in result["redis"].found or "." in result["redis"].found
    assert result["redis clock"].level is Level.OK
    for about in ("redis memory", "redis disk", "redis reach"):
        assert result[about].level is Level.SKIPPED, about


def test_a_reader_that_may_write_and_a_writer_that_may_not_fail(
    guarded: RedisServer, access: RedisAccess
) -> None:
    """The control: the same two users with the wrong rights."""
    with guarded.client() as admin:
        admin.acl_setuser("reader", enabled=True, commands=["+srem"])
        admin.acl_setuser("writer", enabled=True, commands=["-srem"])
        try:
            reader = looked(guarded, "reader", access.reader_password)
            writer = looked(guarded, "writer", access.writer_password)
        finally:
            admin.acl_setuser("reader", enabled=True, commands=["-srem"])
            admin.acl_setuser("writer", enabled=True, commands=["+srem"])
    assert reader["redis rights"].level is Level.FAIL
    assert "the reader may write" in reader["redis rights"].found
    assert writer["redis rights"].level is Level.FAIL
    assert "the writer cannot write" in writer["redis rights"].found


def test_an_administrators_password_in_daily_use_is_warned_of(
    guarded: RedisServer, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(ADMIN[1])
    password.chmod(0o600)
    result = looked(guarded, ADMIN[0], password)
    assert result["redis access"].level is Level.WARN
    assert "may do anything" in result["redis access"].found


def test_a_redis_without_a_password_is_warned_of_here_and_fails_elsewhere(
    plain: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = by_about(check_redis(plain.url, None))
    hooks.redis_is_on_another_machine(monkeypatch)
    elsewhere = by_about(check_redis(plain.url, None))
    assert here["redis access"].level is Level.WARN
    assert elsewhere["redis access"].level is Level.FAIL
    assert elsewhere["redis reach"].level is Level.FAIL
    assert "plain text" in elsewhere["redis reach"].found


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        ("redis://127.0.0.1:6379/0", True), ("redis://writer@localhost/0", True),
        ("rediss://w@[::1]:6380", True), ("unix:///run/redis.sock", True),
        ("redis://desk:6379", False), ("redis://w@192.168.0.9/0", False),
    ],
)  # fmt: skip
def test_addresses_of_this_machine_are_known(address: str, is_local: bool) -> None:
    assert redis_checks._is_local(address) is is_local


def test_a_wrong_password_fails_and_is_not_shown(guarded: RedisServer, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("sesame")
    password.chmod(0o600)
    (finding,) = check_redis(as_user(guarded, "writer"), password)
    assert finding.level is Level.FAIL
    assert "does not let us in" in finding.found
    assert "sesame" not in str(finding)


def spoilt(server: RedisServer, spoil: Callable[[redis.Redis], object]) -> dict[str, Finding]:
    with server.client() as client:
        spoil(client)
        return by_about(check_redis(server.url, None))


@pytest.mark.parametrize("right", ["evalsha", "hset", "expireat", "publish"])
def test_a_right_that_counting_lacks_is_named(
    plain: RedisServer, right: str, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("sesame")
    password.chmod(0o600)
    with plain.client() as client:
        acl: Any = client.execute_command  # redis-py gives no types for it
        acl("ACL", "SETUSER", "mine", "on", ">sesame", "~roommood:*", "&*", "+@all", f"-{right}")
        finding = looked(plain, "mine", password)["redis rights"]
        assert finding.level is Level.WARN
        assert f"the '{right}' command" in finding.found
        acl("ACL", "SETUSER", "mine", f"+{right}")
        assert looked(plain, "mine", password)["redis rights"].level is Level.OK
        assert client.keys("*") == []


def test_a_command_that_was_renamed_away_is_named() -> None:
    with RedisServer(rename_command="EVALSHA nothing") as server:
        finding = by_about(check_redis(server.url, None))["redis rights"]
    assert finding.level is Level.WARN
    assert "EVALSHA" in finding.found


def test_a_replica_fails(plain: RedisServer) -> None:
    result = spoilt(plain, lambda client: client.replicaof("127.0.0.1", free_port()))
    assert result["redis rights"].level is Level.FAIL
    assert result["redis disk"].level is Level.FAIL
    assert "replica" in result["redis disk"].found


def test_a_redis_that_is_full_or_nearly_so_is_told(plain: RedisServer) -> None:
    def fill(client: redis.Redis, percent: int) -> None:
        client.config_set("maxmemory", 0)
        client.setrange("filler", 4_000_000, "x")  # what it sends counts as used, for a while
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", used * 100 // percent)

    assert spoilt(plain, lambda client: fill(client, 50))["redis memory"].level is Level.OK
    assert spoilt(plain, lambda client: fill(client, 95))["redis memory"].level is Level.WARN
    assert spoilt(plain, lambda client: fill(client, 120))["redis memory"].level is Level.FAIL


def test_a_clock_that_is_off_is_warned_of(
    plain: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    with plain.client():
        findings = by_about(check_redis(plain.url, None))
    assert findings["redis clock"].level is Level.WARN
    assert "3600" in findings["redis clock"].found or "3599" in findings["redis clock"].found


def test_an_open_door_is_told(plain: RedisServer) -> None:
    assert by_about(check_redis(plain.url, None))["redis reach"].level is Level.OK
    result = spoilt(plain, lambda client: client.config_set("protected-mode", "no"))
    assert result["redis reach"].level is Level.OK  # still bound to loopback
    with RedisServer(protected_mode="no", bind="* -::*") as wide:
        assert by_about(check_redis(wide.url, None))["redis reach"].level is Level.WARN


# Versions


@pytest.mark.parametrize(
    ("version", "is_open"),
    [
        ("6.2.19", True), ("6.2.20", False), ("7.0.15", True), ("7.2.10", True),
        ("7.2.11", False), ("7.4.5", True), ("7.4.6", False), ("8.0.3", True),
        ("8.0.4", False), ("8.2.1", True), ("8.2.2", False), ("8.4.0", False),
    ],
)  # fmt: skip
def test_redis_versions_with_the_lua_bug_are_known(version: str, is_open: bool) -> None:
    assert is_open_to_lua_bug(version, is_valkey=False) is is_open


@pytest.mark.parametrize(
    ("version", "is_open"),
    [("7.2.10", True), ("7.2.11", False), ("8.0.6", False), ("8.1.3", True), ("9.0.0", False)],
)
def test_valkey_versions_with_the_lua_bug_are_known(version: str, is_open: bool) -> None:
    assert is_open_to_lua_bug(version, is_valkey=True) is is_open


def test_a_version_that_is_open_by_its_number_is_warned_of_with_what_to_do() -> None:
    result = version_finding({"redis_version": "7.0.15"}, "desk")
    assert result.level is Level.WARN
    assert "deb12u6" in result.todo
    assert version_finding({"redis_version": "6.0.9"}, "desk").level is Level.FAIL
    assert version_finding({"redis_version": "8.2.2"}, "desk").level is Level.OK


# The command


def test_the_command_writes_the_files_and_names_what_to_start(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    done = CliRunner().invoke(app, ["keys", "redis", "--dir", str(folder)])
    assert done.exit_code == 0, done.output
    passwords = [path.read_text().strip() for path in folder.glob("*.password")]
    assert len(passwords) == 3
    assert not any(password in done.output for password in passwords)
    assert f"redis-server {folder / 'redis.conf'}" in done.output
    again = CliRunner().invoke(app, ["keys", "redis", "--dir", str(folder)])
    assert "--force" in str(again.exception)
