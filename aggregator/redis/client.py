"""Connecting to a Redis server: by its address, or the master that sentinels name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from roommood.aggregator.redis.connections import TIMEOUT_S, bounded
from roommood.aggregator.redis.credentials import access, sentinel_access
from roommood.aggregator.redis.url import Host, RedisUrl, parse_url


def connect(url: str, password_file: Path | None = None) -> Any:
    """A `redis.Redis` with `decode_responses`, which is not contacted yet.

    Of a Cluster it is the first node that the URL names; `redis.servers` knows them all. The
    password is the first line of a file, never part of the URL; it is read again for each
    connection. With TLS the server's certificate is checked, against that of `?ca_file=FILE`
    where it is given. Nothing is retried: whoever calls knows what may be repeated. Raises
    ConfigError for a URL or file that cannot be used.
    """
    parsed = parse_url(url)
    if parsed.has_sentinels:
        return _master(parsed, password_file)
    if parsed.scheme == "unix":
        return _by_socket(parsed, password_file)
    return connector(parsed, password_file)(*parsed.hosts[:1])


def connector(url: RedisUrl, password_file: Path | None) -> Callable[[Host], Any]:
    """Makes clients of servers, all with the login and TLS of a URL."""
    return _maker(url, _options(url, password_file))


def _maker(url: RedisUrl, options: dict[str, Any]) -> Callable[[Host], Any]:
    import redis

    kind = bounded(redis.SSLConnection if url.has_tls else redis.Connection)

    def make(host: Host) -> Any:
        return redis.Redis.from_pool(
            redis.ConnectionPool(connection_class=kind, host=host[0], port=host[1], **options)
        )

    return make


def _patience() -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        # What somebody has written by hand may be no UTF-8: then it is nobody's name.
        "encoding_errors": "replace",
        # The older protocol says all that is asked here, and servers and proxies that never heard
        # of HELLO speak it.
        "protocol": 2,
    }


def _by_socket(url: RedisUrl, password_file: Path | None) -> Any:
    import redis

    kind = redis.UnixDomainSocketConnection
    options = {**_options(url, password_file), "path": url.path}
    return redis.Redis.from_pool(redis.ConnectionPool(connection_class=kind, **options))


def _master(url: RedisUrl, password_file: Path | None) -> Any:
    """A client whose every new connection goes to the master of that moment."""
    from redis.sentinel import (
        Sentinel,
        SentinelManagedConnection,
        SentinelManagedSSLConnection,
    )

    make: Any = Sentinel  # redis-py gives no types for it
    sentinels = make([])
    of_sentinels = {**_patience(), **sentinel_access(url), "decode_responses": True}
    sentinels.sentinels = [*map(_maker(url, of_sentinels), url.hosts)]
    kind = bounded(SentinelManagedSSLConnection if url.has_tls else SentinelManagedConnection)
    options = _options(url, password_file)
    return sentinels.master_for(url.service, connection_class=kind, **options)


def _options(url: RedisUrl, password_file: Path | None) -> dict[str, Any]:
    own = {**url.options, "db": url.db, "decode_responses": True}
    return {**_patience(), **access(url, password_file), **own}
