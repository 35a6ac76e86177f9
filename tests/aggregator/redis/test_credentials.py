"""Who gets into Redis, and how: the shipped ACL file, passwords in files, TLS."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from roommood.aggregator.counting.operator_settings import OperatorSettings
from roommood.aggregator.counting.outcomes import Outcome
from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.client import connect
from roommood.aggregator.redis.servers import Servers
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.deploy.keys.redis_users import RedisAccess, write_redis_access
from roommood.shared.clock import wall_ms
from roommood.shared.errors import ConfigError, StoreAway, StoreRefuses
from roommood.shared.protocol.messages import ModelReport
from roommood.shared.quiet_hours import RoomQuietHours
from tests.aggregator.made import delivery, face, result
from tests.certificates import make_certificates
from tests.ports import free_port
from tests.redis_server import RedisServer, server_program
from tests.tls_front import TlsFront

ADMIN = ("test-admin", "only-here")
# What Redis says to a user who may not do that, or not with that key or channel.
REFUSED = r"permission|can't (access|run)|not allowed"


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> RedisAccess:
    return write_redis_access(tmp_path_factory.mktemp("access"))


@pytest.fixture(scope="module")
def guarded(access: RedisAccess) -> Iterator[RedisServer]:
    """A Redis with the shipped ACL file, and an administrator for the tests to look around."""
    with access.acl.open("a") as acl:
        acl.write(f"user {ADMIN[0]} on >{ADMIN[1]} ~* &* +@all\n")
    with RedisServer(
        login=":".join(ADMIN), aclfile=str(access.acl), port=str(free_port())
    ) as server:
        yield server


@pytest.fixture
def writer(guarded: RedisServer, access: RedisAccess) -> Iterator[Store]:
    store = Store(as_user(guarded, "writer"), access.writer_password)
    yield store
    store.close()


def as_user(server: RedisServer, user: str) -> str:
    return server.url.replace("unix://", f"unix://{user}@")


def everything(store: Store) -> None:
    """Whatever an aggregator or an operator ever does to Redis."""
    now_ms = wall_ms()
    store.check_schema()
    frames = [delivery(result(n, face(), room="kitchen"), now_ms - 100) for n in range(3)]
    late = delivery(result(9, face(), camera="gone"), now_ms - 9_900)
    assert store.commit([late, *frames], now_ms).outcomes == (Outcome.COMMITTED,) * 4
    later_ms = now_ms + 9_000  # "gone" leaves the live hash: HDEL
    later = store.commit([delivery(result(4, face()), later_ms)], later_ms)
    assert later.outcomes == (Outcome.COMMITTED,)
    store.touch_rooms({"kitchen": now_ms})
    store.write_health({"door": {"rate_hz": 1.0}}, {"w1": {}}, now_ms)
    store.write_models([ModelReport("net-1", ("neutral",), 1.0, {})])
    store.pause("kitchen")
    assert "kitchen" in store.paused_rooms()
    store.resume("kitchen")
    assert store.forget("kitchen") > 0
    store.touch_rooms({"kitchen": 1.0})  # kept out by the tombstone


def everything_and_a_key_in_the_way(store: Store, admin: redis.Redis) -> None:
    everything(store)
    admin.rpush(redis_keys.live("den"), "in the way")
    now_ms = wall_ms()
    report = store.commit([delivery(result(0, face(), room="den"), now_ms)], now_ms)
    assert "holds a list" in str(report.errors["den"])


def refusals(admin: redis.Redis) -> list[Any]:
    """But for redis-py's name for itself, which it may leave out: Redis 6.2 lets it say none."""
    return [entry for entry in admin.acl_log() if entry["object"] != "client"]


def test_the_writer_may_do_whatever_the_aggregator_does(
    writer: Store, guarded: RedisServer
) -> None:
    with guarded.client() as admin:
        admin.flushall()
        admin.script_flush()
        admin.acl_log_reset()
        everything_and_a_key_in_the_way(writer, admin)
        assert refusals(admin) == []


@pytest.mark.parametrize("default_user", ["as shipped", "without any right"])
def test_what_was_counted_is_there_after_a_restart(tmp_path: Path, default_user: str) -> None:
    """Redis replays the transactions of its append-only file with the rights of `default`."""
    access = write_redis_access(tmp_path)
    if default_user == "without any right":
        lines = access.acl.read_text().splitlines(keepends=True)
        bare = "user default off resetkeys resetchannels -@all\n"
        access.acl.write_text("".join([bare, *lines[1:]]))
    with access.acl.open("a") as acl:
        acl.write(f"user {ADMIN[0]} on >{ADMIN[1]} ~* &* +@all\n")
    with RedisServer(
        login=":".join(ADMIN), aclfile=str(access.acl), port=str(free_port()), appendonly="yes"
    ) as server:
        store = Store(as_user(server, "writer"), access.writer_password)
        now_ms = wall_ms()
        store.commit([delivery(result(0, face(), room="kitchen"), now_ms - 100)], now_ms)
        store.close()
        server.stop()
        server.start()
        with server.client() as admin:
            kept = [*admin.scan_iter("roommood:{kitchen}:1h:*")]
    if default_user == "without any right" and kept:
        pytest.skip("this Redis replays transactions whatever its default user may do")
    assert bool(kept) == (default_user == "as shipped")


@pytest.mark.parametrize(
    "login", [{}, {"username": "default", "password": ""}, {"password": "anything"}]
)
def test_nobody_comes_in_as_the_default_user(guarded: RedisServer, login: dict[str, str]) -> None:
    client = redis.Redis.from_url(guarded.url, **login)
    with client, pytest.raises(redis.AuthenticationError):
        client.ping()


def commands_of(acl: Path, user: str) -> list[str]:
    (line,) = [row for row in acl.read_text().splitlines() if row.startswith(f"user {user} ")]
    return [word[1:] for word in line.split() if word.startswith("+") and "@" not in word]


NOT_OF_THE_STORE = {"info", "cluster|slots"}  # the doctor's, and a Cluster's


def test_the_writer_may_do_nothing_that_it_does_not_need(
    guarded: RedisServer, access: RedisAccess
) -> None:
    """The control of the test above: without any one of its commands something is refused."""
    with guarded.client() as admin:
        for command in set(commands_of(access.acl, "writer")) - NOT_OF_THE_STORE:
            admin.flushall()
            admin.script_flush()
            admin.acl_setuser("writer", enabled=True, commands=[f"-{command}"])
            store = Store(as_user(guarded, "writer"), access.writer_password)
            try:
                refused = was_refused(store, admin)
            finally:
                admin.acl_setuser("writer", enabled=True, commands=[f"+{command}"])
                store.close()
            assert refused, f"{command} is not needed"


def was_refused(store: Store, admin: redis.Redis) -> bool:
    try:
        everything_and_a_key_in_the_way(store, admin)
    except (StoreRefuses, AssertionError):
        return True
    return False


def test_the_writer_is_kept_to_its_own_keys_and_from_administration(
    guarded: RedisServer, access: RedisAccess
) -> None:
    with raw(guarded, "writer", access.writer_password) as client:
        for call in (
            lambda: client.set("other", "1"),
            lambda: client.get("other"),
            lambda: client.eval("return redis.call('SET', 'other', '1')", 0),
            client.flushall,
            lambda: client.config_get("*"),
            lambda: client.config_set("appendonly", "no"),
            lambda: client.keys("*"),
            client.acl_list,
            client.shutdown,
            lambda: client.publish("other", "hello"),
            lambda: client.execute_command("DEBUG", "SLEEP", "0"),
            lambda: client.delete("roommood:rooms"),
        ):
            with pytest.raises(redis.ResponseError, match=REFUSED):
                call()


def test_the_reader_reads_all_that_is_counted_and_writes_nothing(
    guarded: RedisServer, access: RedisAccess, writer: Store
) -> None:
    with guarded.client() as admin:
        admin.flushall()
    now_ms = wall_ms()
    writer.check_schema()
    writer.commit([delivery(result(0, face(), room="den"), now_ms - 100)], now_ms)
    writer.touch_rooms({"den": now_ms})
    url = as_user(guarded, "reader")
    with RoomStats(url, access.reader_password) as stats:
        assert [room.room for room in stats.rooms()] == ["den"]
        assert stats.live("den").people == 1.0
        assert stats.summary("den", timedelta(minutes=5)).frames == 1
        assert stats.history("den", timedelta(minutes=5), timedelta(minutes=1))
    reader = Store(url, access.reader_password)
    for call in (
        lambda: reader.pause("den"),
        lambda: reader.forget("den"),
        lambda: reader.write_health({"door": {}}, {}, now_ms),
        lambda: reader.touch_rooms({"den": now_ms}),
    ):
        with pytest.raises(StoreRefuses, match="does not let us in"):
            call()
    report = reader.commit([delivery(result(1, face(), room="den"), now_ms)], now_ms)
    assert report.outcomes == (Outcome.UNSETTLED,)


def test_a_last_result_is_not_now_for_a_reader_whose_clock_is_behind(
    guarded: RedisServer, access: RedisAccess, writer: Store
) -> None:
    """The control: without the right to ask Redis for the time it is that reader's now."""
    with guarded.client() as admin:
        admin.flushall()
        now_ms, behind_ms = round(writer.clock_ms()), 600_000
        writer.touch_rooms({"silent": now_ms - 300_000, "ahead": now_ms + 3_600_000})
        url = as_user(guarded, "reader")
        for rights, shown_ms in (("+time", -300_000), ("-time", -behind_ms)):
            admin.acl_setuser("reader", enabled=True, commands=[rights])
            looks = RoomStats(url, access.reader_password, lambda: now_ms - behind_ms)
            with looks as stats:
                last = {room.room: room.last_seen.timestamp() * 1000 for room in stats.rooms()}
            assert last["silent"] == pytest.approx(now_ms + shown_ms, abs=1)
            assert last["ahead"] <= writer.clock_ms()
        admin.acl_setuser("reader", enabled=True, commands=["+time"])


def test_the_reader_may_do_what_clients_do_by_themselves(
    guarded: RedisServer, access: RedisAccess, writer: Store
) -> None:
    """A pipeline is a transaction to most of them, the end of a subscription a command to some, and
    before a Cluster each asks in its own way what it is made of."""
    now_ms = wall_ms()
    writer.commit([delivery(result(78, face(), room="den"), now_ms - 100)], now_ms)
    with raw(guarded, "reader", access.reader_password) as client:
        with client.pipeline() as both:
            hash_, ttl_ms = (
                both.hgetall(redis_keys.live("den")).pttl(redis_keys.live("den")).execute()
            )
        assert hash_["people"]
        assert 0 < ttl_ms <= 10_000
        with client.pubsub() as updates:
            updates.subscribe(redis_keys.updates("den"))
            updates.psubscribe("roommood:*")
            updates.unsubscribe()
            updates.punsubscribe()
            kinds = [
                message["type"] for message in iter(lambda: updates.get_message(timeout=5), None)
            ]
        assert {"unsubscribe", "punsubscribe"} <= set(kinds)
        for question in ("SLOTS", "NODES", "SHARDS", "INFO"):
            with pytest.raises(redis.ResponseError, match="cluster support disabled"):
                client.execute_command(f"CLUSTER {question}")


def everything_of_an_operator(settings: OperatorSettings) -> None:
    """Whatever a page or a bridge may be told to do."""
    settings.pause("den")
    settings.pause_camera("door")
    assert (settings.paused_rooms(), settings.paused_cameras()) == (("den",), ("door",))
    settings.resume("den")
    settings.resume_camera("door")
    settings.set_views("den", apart=True)
    settings.set_group("den", "first floor")
    hours = RoomQuietHours.parse("Europe/Berlin; 22:00-06:30")
    settings.set_quiet_hours("den", hours)
    assert settings.quiet_hours() == {"den": str(hours)}
    settings.set_quiet_hours("den", None)


def test_the_operator_sets_what_it_may_and_can_neither_read_nor_write_a_figure(
    guarded: RedisServer, access: RedisAccess, writer: Store
) -> None:
    now_ms = wall_ms()
    writer.commit([delivery(result(0, face(), room="den"), now_ms - 100)], now_ms)
    url = as_user(guarded, "operator")
    with guarded.client() as admin:
        admin.acl_log_reset()
        everything_of_an_operator(OperatorSettings(Servers(url, access.operator_password)))
        assert refusals(admin) == []
    with raw(guarded, "operator", access.operator_password) as client:
        for call in (
            lambda: client.hgetall(redis_keys.live("den")),
            lambda: client.zrange(redis_keys.ROOMS, 0, -1),
            lambda: client.hset(redis_keys.live("den"), "people", "9"),
            lambda: client.unlink(redis_keys.PAUSED),
            lambda: client.eval(f"return redis.call('GET', '{redis_keys.WARNING}')", 0),
            lambda: client.eval("return 1", 1, redis_keys.live("den")),
            client.scan,
            client.flushall,
        ):
            with pytest.raises(redis.ResponseError, match=REFUSED):
                call()


def test_the_operator_may_do_nothing_that_it_does_not_need(
    guarded: RedisServer, access: RedisAccess
) -> None:
    """The control: without any one of its commands something is refused."""
    for command in set(commands_of(access.acl, "operator")) - NOT_OF_THE_STORE:
        with guarded.client() as admin:
            admin.acl_setuser("operator", enabled=True, commands=[f"-{command}"])
            settings = OperatorSettings(
                Servers(as_user(guarded, "operator"), access.operator_password)
            )
            try:
                with pytest.raises(StoreRefuses):
                    everything_of_an_operator(settings)
            finally:
                admin.acl_setuser("operator", enabled=True, commands=[f"+{command}"])
                settings.close()


def test_the_reader_hears_updates_and_runs_no_script(
    guarded: RedisServer, access: RedisAccess, writer: Store
) -> None:
    with raw(guarded, "reader", access.reader_password) as client:
        with client.pubsub() as updates:
            updates.subscribe(redis_keys.updates("den"))
            updates.psubscribe("roommood:*")
            now_ms = wall_ms() + 60_000
            writer.commit([delivery(result(77, face(), room="den"), now_ms - 100)], now_ms)
            kinds: set[str] = set()
            while kinds != {"subscribe", "psubscribe", "message", "pmessage"}:
                message = updates.get_message(timeout=20)
                assert message is not None, kinds
                kinds.add(message["type"])
        for call in (
            lambda: client.eval("return 1", 0),
            lambda: client.evalsha("0" * 40, 0),
            lambda: client.script_load("return 1"),
            lambda: client.set("roommood:rooms", "1"),
            lambda: client.unlink("roommood:rooms"),
            lambda: client.get("other"),
            lambda: client.publish(redis_keys.updates("den"), "{}"),
            lambda: client.keys("*"),
            lambda: client.config_get("*"),
            client.flushall,
            client.info,
        ):
            with pytest.raises(redis.ResponseError, match=REFUSED):
                call()
        with client.pubsub() as updates:
            updates.psubscribe("*")
            with pytest.raises(redis.ResponseError, match=REFUSED):
                updates.get_message(timeout=20)


def test_nobody_gets_in_without_a_password(guarded: RedisServer, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("guess\n")
    wrong.chmod(0o600)
    with pytest.raises(StoreRefuses, match="does not let us in"):
        Store(guarded.url).check_schema()
    for user in ("writer", "reader", "default"):
        with pytest.raises(StoreRefuses, match="does not let us in") as caught:
            Store(as_user(guarded, user), wrong).check_schema()
        assert "guess" not in str(caught.value)


def test_a_redis_without_the_acl_file_lets_anybody_write() -> None:
    """The control: the same Redis, unguarded."""
    with RedisServer() as open_to_all:
        store = Store(open_to_all.url)
        store.pause("den")
        assert store.paused_rooms() == ("den",)


def raw(server: RedisServer, user: str, password_file: Path) -> redis.Redis:
    password = password_file.read_text().strip()
    return redis.Redis.from_url(server.url, username=user, password=password, decode_responses=True)


# The files


def test_the_files_are_for_their_owner_only_and_hold_no_password_but_their_own(
    access: RedisAccess,
) -> None:
    passwords = {
        file.read_text().strip()
        for file in (access.writer_password, access.reader_password, access.operator_password)
    }
    assert len(passwords) == 3
    assert all(len(password) >= 40 for password in passwords)
    for path in access.conf.parent.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    for path in (access.conf, access.acl):
        assert not any(password in path.read_text() for password in passwords)


def test_files_that_are_there_are_kept_unless_forced(tmp_path: Path) -> None:
    first = write_redis_access(tmp_path / "new").writer_password.read_text()
    with pytest.raises(ConfigError, match="--force"):
        write_redis_access(tmp_path / "new")
    assert (tmp_path / "new" / "redis-writer.password").read_text() == first
    assert write_redis_access(tmp_path / "new", force=True).writer_password.read_text() != first


def test_the_shipped_configuration_starts_a_redis_that_keeps_what_it_confirmed(
    tmp_path: Path,
) -> None:
    """As it is written, but for the port, which may be taken on this machine."""
    access = write_redis_access(tmp_path / "redis")
    port, socket = free_port(), tmp_path / "redis.sock"
    command = [server_program(), str(access.conf), "--port", str(port), "--dir", str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--unixsocket", str(socket)], stdout=log, stderr=log)
    try:
        client = wait_for(f"redis://writer@127.0.0.1:{port}/0", access.writer_password)
        info = client.info()
        assert info["maxmemory_policy"] == "noeviction"
        assert info["aof_enabled"] == 1
        Store(f"redis://writer@127.0.0.1:{port}/0", access.writer_password).check_schema()
        client.close()
    finally:
        process.terminate()
        process.wait(20)


def wait_for(url: str, password_file: Path) -> redis.Redis:
    from redis.backoff import ConstantBackoff
    from redis.retry import Retry

    client: redis.Redis = connect(url, password_file)
    client.set_retry(Retry(ConstantBackoff(0.05), 400))
    client.ping()
    return client


# Passwords


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sesame@host:1/0", "redis://user:sesame@host", "rediss://u:sesame@host",
        "redis://:ses/ame@host", "redis://:ses?ame@host", "redis://:ses#ame@host",
        "redis://:ses@ame@host", "redis://host?password=sesame", "redis://host?PASSWORD=sesame",
        "unix://u:sesame@/run/r.sock", "redis://:sesame@a:1,b:2/0?cluster=true",
    ],
)  # fmt: skip
def test_a_url_with_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="--redis-password-file") as caught:
        connect(url)
    assert not any(part in str(caught.value) for part in ("sesame", "ses", "ame@"))


def test_the_commands_refuse_a_url_with_a_password_without_repeating_it() -> None:
    from roommood.deploy.cli import app

    for words in (
        ("rooms",), ("stats", "den"), ("watch",), ("pause", "den"), ("forget", "den", "--yes"),
        ("export", "den"), ("doctor",), ("aggregator",),
    ):  # fmt: skip
        done = CliRunner().invoke(app, [*words, "--redis", "redis://:sesame@127.0.0.1:1/0"])
        text = f"{done.output} {done.exception}"
        assert done.exit_code != 0
        assert "sesame" not in text, words
        assert "password" in text, words


def test_a_user_in_the_url_needs_a_password_file() -> None:
    with pytest.raises(ConfigError, match="--redis-password-file"):
        connect("redis://reader@host")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_password_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "password"
    path.write_text("sesame\n")
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}") as caught:
        connect("redis://host", path)
    assert "sesame" not in str(caught.value)
    path.chmod(0o600)
    connect("redis://host", path)


def test_a_systemd_credential_is_taken_where_no_file_is_given(
    guarded: RedisServer, access: RedisAccess, writer: Store, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    writer.check_schema()
    writer.touch_rooms({"den": wall_ms()})
    credential = tmp_path / "redis-reader.password"
    credential.write_text(access.reader_password.read_text())
    credential.chmod(0o440)  # as systemd makes it
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with RoomStats(as_user(guarded, "reader")) as stats:
        assert "den" in [room.room for room in stats.rooms()]


def test_a_new_password_is_taken_without_a_restart(
    guarded: RedisServer, access: RedisAccess, tmp_path: Path
) -> None:
    path = tmp_path / "password"
    path.write_text("first\n")
    path.chmod(0o600)
    with guarded.client() as admin:
        admin.acl_setuser(
            "changing", enabled=True, passwords=["+first"], keys=["*"], categories=["+@all"]
        )
        store = Store(as_user(guarded, "changing"), path)
        store.check_schema()
        admin.acl_setuser(
            "changing", enabled=True, reset=True, passwords=["+second"], keys=["*"],
            categories=["+@all"],
        )  # fmt: skip
        admin.client_kill_filter(user="changing")
        with pytest.raises(StoreRefuses, match="does not let us in"):
            once_more(store.check_schema)
        path.write_text("second\n")
        store.check_schema()
        path.unlink()
        admin.client_kill_filter(user="changing")
        with pytest.raises(StoreRefuses, match="cannot read"):
            once_more(store.check_schema)
        admin.acl_deluser("changing")


def once_more(call: Callable[[], object]) -> None:
    """The first call may find its connection just cut off."""
    try:
        call()
    except StoreAway:
        call()


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"), "DNS:localhost")


@pytest.fixture(scope="module")
def tls_port(certificates: Path, guarded: RedisServer) -> Iterator[int]:
    with TlsFront(
        guarded.socket, certificates / "server.crt", certificates / "server.key"
    ) as front:
        yield front.port


def test_tls_with_the_right_authority_and_password_lets_the_writer_in(
    tls_port: int, certificates: Path, access: RedisAccess
) -> None:
    ca = certificates / "ca.pem"
    url = f"rediss://writer@localhost:{tls_port}/0?ca_file={ca}"
    store = Store(url, access.writer_password)
    everything(store)
    assert "kitchen" not in store.paused_rooms()
    store.close()


@pytest.mark.parametrize(
    ("host", "query"),
    [
        ("localhost", ""),  # by the system's authorities
        ("localhost", "?ca_file={folder}/other.pem"),
        ("127.0.0.1", "?ca_file={folder}/ca.pem"),  # a name that the certificate does not hold
    ],
)
def test_a_certificate_that_is_not_trusted_ends_the_connection(
    tls_port: int, certificates: Path, access: RedisAccess, host: str, query: str
) -> None:
    url = f"rediss://writer@{host}:{tls_port}/0{query.format(folder=certificates)}"
    with pytest.raises(StoreAway, match=r"certificate .* is not trusted"):
        Store(url, access.writer_password).check_schema()


def test_without_the_check_the_same_certificate_would_do(
    tls_port: int, access: RedisAccess
) -> None:
    """The control: redis-py told not to look."""
    client = redis.Redis.from_url(
        f"rediss://127.0.0.1:{tls_port}/0",
        username="writer",
        password=access.writer_password.read_text().strip(),
        ssl_cert_reqs="none",
        ssl_check_hostname=False,
    )
    assert client.ping()


def test_plain_text_to_a_tls_port_is_away_not_a_hang(tls_port: int, access: RedisAccess) -> None:
    with pytest.raises(StoreAway):
        Store(f"redis://writer@localhost:{tls_port}/0", access.writer_password).check_schema()


@pytest.mark.parametrize(
    "url",
    [
        "rediss://host?ssl_cert_reqs=none", "rediss://host?ssl_check_hostname=false",
        "rediss://host?ca_file=/nowhere.pem", "redis://host?ca_file=/etc/ssl/cert.pem",
    ],
)  # fmt: skip
def test_tls_that_would_check_nothing_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        connect(url)
