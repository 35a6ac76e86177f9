"""What `roommood doctor` looks at in Redis: version, eviction, persistence, whose keys."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from aggregator.redis_client import DEFAULT_URL, connect, translated, without_password
from deploy.findings import Finding, fail, ok, warn
from shared import redis_keys
from shared.errors import StoreAway, StoreError

_LUA_BUG: Final = "CVE-2025-49844 (a Lua script may run code)"
# First release of each series without it; later series never had it.
_FIXED_REDIS: Final = {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}
_FIXED_VALKEY: Final = {(7, 2): 11, (8, 0): 6, (8, 1): 4}
_OLDEST: Final = (6, 2)
_Info = Mapping[str, Any]


def check_redis(url: str | None, password_file: Path | None) -> Iterator[Finding]:
    """Findings of the Redis at `url`; without one, of the usual one if it is there."""
    address = url or DEFAULT_URL
    client = connect(address, password_file)
    try:
        with translated(address):
            info: _Info = client.info()
            schema = client.get(redis_keys.SCHEMA)
    except StoreAway as error:
        yield _away(str(error), is_wanted=url is not None)
        return
    finally:
        client.close()
    yield _version(info, without_password(address))
    yield _eviction(info)
    yield _persistence(info)
    yield _schema(schema)


def is_open_to_lua_bug(version: str, is_valkey: bool) -> bool:
    """Whether this version, by its number, still has CVE-2025-49844."""
    major, minor, patch = _numbers(version)
    fixed = _FIXED_VALKEY if is_valkey else _FIXED_REDIS
    if (major, minor) in fixed:
        return patch < fixed[major, minor]
    return (major, minor) < max(fixed)


def _away(error: str, *, is_wanted: bool) -> Finding:
    if is_wanted:
        return fail("redis", error)
    todo = "nothing, unless an aggregator is to run here: then start Redis, or give --redis"
    return warn("redis", f"none at {DEFAULT_URL}", todo)


def _version(info: _Info, shown: str) -> Finding:
    is_valkey = "valkey_version" in info
    version = str(info["valkey_version" if is_valkey else "redis_version"])
    said = f"{'Valkey' if is_valkey else 'Redis'} {version} at {shown}"
    if _numbers(version)[:2] < _OLDEST:
        return fail("redis", f"{said} is too old", "install 6.2 or later")
    if is_open_to_lua_bug(version, is_valkey):
        todo = (
            "upgrade, unless your distribution has patched it under this number (Debian and "
            "Ubuntu do); until then let nobody else reach it"
        )
        return warn("redis", f"{said}: by its number open to {_LUA_BUG}", todo)
    return ok("redis", said)


def _eviction(info: _Info) -> Finding:
    policy, limit = str(info.get("maxmemory_policy", "")), int(info.get("maxmemory", 0))
    if policy == "noeviction":
        return ok("redis memory", "noeviction: nothing that was counted is thrown away")
    said = f"maxmemory-policy is {policy or 'not told'}"
    todo = "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in its redis.conf"
    if not limit:
        return warn("redis memory", f"{said}, without effect as long as maxmemory is 0", todo)
    return fail("redis memory", f"{said}: it may throw away what makes counting exact", todo)


def _persistence(info: _Info) -> Finding:
    if int(info.get("aof_enabled", 0)):
        return ok("redis disk", "appendonly: at most two seconds are lost with the power")
    todo = "redis-cli CONFIG SET appendonly yes, and the same in its redis.conf"
    return warn("redis disk", "appendonly is off: a crash loses what was counted lately", todo)


def _schema(found: str | None) -> Finding:
    ours = redis_keys.SCHEMA_VERSION
    if found is None:
        return ok("redis keys", "none of roommood's yet")
    if found == ours:
        return ok("redis keys", f"version {ours} of roommood's keys")
    todo = "run the release that wrote them, or use another database number in the URL"
    return fail("redis keys", f"version {found}; this release writes version {ours}", todo)


def _numbers(version: str) -> tuple[int, int, int]:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        raise StoreError(f"Redis gives {version!r} as its version, which is not a number")
    return int(match[1]), int(match[2]), int(match[3])
