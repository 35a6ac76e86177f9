"""Connecting to Redis or a Redis Cluster, and its exceptions in our own words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from roommood.aggregator.redis.credentials import access, refuse_password_in
from roommood.shared.errors import ConfigError, ShardAway, StoreAway, StoreError, StoreRefuses
from roommood.shared.process.settings import DEFAULT_REDIS_URL

DEFAULT_URL: Final = DEFAULT_REDIS_URL
# Seconds until a silent Redis counts as away.
TIMEOUT_S: Final = 2.0
# Refusals that concern the server, not the key: a read-only replica, no memory, no disk, too few
# replicas, a script that does not end, no rights. redis-py strips some of these words off.
_OF_ALL_KEYS: Final = re.compile(
    r"\b(READONLY|OOM|MISCONF|NOREPLICAS|BUSY|NOPERM)\b|read only replica|used memory > 'maxmemory'"
    r"|unable to persist|not enough good replicas"
    r"|ACL failure in script|user executing the script can't",
    re.IGNORECASE,
)


def connect(url: str, password_file: Path | None = None) -> Any:
    """A `redis.Redis`, or a `redis.cluster.RedisCluster` where the URL says `?cluster=true`.

    `url` is redis://, rediss:// (TLS) or unix://; a Cluster's may name several nodes
    (redis://a:6379,b:6379?cluster=true), of which one must answer: the others are learned from
    it. With rediss:// the server's certificate is checked, against that of `?ca_file=FILE` where
    it is given. The password is the first line of a file, never part of the URL; it is read again
    for each connection. Nothing is retried: whoever calls knows what may be repeated. A single
    Redis is not contacted yet. Raises ConfigError for a URL or file that cannot be used,
    StoreAway or StoreError where a Cluster does not answer.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    refuse_password_in(url)
    with_access, wants_cluster = _without_cluster(url)
    plain_url, of_access = access(with_access, password_file)
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        **of_access,
    }
    try:
        with translated(url):
            if wants_cluster:
                return _cluster(plain_url, options)
            return redis.Redis.from_url(plain_url, **options)
    except ValueError as error:
        raise ConfigError(f"{without_password(url)!r} is not a Redis URL: {error}") from error


def is_cluster(url: str) -> bool:
    """Whether a URL names a Redis Cluster."""
    return _without_cluster(url)[1]


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what redis-py raises inside into StoreAway (no answer) or StoreError (refused)."""
    try:
        yield
    except failures() as error:
        raise as_store_error(error, url) from error


def failures() -> tuple[type[Exception], ...]:
    """What redis-py raises: its exceptions of a Cluster have a root of their own."""
    import redis
    from redis.exceptions import RedisClusterException

    return redis.RedisError, RedisClusterException, OSError


def as_store_error(error: Exception, url: str) -> StoreError:
    """StoreAway where Redis gave no answer or cannot serve yet, StoreRefuses where it takes nothing
    whatever the key, else StoreError: of this key alone.

    Of a Cluster whose other nodes may serve: ShardAway, or StoreError.
    """
    from redis import exceptions as of_redis

    if isinstance(error, StoreError):
        return error
    if isinstance(error, of_redis.AuthenticationError | of_redis.NoPermissionError):
        return StoreRefuses(f"Redis at {without_password(url)} does not let us in: {error}")
    no_answer = (
        of_redis.ConnectionError,
        of_redis.TimeoutError,
        of_redis.ClusterDownError,
        of_redis.MasterDownError,
        of_redis.RedisClusterException,
        OSError,
    )
    if isinstance(error, no_answer):
        of_one_node = of_redis.ConnectionError | of_redis.TimeoutError
        one = is_cluster(url) and isinstance(error, of_one_node)
        return (ShardAway if one else StoreAway)(_away(url, error))
    of_all_keys = _OF_ALL_KEYS.search(str(error)) and not is_cluster(url)
    kind = StoreRefuses if of_all_keys else StoreError
    return kind(f"Redis at {without_password(url)} refused: {error}")


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    address, _, query = url.partition("?")
    scheme, slashes, rest = address.partition("://")
    _, at, host = rest.rpartition("@")
    shown = [(name, value) for name, value in parse_qsl(query) if name != "password"]
    return f"{scheme}{slashes}{'***@' if at else ''}{host}{_query(shown)}"


def _cluster(url: str, options: dict[str, Any]) -> Any:
    """A Cluster of which one of the nodes in `url`, separated by commas, must answer."""
    from redis.cluster import ClusterNode, RedisCluster

    scheme, slashes, rest = url.partition("://")
    hosts, slash, tail = _split_host(rest)
    if scheme == "unix" or tail.partition("?")[0] not in ("", "0"):
        raise ConfigError(
            f"{without_password(url)}: a Redis Cluster is reached by TCP and has but database 0: "
            "use redis://HOST:PORT?cluster=true"
        )
    user, at, names = hosts.rpartition("@")
    first, *others = names.split(",")
    make_node: Any = ClusterNode  # redis-py gives no types for it
    nodes = [make_node(*_host_and_port(other)) for other in others]
    first_url = f"{scheme}{slashes}{user}{at}{first}{slash}{tail}"
    return RedisCluster.from_url(first_url, startup_nodes=nodes, **options)


def _split_host(rest: str) -> tuple[str, str, str]:
    """What stands before the first / or ?, that character, and what follows it."""
    end = min((place for mark in "/?" if (place := rest.find(mark)) >= 0), default=len(rest))
    return rest[:end], rest[end : end + 1], rest[end + 1 :]


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"{text!r} is no host:port")
    return host.strip("[]"), int(port)


def _away(url: str, error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        why = str(error).partition("verify failed: ")[2].partition(" (_ssl")[0]
        return (
            f"Redis at {without_password(url)} shows a certificate that is not trusted ({why}): "
            "?ca_file=FILE in the URL names the certificate of the authority that signed"
        )
    return (
        f"Redis at {without_password(url)} does not answer ({error}): "
        "is it running, and is this its address?"
    )


def _without_cluster(url: str) -> tuple[str, bool]:
    address, _, query = url.partition("?")
    options = parse_qsl(query)
    chosen = [value for name, value in options if name == "cluster"]
    if any(value not in ("true", "false") for value in chosen):
        raise ConfigError(f"cluster={chosen[0]} in the Redis URL: say true or false")
    others = [(name, value) for name, value in options if name != "cluster"]
    return f"{address}{_query(others)}", "true" in chosen


def _query(options: list[tuple[str, str]]) -> str:
    return f"?{urlencode(options)}" if options else ""
