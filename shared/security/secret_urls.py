"""Addresses that may hold passwords: which do, and what of them may be shown."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,15})://")
_ENDS_AUTHORITY: Final = re.compile(r"[/?#\\]")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.%]+\])(?::([0-9]{1,5}))?", re.ASCII)
# As it may stand in a sentence; a path takes one of its slashes.
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}:/[^\s'\"]+")
# As sockets are bound.
_ALL_NETWORKS: Final = re.compile(r"\*:[0-9]{1,5}", re.ASCII)
# As cameras name them in a query or in the path: ?passwd=..., /user=admin&password=...
_NAMED: Final = re.compile(
    r"(?:pass(?:wd|word|wort|phrase)|(?:^|[^a-z0-9])(?:(?:login)?pass?|(?:user_?)?pwd|psw|pw|psk|"
    r"secret|token|auth(?:basic)?|api[_-]?key))\s*=",
    re.IGNORECASE,
)
# What stands there instead of one.
_NO_PASSWORD: Final = re.compile(r"\{password\}|[&;]\w*=|[&;]?$")
HIDDEN: Final = "..."


def redacted(url: str) -> str:
    """Scheme and host of an address, fit for logs and errors; "..." for what is not sure to be
    one: a password may hold any character, and so move the host elsewhere."""
    start = _SCHEME.match(url)
    if start is None:
        return HIDDEN
    authority, rest = _split(url[start.end() :])
    host = authority.rpartition("@")[2]
    is_plain = is_host(host) or _ALL_NETWORKS.fullmatch(host)
    return f"{start.group()}{host if '@' not in rest and is_plain else HIDDEN}"


def shown(spec: str) -> str:
    """A source as it may be shown: a path or a number as it is, an address redacted."""
    plain = unquote(spec)
    is_address = "://" in plain or "@" in plain or re.match(r"\s*[A-Za-z]{3,}:[/\\]", plain)
    return redacted(spec) if is_address or names_password(spec) else spec


def without_passwords(text: str) -> str:
    """A message, with each address in it that holds a password redacted: the last look at what a
    person gave where no address belongs."""
    return _ADDRESS.sub(lambda match: _redacted_if_secret(match.group()), text)


def _redacted_if_secret(address: str) -> str:
    return redacted(address) if holds_password(address) else address


def holds_password(url: str) -> bool:
    """True for a URL with a password in it, however it is written there."""
    start, plain = _SCHEME.match(url), unquote(url)
    place = url[start.end() :] if start else plain
    # The @ may be written as %40 where the host ends, but is then no part of path or query.
    before = (place.rpartition("@")[0], unquote(_split(place)[0]).rpartition("@")[0])
    named = (not _NO_PASSWORD.match(plain, name.end()) for name in _NAMED.finditer(plain))
    return any(":" in unquote(user) for user in before) or any(named)


def names_password(url: str) -> bool:
    """True also where nothing but `{password}`, or the next name, seems to follow."""
    return _NAMED.search(unquote(url)) is not None


def is_host(text: str) -> bool:
    """True for host or host:port."""
    match = _HOST.fullmatch(text)
    return match is not None and int(match.group(1) or 1) in range(1, 65_536)


def is_well_formed(url: str) -> bool:
    """False where user or password hold what must be written as %XX, or there is no host."""
    start = _SCHEME.match(url)
    if start is None or "#" in url:
        return False
    authority, _ = _split(url[start.end() :])
    try:
        return is_host(authority.rpartition("@")[2]) and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _split(after_scheme: str) -> tuple[str, str]:
    end = _ENDS_AUTHORITY.search(after_scheme)
    at = end.start() if end else len(after_scheme)
    return after_scheme[:at], after_scheme[at:]
