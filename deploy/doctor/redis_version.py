"""Whether a Redis is open to the known faults of its Lua, as far as its number tells.

CVE-2025-49844, -46817, -46818 and -46819: a script may run code on the server, read past its
memory or act as another user. Fixed in Redis 6.2.20, 7.2.11, 7.4.6, 8.0.4 and 8.2.2
(github.com/redis/redis/releases, October 2025). Distributions fix without changing the number:
Debian's 7.0.15 has the fixes from 5:7.0.15-1~deb12u6 on.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from roommood.deploy.doctor.findings import Finding, fail, ok, skipped, warn
from roommood.shared.errors import StoreError

_LUA_BUG: Final = "CVE-2025-49844"
# First release of each series without it; later series never had it.
_FIXED_REDIS: Final = {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}
_FIXED_VALKEY: Final = {(7, 2): 11, (8, 0): 6, (8, 1): 4}
_OLDEST: Final = (6, 2)


def version_finding(info: Mapping[str, Any], shown: str) -> Finding:
    """From INFO's fields, of the Redis that is `shown` as this."""
    if not info:
        return skipped("redis", f"at {shown}; this user may not ask for its version")
    is_valkey = "valkey_version" in info
    version = str(info["valkey_version" if is_valkey else "redis_version"])
    text = f"{'Valkey' if is_valkey else 'Redis'} {version} at {shown}"
    if _numbers(version)[:2] < _OLDEST:
        return fail("redis", f"{text} is too old", "install 6.2 or later")
    if not is_open_to_lua_bug(version, is_valkey):
        return ok("redis", text)
    todo = (
        "upgrade, unless your distribution has patched it under this number (Debian has, from "
        "5:7.0.15-1~deb12u6 on); with the shipped ACL file only the writer may run scripts"
    )
    text += f": by its number open to {_LUA_BUG} (a Lua script may run code on the server)"
    return warn("redis", text, todo)


def is_open_to_lua_bug(version: str, is_valkey: bool) -> bool:
    """Whether this version, by its number, still has CVE-2025-49844."""
    major, minor, patch = _numbers(version)
    fixed = _FIXED_VALKEY if is_valkey else _FIXED_REDIS
    if (major, minor) in fixed:
        return patch < fixed[major, minor]
    return (major, minor) < max(fixed)


def _numbers(version: str) -> tuple[int, int, int]:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        raise StoreError(f"Redis gives {version!r} as its version, which is not a number")
    return int(match[1]), int(match[2]), int(match[3])
