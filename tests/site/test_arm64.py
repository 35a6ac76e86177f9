"""What a 64-bit Pi runs: the `camera` extra from arm64 wheels, frames from there to a worker."""

import contextlib
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.site import until
from tests.inference_worker.pictures import astronaut, grace_hopper, jpeg
from tests.needs import missing
from tests.ports import free_port
from tests.site.arm64 import base_root, machine, peak_rss_mib, register, wheels, why_not_here
from tests.site.containers import tell
from tests.site.wheelhouse import ROOT, make_wheel

pytestmark = pytest.mark.timeout(3_600)
BUILD = ROOT / "build" / "site"
ANALYSED = 'roommood_worker_frames_total{outcome="analysed"'
ENOUGH_FRAMES = 5
PATIENCE_S = 600


@pytest.fixture(scope="module")
def pi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if why := why_not_here():
        missing(why)
    register()
    base = base_root(BUILD)
    scratch = tmp_path_factory.mktemp("arm64")
    with machine(base, scratch) as root:
        shutil.copytree(wheels(BUILD / "wheels-arm64"), root / "wheels")
        make_wheel(root / "wheels", scratch, "0.1.0")
        (root / "srv/portraits").mkdir()
        for name, picture in (("a", astronaut()), ("b", grace_hopper())):
            (root / f"srv/portraits/{name}.jpg").write_bytes(jpeg(picture))
        yield root


def inside(pi: Path, *words: str, timeout_s: float = 1800) -> str:
    return tell("chroot", str(pi), *words, timeout_s=timeout_s)


def test_the_camera_extra_installs_from_wheels(pi: Path) -> None:
    assert inside(pi, "uname", "-m").strip() == "aarch64"
    began = time.monotonic()
    inside(pi, "python3", "-m", "venv", "/opt/venv")
    made = time.monotonic()
    inside(
        pi, "/opt/venv/bin/pip", "install", "--quiet", "--no-index", "--find-links", "/wheels",
        "roommood[camera]",
    )  # fmt: skip
    installed = time.monotonic()
    print(f"\nvenv {made - began:.0f} s, camera extra {installed - made:.0f} s, emulated")


def test_what_was_installed_is_for_this_processor_and_imports(pi: Path) -> None:
    code = "import cv2, numpy, zmq, msgpack, platform; import roommood.camera_node.node; "
    code += "print(platform.machine())"

    assert inside(pi, "/opt/venv/bin/python", "-c", code).strip() == "aarch64"
    (extension,) = pi.glob("opt/venv/lib/python3.11/site-packages/cv2/*.so")
    # e_machine of ELF, 183 (AArch64).
    assert extension.read_bytes()[18:20] == b"\xb7\x00"


@contextlib.contextmanager
def program(log: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def counted(port: int, name: str) -> float:
    """The sum of one metric over its labels; 0 before it is served."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_a_camera_there_publishes_to_a_worker_outside(pi: Path, tmp_path: Path) -> None:
    frames, metrics, camera_metrics = free_port(), free_port(), free_port()
    worker = (
        sys.executable, "-c", "from roommood.inference_worker.cli import main; main()",
        "--bind", f"127.0.0.1:{frames}", "--aggregator", f"127.0.0.1:{free_port()}",
        "--metrics-port", str(metrics), "--max-age-ms", "20000",
    )  # fmt: skip
    camera = (
        "chroot", str(pi), "/opt/venv/bin/camera-node", "--name", "pi-1", "--room", "kitchen",
        "--source", "simulated:/srv/portraits", "--rate-hz", "5",
        "--worker", f"127.0.0.1:{frames}", "--metrics-port", str(camera_metrics),
    )  # fmt: skip
    name = "roommood_camera_frames_sent_total"
    with (
        program(tmp_path / "worker.log", *worker),
        program(tmp_path / "camera.log", *camera) as node,
    ):
        assert until(
            lambda: (
                counted(camera_metrics, name) >= ENOUGH_FRAMES
                and counted(metrics, ANALYSED) >= ENOUGH_FRAMES
            ),
            "frames of the arm64 camera are analysed", PATIENCE_S,
        )  # fmt: skip
        began, before = time.monotonic(), counted(camera_metrics, name)
        assert until(lambda: counted(camera_metrics, name) >= before + 10, "ten more", PATIENCE_S)
        rate_hz = (counted(camera_metrics, name) - before) / (time.monotonic() - began)
        print(f"\n{rate_hz:.1f} frames/s of 5, {peak_rss_mib(node):.0f} MiB with qemu's own memory")
