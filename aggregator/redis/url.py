"""What a Redis URL says, taken apart and checked once.

    redis://USER@HOST:PORT/0                      one server; rediss:// with TLS
    unix://USER@/run/redis.sock?db=0              the same through a unix socket
    redis://HOST:PORT,HOST:PORT?cluster=true      a Redis Cluster, by one or several of its nodes
    redis+sentinel://USER@HOST,HOST/SERVICE/0     the master that these sentinels name (port 26379)

A password never stands in it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import DEFAULT_REDIS_URL
from roommood.shared.security.secret_urls import holds_password, names_password, redacted

DEFAULT_URL: Final = DEFAULT_REDIS_URL
_PORT, _SENTINEL_PORT = 6379, 26379
_TLS: Final = ("rediss", "rediss+sentinel")
_SENTINEL: Final = ("redis+sentinel", "rediss+sentinel")
_SCHEMES: Final = ("redis", "rediss", "unix", *_SENTINEL)
Host = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """`service` is empty but with sentinels; `options` go to each connection as they are.

    `own` are options for us: ca_file, sentinel_user, sentinel_password_file. `shown` is the URL
    without what nobody else may see.
    """

    shown: str
    scheme: str
    user: str
    hosts: tuple[Host, ...]
    path: str
    db: int
    service: str
    is_cluster: bool
    own: Mapping[str, str]
    options: Mapping[str, Any]

    @property
    def has_tls(self) -> bool:
        return self.scheme in _TLS

    @property
    def has_sentinels(self) -> bool:
        return self.scheme in _SENTINEL


def parse_url(url: str) -> RedisUrl:
    """Raises ConfigError, without the password that the URL may hold by mistake."""
    refuse_password_in(url)
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        known = ", ".join(f"{each}://" for each in _SCHEMES)
        raise ConfigError(f"{without_password(url)!r} is not a Redis URL: it begins with {known}")
    place, _, query = rest.partition("?")
    authority, slash, path = place.partition("/")
    user, _, names = authority.rpartition("@")
    options = _options(query)
    service, database = _service_and_database(scheme, path)
    is_unix = scheme == "unix"
    _require_kind(scheme, options)
    if database not in (None, options.get("db", database)):
        raise ConfigError(f"/{database} and db={options['db']} in the Redis URL: say which holds")
    return _checked(
        RedisUrl(
            shown=without_password(url),
            scheme=scheme,
            user=unquote(user),
            hosts=() if is_unix else _hosts(names, scheme),
            path=unquote(slash + path) if is_unix else "",
            db=options.pop("db", database or 0),
            service=service,
            is_cluster=options.pop("cluster", False),
            own={name: str(options.pop(name)) for name in _OWN if name in options},
            options=options,
        )
    )


def is_cluster(url: str) -> bool:
    """Whether a URL names a Redis Cluster."""
    return parse_url(url).is_cluster


def without_password(url: str) -> str:
    """The URL as it may be shown: of one that holds a password, scheme and host alone."""
    if _may_hold_password(url):
        return redacted(url)
    scheme, slashes, rest = url.partition("://") if "://" in url else ("", "", url)
    _, at, shown = rest.rpartition("@")
    return f"{scheme}{slashes}{'***@' if at else ''}{shown}"


def refuse_password_in(url: str) -> None:
    """Raises ConfigError, which does not repeat it, for a URL that holds a password.

    Every user of a machine sees the command lines of all processes.
    """
    if _may_hold_password(url):
        raise ConfigError(
            "the Redis URL holds a password, which others could read from it: change that "
            "password, write the new one into a file that only you can read, and give "
            "--redis-password-file FILE and a URL like redis://USER@HOST:6379/0"
        )


def _may_hold_password(url: str) -> bool:
    return holds_password(url) or names_password(url)


# Options


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("say true or false")
    return text == "true"


def _protocol(text: str) -> int:
    if text not in ("2", "3"):
        raise ValueError("say 2 or 3")
    return int(text)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("say a whole number")
    return int(text)


def _seconds(text: str) -> float:
    """0 stands for no wait at all, which no server is quick enough for."""
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", text, re.ASCII) or not 0 < float(text) <= _LONGEST_S:
        raise ValueError(f"say seconds, above 0 and at most {_LONGEST_S}")
    return float(text)


def _seconds_or_never(text: str) -> float:
    return 0.0 if text == "0" else _seconds(text)


_LONGEST_S: Final = 3_600
_OWN: Final = ("ca_file", "sentinel_user", "sentinel_password_file")
_OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "ca_file": str,
    "client_name": str,
    "cluster": _truth,
    "db": _number,
    "health_check_interval": _seconds_or_never,
    "protocol": _protocol,
    "sentinel_password_file": str,
    "sentinel_user": str,
    "socket_connect_timeout": _seconds,
    "socket_keepalive": _truth,
    "socket_timeout": _seconds,
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
}
_UNCHECKED: Final = ("ssl_cert_reqs", "ssl_check_hostname")
_WITH_TLS: Final = ("ca_file", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def _options(query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in options:
            raise ConfigError(f"{name} stands twice in the Redis URL: say which holds")
        options[name] = _option(name, text)
    return options


def _option(name: str, text: str) -> Any:
    if name in _UNCHECKED:
        raise ConfigError(
            f"{name}={text} in the Redis URL: without that check TLS protects from nothing; "
            "give the certificate of the authority that signed, with ca_file=FILE"
        )
    if name not in _OPTIONS:
        near = get_close_matches(name, _OPTIONS, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"{name} in the Redis URL: {meant}Known are {', '.join(_OPTIONS)}")
    try:
        return _OPTIONS[name](text)
    except ValueError as error:
        raise ConfigError(f"{name}={text} in the Redis URL: {error}") from error


def _require_kind(scheme: str, options: Mapping[str, Any]) -> None:
    """Raises ConfigError for options that connections of this scheme do not have."""
    for name in options:
        if name in _WITH_TLS and scheme not in _TLS:
            raise ConfigError(f"{name} in a Redis URL without TLS: write rediss://")
    if scheme == "unix" and "socket_keepalive" in options:
        raise ConfigError("socket_keepalive in the Redis URL: a unix socket has none, leave it out")


# Hosts and database


def _hosts(names: str, scheme: str) -> tuple[Host, ...]:
    if scheme in _SENTINEL:
        return tuple(_host(name, _SENTINEL_PORT) for name in names.split(",") if names)
    return tuple(_host(name, _PORT) for name in (names or "localhost").split(","))


def _host(text: str, usual_port: int) -> Host:
    """HOST, HOST:PORT, [IPV6] or [IPV6]:PORT."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:,\s]+)(?::([0-9]{1,5}))?", text)
    if match is None or int(match[2] or usual_port) not in range(1, 65_536):
        # After a colon may stand a password, before which its user and a host were forgotten.
        place = repr(text) if re.fullmatch("[^:]*:?[0-9]*", text) else "what stands for the host"
        raise ConfigError(f"{place} in the Redis URL is no HOST:PORT")
    return unquote(match[1].strip("[]")), int(match[2] or usual_port)


def _service_and_database(scheme: str, path: str) -> tuple[str, int | None]:
    """What a path says: /0, with sentinels /SERVICE or /SERVICE/0, nothing of a socket's."""
    if scheme == "unix":
        return "", None
    service, _, database = path.partition("/") if scheme in _SENTINEL else ("", "", path)
    if database and not (database.isdecimal() and database.isascii()):
        raise ConfigError(
            f"/{database} in the Redis URL is no database: it is a whole number such as /0"
        )
    return unquote(service), int(database) if database else None


def _checked(url: RedisUrl) -> RedisUrl:
    if url.scheme == "unix" and not url.path:
        raise ConfigError(f"{url.shown} names no socket: unix:///run/redis/redis.sock")
    if url.is_cluster and (url.scheme == "unix" or url.has_sentinels or url.db):
        raise ConfigError(
            f"{url.shown}: a Redis Cluster is reached by TCP and has but database 0: "
            "use redis://HOST:PORT?cluster=true"
        )
    if url.has_sentinels and not (url.service and url.hosts):
        raise ConfigError(f"{url.shown}: say which: {url.scheme}://HOST,HOST/SERVICE/0")
    if len(url.hosts) > 1 and not (url.is_cluster or url.has_sentinels):
        raise ConfigError(
            f"{url.shown} names several servers: for a Cluster add ?cluster=true, for sentinels "
            "write redis+sentinel://HOST,HOST/SERVICE/0"
        )
    if not url.has_sentinels and url.own.keys() & {"sentinel_user", "sentinel_password_file"}:
        raise ConfigError(f"{url.shown} names no sentinels: redis+sentinel://HOST,HOST/SERVICE/0")
    return url
