"""What `roommood doctor` looks at in Redis: version, rights, reach, clock, memory, disk, keys.

Each is looked at as far as the rights of the user in the URL go; what they do not show is said to
be skipped, never taken for good.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.client import connect
from roommood.aggregator.redis.failures import as_store_error, failures
from roommood.aggregator.redis.servers import Servers
from roommood.aggregator.redis.url import DEFAULT_URL, without_password
from roommood.deploy.doctor.findings import Finding, fail, ok, skipped, warn
from roommood.deploy.doctor.redis_version import version_finding
from roommood.deploy.doctor.releases import release_findings
from roommood.shared.errors import StoreAway, StoreRefuses

_WRITER, _READER = "writer", "reader"
# No room can have this name, so to resume it changes nothing.
_NO_ROOM: Final = ""
_CLOCK_OFF_S: Final = 1.0
_NEARLY_FULL: Final = 0.9
_GUARD: Final = "`roommood keys redis --dir DIR` writes an ACL file and its passwords"
_FOR_COUNTING: Final = f"an aggregator needs it; {_GUARD}"
_Info = Mapping[str, Any]


def check_redis(url: str | None, password_file: Path | None) -> Iterator[Finding]:
    """Findings of the Redis at `url`; without one, of the usual one if it is there."""
    address = url or DEFAULT_URL
    servers = Servers(address, password_file)
    try:
        schemas = servers.from_copies(redis_keys.SCHEMA, lambda client, key: client.get(key))
        schema = next(filter(None, schemas), None)
        yield from _look(servers, address, password_file, schema)
    except StoreAway as error:
        yield _away(str(error), is_wanted=url is not None)
    except StoreRefuses as error:
        todo = "give --redis redis://USER@HOST:PORT/0 and --redis-password-file FILE"
        yield (warn if url is None else fail)("redis", str(error), todo)
    finally:
        servers.close()


def _look(
    servers: Servers, address: str, password_file: Path | None, schema: str | None
) -> Iterator[Finding]:
    client = servers.any_client()
    info: _Info = _allowed(client.info) or {}
    yield version_finding(info or _hello(client), without_password(address))
    yield _rights(address, password_file)
    yield _guard(client, address)
    yield _reach(client, address)
    yield _clock(client)
    if info:
        yield _memory(info)
        yield _disk(info)
    else:
        why = "this user may not ask (INFO): look as the writer"
        yield skipped("redis memory", why)
        yield skipped("redis disk", why)
    yield _schema(schema)
    yield from release_findings(servers)


def _allowed(ask: Any, *arguments: Any) -> Any:
    """The answer, or None where this user has no right to it. Raises StoreAway."""
    try:
        return ask(*arguments)
    except failures() as error:
        refused = as_store_error(error, DEFAULT_URL)
        if isinstance(refused, StoreAway):
            raise refused from error
        return None


def _hello(client: Any) -> _Info:
    """Version as every connection is told it."""
    answer = _allowed(client.execute_command, "HELLO")
    if isinstance(answer, list):
        answer = dict(zip(answer[::2], answer[1::2], strict=True))
    if not answer:
        return {}
    made_by = "valkey" if answer["server"] == "valkey" else "redis"
    return {f"{made_by}_version": answer["version"]}


def _away(error: str, *, is_wanted: bool) -> Finding:
    if is_wanted:
        return fail("redis", error)
    todo = "nothing, unless an aggregator is to run here: then start Redis, or give --redis"
    return warn("redis", f"none at {DEFAULT_URL}", todo)


# Who may do what


def _rights(address: str, password_file: Path | None) -> Finding:
    """By trying: whether this user may write, as its name says it should or should not."""
    user = _user_of(address)
    try:
        _with_store(address, password_file, lambda store: store.resume(_NO_ROOM))
    except StoreRefuses as error:
        if user == _WRITER:
            todo = "see what it says; for rights, `ACL GETUSER writer` beside the shipped ACL file"
            return fail("redis rights", f"the writer cannot write: {error}", todo)
        if "permission" not in str(error):
            return fail("redis rights", f"nobody can write now: {error}", "see what it says")
        return ok("redis rights", "read only: enough for rooms, stats, watch and dashboards")
    if user == _READER:
        return fail("redis rights", "the reader may write", f"give it the rights shipped: {_GUARD}")
    try:
        _with_store(address, password_file, Store.try_rights)
    except StoreRefuses as error:
        text = f"not all that counting takes: {error}"
        return (fail if user == _WRITER else warn)("redis rights", text, _FOR_COUNTING)
    return ok("redis rights", "read and write: what the aggregator needs")


def _with_store(address: str, password_file: Path | None, ask: Callable[[Store], object]) -> None:
    store = Store(address, password_file)
    try:
        ask(store)
    finally:
        store.close()


def _guard(client: Any, address: str) -> Finding:
    """Who else gets in: without a password, or with every right."""
    if _lets_anybody_in(address):
        text = "anybody who reaches it may read and change all that is counted"
        if _is_local(address):
            return warn("redis access", f"no password: {text}", _GUARD)
        return fail("redis access", f"no password: {text}, from other machines", _GUARD)
    if _allowed(client.config_get, "maxmemory") is not None:
        todo = f"let roommood be the writer or the reader: {_GUARD}"
        return warn("redis access", "this user may do anything, CONFIG and FLUSHALL too", todo)
    return ok("redis access", "a password is asked for, and this user is no administrator")


def _lets_anybody_in(address: str) -> bool:
    anybody = connect(_without_user(address))
    try:
        anybody.ping()
    except failures():
        return False
    finally:
        anybody.close()
    return True


def _reach(client: Any, address: str) -> Finding:
    if not _is_local(address) and not address.startswith(("rediss://", "rediss+sentinel://")):
        text = "the password and all statistics cross the network as plain text"
        return fail("redis reach", text, "use TLS: rediss:// (deploy/redis/redis.conf says how)")
    settings = {**(_config(client, "bind")), **(_config(client, "protected-mode"))}
    if not settings:
        return skipped("redis reach", "this user may not ask where Redis listens (CONFIG GET)")
    places = str(settings.get("bind", "")).split()
    is_open = not places or any(_is_wide(place) for place in places)
    if is_open and settings.get("protected-mode") == "no":
        text = f"it listens on {' '.join(places) or 'every interface'}, protected-mode off"
        return warn("redis reach", text, "bind 127.0.0.1 -::1 where nobody else is to reach it")
    return ok("redis reach", f"listens on {' '.join(places) or 'every interface'}")


def _config(client: Any, name: str) -> dict[str, str]:
    return _allowed(client.config_get, name) or {}


def _is_wide(place: str) -> bool:
    return place.lstrip("-") not in ("127.0.0.1", "::1", "localhost")


# Clock, memory, disk, keys


def _clock(client: Any) -> Finding:
    """Results are booked by the aggregator's clock, and expire by that of Redis."""
    before_s = time.time()
    answer = _allowed(client.time)
    if answer is None:
        return skipped("redis clock", "this user may not ask (TIME): look as the writer")
    theirs_s = answer[0] + answer[1] / 1e6
    off_s = max(before_s - theirs_s, theirs_s - time.time(), 0.0)
    if off_s > _CLOCK_OFF_S:
        text = f"Redis' clock and this machine's differ by {off_s:.1f} s"
        return warn("redis clock", text, "let both keep time by NTP (timedatectl set-ntp true)")
    return ok("redis clock", "agrees with this machine's")


def _memory(info: _Info) -> Finding:
    policy, limit = str(info.get("maxmemory_policy", "")), int(info.get("maxmemory", 0))
    used = int(info.get("used_memory", 0))
    if policy != "noeviction":
        text = f"maxmemory-policy is {policy or 'not told'}"
        todo = "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in its redis.conf"
        if not limit:
            return warn("redis memory", f"{text}, without effect as long as maxmemory is 0", todo)
        return fail("redis memory", f"{text}: it may throw away what makes counting exact", todo)
    text = f"noeviction, {used / 2**20:.0f} MiB used"
    if not limit:
        return ok("redis memory", f"{text}, no limit: nothing that was counted is thrown away")
    text += f" of {limit / 2**20:.0f}"
    if used > limit * _NEARLY_FULL:
        todo = "raise maxmemory: when it is full, nothing is counted until there is room again"
        return (fail if used >= limit else warn)("redis memory", text, todo)
    return ok("redis memory", f"{text}: nothing that was counted is thrown away")


def _disk(info: _Info) -> Finding:
    failed = [name for name in _WRITES if str(info.get(name, "ok")) != "ok"]
    if failed:
        todo = "make room on its disk and see its log: until then Redis takes no writes"
        return fail("redis disk", f"the last write to disk failed ({', '.join(failed)})", todo)
    if str(info.get("role", "master")) != "master":
        todo = "give the address of its master: a replica takes no writes"
        return fail("redis disk", "this is a replica", todo)
    if int(info.get("aof_enabled", 0)):
        return ok("redis disk", "appendonly: at most two seconds are lost with the power")
    todo = "redis-cli CONFIG SET appendonly yes, and the same in its redis.conf"
    return warn("redis disk", "appendonly is off: a crash loses what was counted lately", todo)


_WRITES: Final = ("aof_last_write_status", "rdb_last_bgsave_status", "aof_last_bgrewrite_status")


def _schema(stored: str | None) -> Finding:
    ours = redis_keys.SCHEMA_VERSION
    if stored is None:
        return ok("redis keys", "none of roommood's yet")
    if stored == ours:
        return ok("redis keys", f"version {ours} of roommood's keys")
    todo = "run the release that wrote them, or use another database number in the URL"
    return fail("redis keys", f"version {stored}; this release writes version {ours}", todo)


# Addresses


def _user_of(address: str) -> str:
    return address.partition("://")[2].rpartition("@")[0]


def _without_user(address: str) -> str:
    scheme, slashes, rest = address.partition("://")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}"


def _is_local(address: str) -> bool:
    """On this machine: a unix socket or loopback."""
    host = _without_user(address).partition("://")[2]
    return address.startswith("unix://") or host.startswith(("127.", "localhost", "[::1]"))
