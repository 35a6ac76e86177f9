"""What leaves a process: no telemetry, no socket but its own, and no core dump."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.fake_camera import FakeCamera
from tests.end_to_end.site import Component, Site, until
from tests.inference_worker.pictures import astronaut, jpeg
from tests.ports import free_port

_LISTEN, _ESTABLISHED = "0A", "01"


def tcp_sockets(pid: int) -> Iterator[tuple[str, int, str, int]]:
    """State, local port, remote address and port of every TCP socket that a process holds."""
    own = {os.readlink(path) for path in _descriptors(pid)}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in own:
                local, remote = fields[1].rpartition(":"), fields[2].rpartition(":")
                yield fields[3], int(local[2], 16), remote[0], int(remote[2], 16)


def udp_sockets(pid: int) -> int:
    own = {os.readlink(path) for path in _descriptors(pid)}
    lines = [
        line.split()[9]
        for table in ("udp", "udp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return sum(f"socket:[{inode}]" in own for inode in lines)


def _descriptors(pid: int) -> list[Path]:
    return [path for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]


def is_loopback(address: str) -> bool:
    """As /proc/net/tcp spells it: 127.0.0.0/8, also within IPv6, or nothing yet."""
    return address.endswith("7F") or set(address) == {"0"}


def strangers(component: Component, listens: set[int], dials: set[int]) -> list[str]:
    """Sockets of a process that are none of those it should have."""
    strange = []
    for state, port, address, other in tcp_sockets(component.process.pid):
        ours = port in listens if state == _LISTEN else port in listens or other in dials
        if not ours or not is_loopback(address):
            strange.append(f"{state} {port} {address}:{other}")
    return strange


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    return home


def test_a_worker_has_no_sockets_but_its_own_and_leaves_no_file_at_home(
    site: Site, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What onnxruntime would do by itself: the worker must switch it off, not its environment.
    monkeypatch.setattr("tests.end_to_end.site.NO_TELEMETRY", {"PYTHONUNBUFFERED": "1"})
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    frames, reports, metrics = site.address(), site.address(), free_port()
    site.aggregator(reports)
    worker = site.worker(frames, reports, "--metrics-port", str(metrics))
    listens, dials = {int(frames[10:]), metrics}, {int(reports[10:])}
    with FakeCamera(frames) as camera:
        for _ in range(5):
            camera.wait_for_credit()
            camera.send(jpeg(astronaut()))
            assert strangers(worker, listens, dials) == []
        until(lambda: len(worker.lines("analysed")) >= 5, "they are analysed")
    assert udp_sockets(worker.process.pid) == 0
    environment = Path(f"/proc/{worker.process.pid}/environ").read_bytes()
    assert b"ORT_DISABLE_TELEMETRY" not in environment
    assert worker.stop() == 0
    assert [str(path) for path in empty_home.rglob("*")] == []


def test_a_socket_that_is_not_ours_would_be_seen(site: Site) -> None:
    """The control: the same look, with the metrics' port not among those expected."""
    frames, reports, metrics = site.address(), site.address(), free_port()
    worker = site.worker(frames, reports, "--metrics-port", str(metrics))
    seen = strangers(worker, {int(frames[10:])}, {int(reports[10:])})
    assert any(f" {metrics} " in line for line in seen)


# Core dumps

_CRASH = """
import os, sys
from roommood.shared.process.runtime import shutdown_on_signals
frame = b"a frame in memory" * 1000
if sys.argv[1] == "component":
    with shutdown_on_signals():
        os.abort()
os.abort()
"""


def crashed(folder: Path, how: str) -> list[Path]:
    """Core files that a process leaves which may write them, and aborts."""

    def may_dump() -> None:
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))

    folder.mkdir()
    subprocess.run(
        [sys.executable, "-c", _CRASH, how],
        cwd=folder, check=False, preexec_fn=may_dump, stderr=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    return list(folder.iterdir())


def can_dump() -> str:
    """Why a crash leaves no file here, whatever a program does; "" if it does."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith("|") or "/" in pattern:
        return f"the kernel's core_pattern is {pattern!r}, not a file in the working directory"
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        return "core files are forbidden here"
    return ""


@pytest.mark.skipif(bool(can_dump()), reason=can_dump())
def test_a_component_that_crashes_leaves_no_core_file(tmp_path: Path) -> None:
    assert crashed(tmp_path / "component", "component") == []


@pytest.mark.skipif(bool(can_dump()), reason=can_dump())
def test_another_process_would_leave_one(tmp_path: Path) -> None:
    """The control."""
    assert crashed(tmp_path / "other", "other")


def test_every_component_forbids_core_files(site: Site) -> None:
    frames, reports = site.address(), site.address()
    running = [site.aggregator(reports), site.worker(frames, reports)]
    running.append(site.camera("sofa", "den", "simulated", frames))
    for component in running:
        limits = Path(f"/proc/{component.process.pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4] == "0", component.name
