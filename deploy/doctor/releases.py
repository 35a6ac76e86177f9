"""What `roommood doctor` reads in the health hashes: whether all machines run one release."""

from collections.abc import Iterator
from typing import Final

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.servers import Command, Servers
from roommood.deploy.doctor.findings import Finding, ok, warn
from roommood.shared.counted import counted

_SAME: Final = "install the same roommood release on every machine (docs/upgrading.md)"
_Hashes = dict[str, dict[str, str]]


def release_findings(servers: Servers) -> Iterator[Finding]:
    """Findings on the workers and cameras that were heard of within the last 10 s, if any."""
    workers = _hashes(servers, redis_keys.worker(""))
    cameras = _hashes(servers, redis_keys.camera(""))
    if workers or cameras:
        yield _releases({**workers, **cameras})
    for key, fields in workers.items():
        refused = int(float(fields.get("refused_wire_version", 0)))
        if refused:
            who = f"the worker at {fields.get('address') or key}"
            text = f"{who} refused {counted(refused, 'message')} of another wire version"
            yield warn("wire version", text, f"{_SAME}: its log names both versions")


def _releases(hashes: _Hashes) -> Finding:
    by_release: dict[str, list[str]] = {}
    for key, fields in sorted(hashes.items()):
        by_release.setdefault(fields.get("release", ""), []).append(key.partition(":")[2])
    text = "; ".join(
        f"{release or 'unknown'}: {len(by_release[release])}" for release in by_release
    )
    if len(by_release) > 1:
        return warn("releases", f"live workers and cameras differ: {text}", _SAME)
    return ok("releases", f"live workers and cameras, by release: {text}")


def _hashes(servers: Servers, prefix: str) -> _Hashes:
    """By a walk through all keys: an older release keeps no index, and is what is looked for."""
    keys = sorted(key for some in servers.walk(f"{prefix}*") for key in some)
    hashes = servers.demand([Command(key, lambda client, key: client.hgetall(key)) for key in keys])
    return dict(zip(keys, hashes, strict=True))
