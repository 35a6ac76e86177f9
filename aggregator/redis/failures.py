"""What redis-py raises, in our own words."""

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from roommood.aggregator.redis.url import is_cluster, without_password
from roommood.shared.errors import KeyDamaged, ShardAway, StoreAway, StoreError, StoreRefuses

# Refusals that concern the server, not the key: a read-only replica, no memory, no disk, too few
# replicas, a script that does not end, no rights, a command that it does not have. redis-py strips
# some of these words off.
_OF_ALL_KEYS: Final = re.compile(
    r"\b(READONLY|OOM|MISCONF|NOREPLICAS|BUSY|NOPERM|DENIED)\b|read only replica"
    r"|used memory > 'maxmemory'|unable to persist|not enough good replicas"
    r"|unknown (redis )?command|ACL failure in script|user executing the script can't",
    re.IGNORECASE,
)
# Another server may be the right one by now: a replica that was the master, one that loads.
_WRONG_SERVER: Final = re.compile(
    r"\b(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN)\b|read only replica|loading the dataset"
    r"|link with master is down|hash slot not served|the cluster is down"
    r"|previous master is now a slave",
    re.IGNORECASE,
)
# It answers, and it is not its address that is wrong.
_NOT_NOW: Final = re.compile(
    "max number of clients|link with master is down|loading the dataset|the cluster is down",
    re.IGNORECASE,
)
_HUNG_UP: Final = re.compile("reset by peer|closed by server|broken pipe", re.IGNORECASE)
_UNENCRYPTED: Final = re.compile(
    "time|WRONG_VERSION|record layer|EOF|reset|certificate required|handshake failure",
    re.IGNORECASE,
)
_OF_A_SLOT: Final = re.compile("slot not served", re.IGNORECASE)
# What Redis adds to a refusal: all of a script, its digest, half a page about its protected mode.
_NOT_REPEATED: Final = re.compile(
    r",? with args beginning with:.*| because protected mode is enabled.*"
    r"|[.,]? script: [^:]*on @user_script:.*"
    r"|^Error running script [^:]*: (@user_script: ?\d+: )*-?",
    re.DOTALL,
)
_LOGIN: Final = "name a user in the URL (redis://USER@HOST) and --redis-password-file FILE"
_RIGHTS: Final = "`roommood keys redis` writes down the rights that are needed"
_TOO_MANY: Final = "too many clients (maxclients; redis-cli CLIENT LIST)"
_CERTIFICATE_OF_OURS: Final = (
    ", or want a certificate of ours, too (ssl_certfile=FILE&ssl_keyfile=FILE in the URL, or its "
    "tls-auth-clients no)"
)
# What to do about it, by what Redis says.
_ADVICE: Final = {
    r"authentication required|NOAUTH": f"{_LOGIN}, or the latter alone",
    r"invalid username-password|WRONGPASS|called without any password": f"{_LOGIN} that it knows",
    r"no permissions|NOPERM|ACL failure in script|user executing the script can't": _RIGHTS,
    r"used memory > 'maxmemory'|\bOOM\b": "give it more (redis-cli CONFIG SET maxmemory), "
    "or free some",
    r"read only replica|READONLY": "give the address of its master, or of the sentinels "
    "(redis+sentinel://)",
    r"unable to persist": "its disk is full or not writable, its log says why; until then it takes "
    "changes, `pause` and `forget` among them, after `redis-cli CONFIG SET "
    "stop-writes-on-bgsave-error no`",
    r"MISCONF": "its disk is full or not writable: its log says why",
    r"not enough good replicas|NOREPLICAS": "its replicas are away, see its min-replicas-to-write",
    r"DB index is out of range": "name a database that it has, such as /0, in the URL",
    r"unknown (redis )?command": "roommood needs that command, which a rename-command in its "
    "redis.conf, or a proxy before it, takes away",
    r"link with master is down": "give the address of its master, or of the sentinels "
    "(redis+sentinel://)",
    r"the cluster is down": "too few of its nodes are up, or one is missing and "
    "cluster-require-full-coverage is yes (redis-cli CLUSTER INFO)",
    r"loading the dataset": "it is starting, and serves as soon as it has read its data",
    r"\bDENIED\b|protected mode": "without a password it answers its own machine alone: "
    "`roommood keys redis` writes down users with passwords",
    r"max number of clients": "raise its maxclients, or see who they are (redis-cli CLIENT LIST)",
}


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


def is_of_wrong_server(error: Exception) -> bool:
    """Whether a refusal speaks of the server, so that a new connection may reach a better one."""
    return _WRONG_SERVER.search(str(error)) is not None


def lacks_right(error: StoreError) -> bool:
    """Whether Redis refused it since this user may not do that."""
    return _RIGHTS in str(error)


def as_store_error(error: Exception, url: str) -> StoreError:
    """StoreAway where Redis gave no answer or cannot serve yet, StoreRefuses where it takes nothing
    whatever the key, else StoreError: of this key alone.

    Of a Cluster whose other nodes may serve: ShardAway, or StoreError.
    """
    from redis import exceptions as of_redis

    if isinstance(error, StoreError):
        return error
    if isinstance(error, of_redis.AuthenticationError | of_redis.NoPermissionError):
        at = without_password(url)
        return StoreRefuses(f"Redis at {at} does not let us in: {with_advice(error)}")
    no_answer = (
        of_redis.ConnectionError,
        of_redis.TimeoutError,
        of_redis.ClusterDownError,
        of_redis.MasterDownError,
        of_redis.RedisClusterException,
        OSError,
    )
    if isinstance(error, no_answer):
        of_one_node = isinstance(error, of_redis.ConnectionError | of_redis.TimeoutError)
        is_of_one_shard = is_cluster(url) and (of_one_node or _OF_A_SLOT.search(str(error)))
        return (ShardAway if is_of_one_shard else StoreAway)(_away(url, error))
    of_all_keys = _OF_ALL_KEYS.search(str(error)) and not is_cluster(url)
    kind = StoreRefuses if of_all_keys else StoreError
    return kind(f"Redis at {without_password(url)} refused: {with_advice(error)}")


def key_damaged(key: str, reply: Any) -> KeyDamaged | None:
    """What takes the place of a reply that a key is of another kind; None for others."""
    if isinstance(reply, StoreError) and "WRONGTYPE" in str(reply):
        return KeyDamaged(
            f"{key} in Redis is damaged (not what roommood writes there): DEL mends it"
        )
    return None


def with_advice(error: Exception) -> str:
    """What Redis says, and what to do about it where that is known."""
    what = _NOT_REPEATED.sub("", str(error)).rstrip(".")
    todo = (todo for pattern, todo in _ADVICE.items() if re.search(pattern, what, re.IGNORECASE))
    return ": ".join((what, *itertools.islice(todo, 1)))


def _away(url: str, error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        why = str(error).partition("verify failed: ")[2].partition(" (_ssl")[0].rstrip(".")
        return (
            f"Redis at {without_password(url)} shows a certificate that is not trusted ({why}): "
            f"{_about_certificate(url, why)}"
        )
    if _NOT_NOW.search(str(error)):
        return f"Redis at {without_password(url)} cannot serve now: {with_advice(error)}"
    # Of sentinels that do not answer redis-py tells no more than how it writes down a client.
    why = str(error).replace(" : <", ": no answer of a sentinel <").partition(" <")[0]
    return (
        f"Redis at {without_password(url)} does not answer ({why}): "
        f"is it running, and is this its address?{_about_hanging_up(url, why)}"
    )


def _about_certificate(url: str, why: str) -> str:
    if "mismatch" in why:
        return "use a name or address that stands in the certificate"
    if "ca_file=" in url or "ssl_ca_certs=" in url:
        return (
            "the file in the URL must hold the certificate of the authority that signed this one, "
            "with those above it, one below the other; a server is to send those between"
        )
    return "?ca_file=FILE in the URL names the certificate of the authority that signed"


def _about_hanging_up(url: str, why: str) -> str:
    """One side may want TLS and the other not: the one hangs up, or waits for ever. What Redis says
    of other reasons to hang up is mostly lost."""
    hung_up = _HUNG_UP.search(why) is not None
    if url.startswith(("rediss:", "rediss+")) and (hung_up or _UNENCRYPTED.search(why)):
        certificate = "" if "ssl_certfile=" in url else _CERTIFICATE_OF_OURS
        return f" Or does it not speak TLS (redis:// instead of rediss://){certificate}?"
    if not hung_up:
        return ""
    if url.startswith("unix"):
        return f" Or has it {_TOO_MANY}?"
    return (
        f" Or does it speak TLS only (rediss:// instead of redis://), have {_TOO_MANY}, or let in "
        "no other machine (protected mode: it wants a password)?"
    )
