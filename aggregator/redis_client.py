"""Connecting to Redis or a Redis Cluster, and its exceptions in our own words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from shared.errors import ConfigError, StoreAway, StoreError

DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"
# Seconds until a silent Redis counts as away.
TIMEOUT_S: Final = 2.0


def connect(url: str, password_file: Path | None = None) -> Any:
    """A `redis.Redis`, or a `redis.cluster.RedisCluster` where the URL says `?cluster=true`.

    `url` is redis://, rediss:// (TLS) or unix://; a password read from a file (its first
    line) stays out of command lines. Nothing is retried: whoever calls knows what may be
    repeated. A single Redis is not contacted yet. Raises ConfigError for a URL or file that
    cannot be used, StoreAway or StoreError where a Cluster does not answer.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
    from redis.retry import Retry

    plain_url, is_cluster = _without_cluster(url)
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
    }
    if password_file is not None:
        options["password"] = _read_password(password_file)
    try:
        with translated(url):
            return (RedisCluster if is_cluster else redis.Redis).from_url(plain_url, **options)
    except ValueError as error:
        raise ConfigError(f"{without_password(url)!r} is not a Redis URL: {error}") from error


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what redis-py raises inside into StoreAway (no answer) or StoreError (refused)."""
    import redis

    try:
        yield
    except redis.RedisError as error:
        raise as_store_error(error, url) from error
    except OSError as error:
        raise StoreAway(_away(url, error)) from error


def as_store_error(error: Exception, url: str) -> StoreError:
    """StoreAway where Redis gave no answer or cannot serve yet, else StoreError."""
    from redis import exceptions as of_redis

    if isinstance(error, of_redis.AuthenticationError | of_redis.NoPermissionError):
        return StoreError(f"Redis at {without_password(url)} does not let us in: {error}")
    no_answer = (
        of_redis.ConnectionError,
        of_redis.TimeoutError,
        of_redis.ClusterDownError,
        of_redis.MasterDownError,
        of_redis.RedisClusterException,
    )
    if isinstance(error, no_answer):
        return StoreAway(_away(url, error))
    return StoreError(f"Redis at {without_password(url)} refused: {error}")


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    address, _, query = url.partition("?")
    scheme, slashes, rest = address.partition("://")
    _, at, host = rest.rpartition("@")
    shown = [(name, value) for name, value in parse_qsl(query) if name != "password"]
    return f"{scheme}{slashes}{'***@' if at else ''}{host}{_query(shown)}"


def _away(url: str, error: Exception) -> str:
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


def _read_password(path: Path) -> str:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the Redis password file {path} cannot be read: {error}") from error
    if not lines or not lines[0]:
        raise ConfigError(f"the Redis password file {path} is empty: its first line is taken")
    return lines[0]
