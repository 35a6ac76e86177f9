"""`roommood doctor`: is this machine fit for what is to run on it, and if not, what to do."""

import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from roommood.deploy.doctor.cameras import check_cameras
from roommood.deploy.doctor.clock import clock_finding
from roommood.deploy.doctor.findings import Finding, checked, fail, ok, show, skipped, warn
from roommood.deploy.doctor.memory_bound import memory_bound_findings
from roommood.deploy.doctor.runtimes import opencv_findings, runtime_findings, version_of
from roommood.deploy.doctor.wifi import wifi_findings
from roommood.shared.process.origin import how_to_install
from roommood.shared.process.runtime import release

if TYPE_CHECKING:
    from roommood.camera_node.sources.picture import Picture, Source

_EXTRAS: Final = {
    "camera": ("cv2", "numpy"),
    "worker": ("cv2", "numpy", "onnxruntime"),
    "aggregator": ("redis",),
    "demo": ("cv2", "numpy", "onnxruntime", "redis", "skimage", "matplotlib"),
}
_PACKAGES: Final = (
    "pyzmq", "msgpack", "numpy", "opencv-python-headless", "redis",
)  # fmt: skip
_LITTLE_DISK_BYTES: Final = 2**30
_MODEL_RUNS: Final = 3
# How a source's rate is measured, and the part of the nominal one below which it is too slow.
_PICTURES: Final = 15
_MEASURED_FOR_S: Final = 2.0
_SLOWEST_MEASURED_HZ: Final = 5.0
_FAR_TOO_SLOW: Final = 0.6


@dataclass(frozen=True, slots=True)
class Targets:
    """What to look at beside this machine; None is not given."""

    redis_url: str | None = None
    redis_password_file: Path | None = None
    worker: str | None = None
    aggregator: str | None = None
    source: str | None = None
    keys: Path | None = None


def run_doctor(targets: Targets) -> int:
    """Prints every finding; returns 1 if one failed, else 0."""
    return 0 if show(examine(targets)) else 1


def examine(targets: Targets) -> Iterator[Finding]:
    """Every finding, from this machine outwards."""
    yield from _software()
    yield from _extras()
    yield _disk(Path.home())
    yield clock_finding()
    yield from memory_bound_findings()
    yield from wifi_findings()
    yield from checked("transport", _transport, ("zmq",), "camera")
    yield from checked("onnxruntime", runtime_findings, _EXTRAS["worker"], "worker")
    yield from checked("models", _models, _EXTRAS["worker"], "worker")
    yield from checked("redis", lambda: _redis(targets), _EXTRAS["aggregator"], "aggregator")
    yield from checked("keys", lambda: _keys(targets), ("zmq",), "camera")
    for kind, address in (("worker", targets.worker), ("aggregator", targets.aggregator)):
        check = partial(_peer, kind, address, targets.keys)
        yield from checked(kind, check, ("zmq",), "camera")
    yield from checked("frames to worker", _rate, ("zmq",), "camera")
    yield from checked("cameras", check_cameras, (), "camera")
    yield from checked("source", lambda: _source(targets.source), _EXTRAS["camera"], "camera")


# This machine


def _software() -> Iterator[Finding]:
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield ok("roommood", f"{release()}, {python}, {sys.executable}")
    versions = {name: version_of(name) for name in _PACKAGES}
    yield ok(
        "packages", ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    )
    opencv = versions["opencv-python-headless"]
    if opencv and int(opencv.partition(".")[0]) >= 5:
        yield fail(
            "opencv",
            f"{opencv} has no CascadeClassifier, which the haar detector needs",
            'pip install "opencv-python-headless>=4.12,<5"',
        )
    yield from opencv_findings()


def _extras() -> Iterator[Finding]:
    for extra, modules in _EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            why = f"not installed ({', '.join(missing)}): {how_to_install(extra)}"
            yield skipped(f"extra {extra}", why)
        else:
            yield ok(f"extra {extra}", "installed")


def _disk(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GiB free at {place}"
    if free < _LITTLE_DISK_BYTES:
        return warn("disk", text, "make room: logs and Redis' files grow")
    return ok("disk", text)


def _transport() -> Iterator[Finding]:
    import zmq

    text = f"libzmq {zmq.zmq_version()}"
    if zmq.has("curve"):
        yield ok("transport", f"{text}, with encryption (CURVE)")
    else:
        todo = "pip install --force-reinstall pyzmq: its wheels have it"
        yield warn("transport", f"{text} without encryption (CURVE)", todo)


def _models() -> Iterator[Finding]:
    from roommood.inference_worker.vision.analysis import open_analyzer

    analyzer = open_analyzer()
    analyzer.self_test()
    analyzer.warm_up()
    began = time.perf_counter()
    for _ in range(_MODEL_RUNS):
        analyzer.warm_up()
    each_ms = (time.perf_counter() - began) / _MODEL_RUNS * 1000
    models = f"{analyzer.detector.detector_id} and {analyzer.classifier.contract.model_id}"
    yield ok("models", f"{models} pass their self-test; a blank frame takes {each_ms:.0f} ms")


# What it talks to


def _redis(targets: Targets) -> Iterator[Finding]:
    from roommood.deploy.doctor.redis import check_redis

    return check_redis(targets.redis_url, targets.redis_password_file)


def _keys(targets: Targets) -> Iterator[Finding]:
    from roommood.deploy.doctor.keys import check_keys

    return check_keys(targets.keys, targets.worker, targets.aggregator)


def _peer(kind: str, address: str | None, keys: Path | None) -> Iterator[Finding]:
    from roommood.deploy.doctor.network import check_peer

    return check_peer(kind, address, keys)


def _rate() -> Iterator[Finding]:
    from roommood.deploy.doctor.network import check_rate

    return check_rate()


def _source(spec: str | None) -> Iterator[Finding]:
    if spec is None:
        yield skipped("source", "give --source to see whether a camera or file gives pictures")
        return
    from roommood.camera_node.sources.open import open_source

    source = open_source(spec, name="doctor")
    with source:
        picture, measured_hz = _some_pictures(source)
    kind = "JPEG, passed through as it comes" if picture.jpeg is not None else "raw pixels"
    size = f"{picture.width}x{picture.height} at {source.rate_hz:g} frames/s"
    text = f"{source.description}: {size}, {kind}"
    if measured_hz is not None and measured_hz < source.rate_hz * _FAR_TOO_SLOW:
        todo = "more light (a camera exposes longer in the dark), or a smaller picture"
        yield warn("source", f"{text}, but only {measured_hz:.1f} a second come", todo)
    else:
        yield ok("source", text)


def _some_pictures(source: "Source") -> tuple["Picture", float | None]:
    """The first picture, and the pictures a second after it; None where the next is far off."""
    picture = source.read()
    if source.rate_hz < _SLOWEST_MEASURED_HZ:
        return picture, None
    began, count = time.perf_counter(), 0
    while count < _PICTURES and time.perf_counter() - began < _MEASURED_FOR_S:
        source.read()
        count += 1
    return picture, count / (time.perf_counter() - began)
