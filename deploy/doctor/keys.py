"""What `roommood doctor` says of keys: are they there and private, and do they fit together."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zmq

from roommood.deploy.doctor.findings import Finding, fail, ok, skipped, warn
from roommood.deploy.doctor.network import LOOKUP_S
from roommood.deploy.doctor.peer import bundles
from roommood.shared.errors import ConfigError
from roommood.shared.process.runtime import Deadline
from roommood.shared.security.allow_list import AllowList
from roommood.shared.security.keys import (
    AGGREGATORS_FILE,
    ALLOW_LIST_FILE,
    WORKERS_FILE,
    CameraBundle,
    ClientKeys,
    aggregator_keys,
    fingerprint,
    read_bundle,
    worker_keys,
)
from roommood.shared.security.private_file import credentials_folder
from roommood.shared.transport.addresses import parse_address
from roommood.shared.transport.monitors import WHY_NOT, ConnectionEvent, next_event
from roommood.shared.transport.resolver import look_up_within
from roommood.shared.transport.sockets import close, connect_frames

# Seconds in which a worker that is there has long answered a handshake.
_HANDSHAKE_S: Final = 3.0


def check_keys(
    place: Path | None, worker: str | None, aggregator: str | None = None
) -> Iterator[Finding]:
    """Findings on the keys at `place`, as in the setting `keys`, and on systemd's credentials.

    `worker`, an address, must take a camera's key that lies there, and `aggregator` the workers'.
    """
    folder = place or credentials_folder()
    if folder is None:
        yield skipped("keys", "give --keys PATH to see whether they are usable")
        return
    pairs = [*_pairs(place, folder), *_report_key(place, folder, aggregator)]
    findings = [*pairs, *_cameras(folder, worker), *_left_behind(folder)]
    yield from findings
    if not findings:
        todo = "make a site's keys with `roommood keys init`, or copy this machine's there"
        yield fail("keys", f"no key file in {folder}", todo)


def _pairs(place: Path | None, folder: Path) -> Iterator[Finding]:
    """The pairs of workers and aggregators, as far as this machine has them."""
    has = {name: (folder / name).exists() for name in (WORKERS_FILE, AGGREGATORS_FILE)}
    workers = aggregators = None
    try:
        if has[WORKERS_FILE] and (workers := worker_keys(place)):
            cameras = AllowList(workers.allow_list).size
            yield ok("keys of workers", f"{fingerprint(workers.own.public)}, {cameras} let in")
        if has[AGGREGATORS_FILE] and (aggregators := aggregator_keys(place)):
            yield ok("keys of aggregators", fingerprint(aggregators.own.public))
    except ConfigError as error:
        yield fail("keys", str(error))
        return
    if workers is None or aggregators is None:
        return
    trusted = (workers.aggregators, aggregators.workers)
    if trusted != (aggregators.own.public, workers.own.public):
        todo = "copy workers.key and aggregators.key once more, both from the same `keys rotate`"
        yield fail("keys", "workers and aggregators trust other keys than each other's", todo)


def _report_key(place: Path | None, folder: Path, aggregator: str | None) -> Iterator[Finding]:
    """Shakes hands with an aggregator as the worker of this machine would."""
    if aggregator is None or not (folder / WORKERS_FILE).exists():
        return
    with contextlib.suppress(ConfigError):  # told as that of the pair
        if workers := worker_keys(place):
            address = parse_address(aggregator)
            yield _let_in("key of workers", workers.to_aggregators, address, "aggregator")


def _cameras(folder: Path, worker: str | None) -> Iterator[Finding]:
    for path in bundles(folder):
        try:
            bundle = read_bundle(path)
        except ConfigError as error:
            yield fail("key of a camera", str(error))
            continue
        about = f"key of camera {bundle.camera}"
        yield ok(about, f"{fingerprint(bundle.keys.own.public)}, for room {bundle.room} only")
        yield from _on_the_list(about, bundle, _list_near(path))
        if worker is not None:
            yield _let_in(about, bundle.keys, parse_address(worker))


def _list_near(bundle: Path) -> Path | None:
    near = (bundle.parent / ALLOW_LIST_FILE, bundle.parent.parent / ALLOW_LIST_FILE)
    return next((path for path in near if path.exists()), None)


def _on_the_list(about: str, bundle: CameraBundle, path: Path | None) -> Iterator[Finding]:
    if path is None:
        return
    try:
        why = AllowList(path).refusal(bundle.keys.own.public, bundle.camera, bundle.room)
    except ConfigError as error:
        yield fail(about, str(error))
        return
    if why:
        todo = f"`roommood keys add-camera {bundle.camera} --room {bundle.room}`, and copy its key"
        yield fail(about, f"{path} does not let it in: {why}", todo)


def _let_in(about: str, keys: ClientKeys, address: str, kind: str = "worker") -> Finding:
    """Shakes hands as the holder of the keys would."""
    outcome = _handshake(address, keys)
    if outcome is ConnectionEvent.CONNECTED:
        return ok(about, f"let in by the {kind} at {address}, which has the trusted key")
    if outcome is ConnectionEvent.REFUSED:
        todo = "copy cameras.toml to that machine; was the camera revoked?"
        if kind == "aggregator":
            todo = "copy workers.key and aggregators.key once more, both from one `keys rotate`"
        return fail(about, f"not let in by the {kind} at {address}", todo)
    todo = "is it running, with --keys, and from the same site? `roommood keys list` compares"
    return fail(about, f"nobody with the trusted key answers at {address}", todo)


def _handshake(address: str, keys: ClientKeys) -> ConnectionEvent | None:
    """What comes of it at the first address of a name where anything does."""
    for number in look_up_within(address, LOOKUP_S).addresses:
        if outcome := _handshake_at(number, keys):
            return outcome
    return None


def _handshake_at(number: str, keys: ClientKeys) -> ConnectionEvent | None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket, monitor = connect_frames(context, number, keys=keys)
    deadline = Deadline(_HANDSHAKE_S)
    try:
        while not deadline.passed:
            monitor.poll(100)
            outcome = next_event(monitor)
            if outcome in (ConnectionEvent.CONNECTED, *WHY_NOT):
                return outcome
        return None
    finally:
        close(socket, monitor)
        context.term()


def _left_behind(folder: Path) -> Iterator[Finding]:
    copies = folder / "to-copy"
    names = sorted(path.name for path in copies.iterdir()) if copies.is_dir() else []
    if names:
        todo = f"delete what lies in {copies} once it is where it belongs"
        yield warn("keys to copy", f"secrets of other machines: {', '.join(names)}", todo)
