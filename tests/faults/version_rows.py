"""Peers of another release: unknown fields pass, another wire version is refused by name."""

import time
from collections.abc import Callable
from typing import Final

from roommood.shared.protocol.limits import WIRE_VERSION
from tests.end_to_end.site import until
from tests.faults.checker import judge
from tests.faults.plant import AGGREGATOR, CAMERA, CHEAP, ROOM, WORKER, FaultSite, first_counted
from tests.rows import Outcome, Row, Trial

_NEXT: Final = WIRE_VERSION + 1
# What a later release may add: a field that nobody here knows, in every map.
_MORE_FIELDS: Final = """
from roommood.shared.protocol import wire
_pack = wire._pack
wire._pack = lambda kind, fields: _pack(kind, {"zz-new": [1, {"a": None}], **fields, "later": "x"})
"""
# A reader that takes nothing that it does not know.
_STRICT: Final = """
from roommood.shared.protocol import wire
_decode = wire._decode
def _strict(data, kind, limit, read):
    if b"zz-new" in data:
        raise wire.DecodeError("an unknown field", data)
    return _decode(data, kind, limit, read)
wire._decode = _strict
"""
_OTHER_VERSION: Final = """
from roommood.shared.protocol import limits
limits.WIRE_VERSION = {version}
"""
# A reader that does not look at the version.
_BLIND: Final = """
from roommood.shared.protocol import wire
_check = wire._check_prefix
wire._check_prefix = lambda data: _check(data[:2] + bytes((wire.WIRE_VERSION,)) + data[3:])
"""


def unknown_fields(trial: Trial) -> Outcome:
    """Every process puts fields into its messages that the others do not know."""
    more = _MORE_FIELDS + ("" if trial.protected else _STRICT)
    with FaultSite(trial.folder, dict.fromkeys((CAMERA, WORKER, AGGREGATOR), more)) as site:
        reports, frames = site.address(), site.address()
        aggregator = site.aggregator(reports)
        worker = site.worker(frames, reports, *CHEAP)
        camera = site.camera("a", ROOM, "simulated", frames, "--rate-hz", "10")
        timeout_s = 30.0 if trial.protected else 4.0
        until(lambda: site.frames(ROOM, "a") > 20, "frames are counted", timeout_s)
        codes = [component.stop() for component in (camera, worker, aggregator)]
        verdict = judge(site)
        wrong = f"exit codes {codes}" if any(codes) else ""
        return verdict.outcome(wrong=wrong, detail=f"{verdict.counted} frames counted")


def other_camera(trial: Trial) -> Outcome:
    """A camera of the next wire version: refused, and both sides say both versions."""
    blind = {} if trial.protected else {WORKER: _BLIND}
    with FaultSite(trial.folder, {CAMERA: _OTHER_VERSION.format(version=_NEXT), **blind}) as site:
        reports, frames = site.address(), site.address()
        aggregator = site.aggregator(reports)
        worker = site.worker(frames, reports, *CHEAP)
        camera = site.camera("new", ROOM, "simulated", frames, "--rate-hz", "10")
        timeout_s = 20.0 if trial.protected else 4.0
        worker_says = f"wire version {_NEXT} received, version {WIRE_VERSION} spoken here"
        camera_says = f"wire version {WIRE_VERSION} received, version {_NEXT} spoken here"
        until(lambda: worker_says in worker.log.read_text(), "the worker names both", timeout_s)
        until(lambda: camera_says in camera.log.read_text(), "so does the camera", timeout_s)
        until(lambda: _health(site, "refused_wire_version"), "the health hash shows it", timeout_s)
        assert site.frames(ROOM, "new") == 0, "frames of another wire version were counted"
        findings = _doctor(site)
        assert any("wire version" in finding for finding in findings), findings
        codes = [component.stop() for component in (camera, worker, aggregator)]
        wrong = f"exit codes {codes}" if any(codes) else ""
        return judge(site).outcome(
            wrong=wrong, detail="both logs, the health hash and doctor say so"
        )


def other_worker(trial: Trial) -> Outcome:
    """A worker of the next wire version beside one of this: the aggregator refuses it by name."""
    blind = {} if trial.protected else {AGGREGATOR: _BLIND}
    with FaultSite(trial.folder, {**blind}) as site:
        reports, frames, other = site.address(), site.address(), site.address()
        aggregator = site.aggregator(reports)
        worker = site.worker(frames, reports, *CHEAP)
        site.preludes[WORKER] = _OTHER_VERSION.format(version=_NEXT)
        newer = site.worker(other, reports, *CHEAP)
        camera = site.camera("a", ROOM, "simulated", f"{frames} {other}", "--rate-hz", "10")
        timeout_s = 20.0 if trial.protected else 4.0
        aggregator_says = f"wire version {_NEXT} received, version {WIRE_VERSION} spoken here"
        newer_says = f"wire version {WIRE_VERSION} received, version {_NEXT} spoken here"
        until(lambda: aggregator_says in aggregator.log.read_text(), "it names both", timeout_s)
        until(lambda: newer_says in newer.log.read_text(), "so does the worker", timeout_s)
        first_counted(lambda: [worker], time.time())
        codes = [component.stop() for component in (camera, worker, newer, aggregator)]
        wrong = f"exit codes {codes}" if any(codes) else ""
        return judge(site).outcome(wrong=wrong, detail="the worker of this version works on")


def _health(site: FaultSite, field: str) -> float:
    with site.redis.client() as client:
        keys = list(client.scan_iter("roommood:worker:*"))
        return sum(float(client.hget(key, field) or 0) for key in keys)


def _doctor(site: FaultSite) -> list[str]:
    from roommood.deploy.doctor.doctor import Targets, examine

    return [finding.found for finding in examine(Targets(redis_url=site.redis.url))]


def _row(name: str, what: str, run: Callable[[Trial], Outcome], control: str) -> Row:
    return Row(name, what, run, group="Other releases", control=control)


ROWS: Final = (
    _row(
        "unknown-fields", "fields in every message that nobody knows", unknown_fields,
        "unknown fields are ignored",
    ),
    _row(
        "other-camera", "a camera of the next wire version", other_camera,
        "the version byte",
    ),
    _row(
        "other-worker", "a worker of the next wire version", other_worker,
        "the version byte",
    ),
)  # fmt: skip
