"""What a Redis that refuses is told as, with what to do about it: each by a real server."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from roommood.aggregator.counting.store import Store
from roommood.shared.errors import ConfigError, StoreAway, StoreError, StoreRefuses
from tests.aggregator.made import HOUR_MS, delivery, result
from tests.certificates import make_certificates, openssl
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.tls_front import TlsFront


def add_reader(admin: redis.Redis) -> None:
    admin.acl_setuser("reader", enabled=True, passwords=["+pw"], keys=["*"], categories=["+@read"])


def fill(admin: redis.Redis) -> None:
    admin.config_set("maxmemory", "1")


def nothing(admin: redis.Redis) -> None:
    """As it was started."""


@pytest.mark.parametrize(
    ("options", "prepare", "user", "password", "todo"),
    [
        ({"requirepass": "right"}, nothing, "", "", "--redis-password-file FILE"),
        ({"requirepass": "right"}, nothing, "", "wrong", "that it knows"),
        ({}, add_reader, "reader@", "pw", "roommood keys redis"),
        ({"maxmemory_policy": "noeviction"}, fill, "", "", "CONFIG SET maxmemory"),
        ({"replicaof": "127.0.0.1 1"}, nothing, "", "", "the address of its master"),
    ],
)
def test_a_refusal_says_what_to_do(
    options: dict[str, str],
    prepare: Callable[[redis.Redis], None],
    user: str,
    password: str,
    todo: str,
    tmp_path: Path,
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{password}\n")
    file.chmod(0o600)
    with RedisServer(**options) as server:
        with server.client() as admin:
            prepare(admin)
        url = server.url.replace("unix://", f"unix://{user}")
        store = Store(url, file if password else None)
        with pytest.raises(StoreRefuses) as caught:
            store.check_schema()
        store.close()
    assert todo in str(caught.value)


def test_a_number_of_a_database_that_it_lacks_is_told() -> None:
    with RedisServer() as server:
        store = Store(server.url.replace("db=0", "db=99"))
        with pytest.raises(StoreError, match="name a database that it has, such as /0"):
            store.pause("kitchen")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"), "DNS:localhost")


@pytest.mark.parametrize(
    ("host", "file", "todo"),
    [
        ("localhost", "", r"\?ca_file=FILE in the URL"),
        ("localhost", "?ca_file={folder}/other.pem", "the file in the URL must hold"),
        ("127.0.0.1", "?ca_file={folder}/ca.pem", "use a name or address that stands in"),
    ],
)
def test_of_a_certificate_that_is_not_trusted_it_is_told_which_mistake_it_is(
    host: str, file: str, todo: str, certificates: Path
) -> None:
    chain, key = certificates / "server.crt", certificates / "server.key"
    with RedisServer() as server, TlsFront(server.socket, chain, key) as front:
        url = f"rediss://{host}:{front.port}/0{file.format(folder=certificates)}"
        with pytest.raises(StoreAway, match=todo):
            Store(url).check_schema()


def test_plain_text_to_a_port_of_tls_asks_for_rediss(certificates: Path) -> None:
    chain, key = certificates / "server.crt", certificates / "server.key"
    with (
        RedisServer() as server,
        TlsFront(server.socket, chain, key) as front,
        pytest.raises(StoreAway, match="does it speak TLS only"),
    ):
        Store(f"redis://localhost:{front.port}/0").check_schema()


def test_tls_to_a_port_of_plain_text_asks_for_redis(certificates: Path) -> None:
    port = free_port()
    url = f"rediss://127.0.0.1:{port}/0?ca_file={certificates}/ca.pem"
    with RedisServer(port=str(port)), pytest.raises(StoreAway, match="does it not speak TLS"):
        Store(url).check_schema()


def test_where_nobody_listens_nothing_is_said_of_tls() -> None:
    with pytest.raises(StoreAway) as caught:
        Store(f"redis://localhost:{free_port()}/0").check_schema()
    assert "TLS" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "ask"),
    [
        ("SET", lambda store: store.check_schema()),
        ("EVAL", lambda store: store.pause("kitchen")),
        ("SMEMBERS", lambda store: store.paused_rooms()),
    ],
)
def test_a_command_that_a_redis_does_not_have_is_told_without_all_of_its_arguments(
    command: str, ask: Callable[[Store], object]
) -> None:
    with RedisServer(rename_command=f"{command} nothing") as server:
        store = Store(server.url)
        with pytest.raises(StoreRefuses, match="rename-command") as caught:
            ask(store)
        store.close()
    why = re.search(f"unknown command ['`]{command}['`]: roommood needs", str(caught.value))
    assert why is not None
    assert "args beginning" not in str(caught.value)


def test_where_results_cannot_be_counted_for_want_of_a_command_redis_counts_as_away() -> None:
    with RedisServer(rename_command="EVALSHA nothing") as server:
        store = Store(server.url)
        report = store.commit([delivery(result())], HOUR_MS)
        store.close()
    assert isinstance(report.away, StoreRefuses)


def test_a_redis_with_too_many_clients_is_told_as_that() -> None:
    with RedisServer() as server, server.client() as other:
        other.config_set("maxclients", 1)
        with pytest.raises(StoreAway, match="maxclients"):
            Store(server.url).check_schema()


def test_a_redis_that_wants_a_certificate_of_ours_is_told_as_that(certificates: Path) -> None:
    chain, key, ca = (certificates / name for name in ("server.crt", "server.key", "ca.pem"))
    with RedisServer() as server, TlsFront(server.socket, chain, key, of_clients=ca) as front:
        url = f"rediss://localhost:{front.port}/0?ca_file={ca}"
        with pytest.raises(StoreAway, match="want a certificate of ours"):
            Store(url).check_schema()
        Store(f"{url}&ssl_certfile={chain}&ssl_keyfile={key}").check_schema()


@pytest.mark.parametrize(
    "given",
    [
        "ssl_certfile={folder}/nowhere.pem&ssl_keyfile={folder}/server.key",
        "ssl_certfile={folder}/server.crt&ssl_keyfile={folder}/other.key",
        "ssl_certfile={folder}/server.crt&ssl_keyfile={folder}/locked.key",
        "ssl_certfile={folder}/server.crt",
        "ssl_keyfile={folder}/server.key",
        "ssl_ca_certs={folder}/nowhere.pem",
    ],
)
def test_a_file_in_the_url_that_is_of_no_use_is_named_at_once(
    given: str, certificates: Path
) -> None:
    openssl(certificates, "ec", "-aes256", "-passout", "pass:secret",
            "-in", "server.key", "-out", "locked.key")  # fmt: skip
    with pytest.raises(ConfigError, match=str(certificates)):
        Store(f"rediss://localhost/0?{given.format(folder=certificates)}")


def test_a_server_that_withholds_what_stands_between_is_told_how_to_be_trusted(
    tmp_path: Path,
) -> None:
    """Its certificate is signed by one that is signed by the authority."""
    certificates = make_certificates(tmp_path, "DNS:localhost", between=True)
    chain, key, ca = (certificates / name for name in ("server.crt", "server.key", "ca.pem"))
    all_of_them = certificates / "all.pem"
    all_of_them.write_text((certificates / "between.pem").read_text() + ca.read_text())
    with RedisServer() as server, TlsFront(server.socket, chain, key) as front:
        url = f"rediss://localhost:{front.port}/0?ca_file="
        with pytest.raises(StoreAway, match="a server is to send those between"):
            Store(f"{url}{ca}").check_schema()
        Store(f"{url}{all_of_them}").check_schema()


def test_a_replica_that_has_lost_its_master_is_told_as_that_and_without_our_script() -> None:
    port = free_port()
    with RedisServer(replicaof=f"127.0.0.1 {port}") as server, server.client() as admin:
        store = Store(server.url)
        with pytest.raises(StoreRefuses) as caught:
            store.pause("kitchen")
        assert "read only replica" in str(caught.value)
        assert "@user_script" not in str(caught.value)
        admin.config_set("replica-serve-stale-data", "no")
        with pytest.raises(StoreAway, match=r"cannot serve now: .* the address of its master"):
            store.paused_rooms()
        store.close()
