"""What the demo starts: which cameras in which rooms, and the command line of each component."""

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from roommood.deploy.demo.processes import Program, python_command
from roommood.shared.errors import ConfigError
from roommood.shared.security.secret_urls import without_passwords

# Enough for a live picture of a room, and for one worker on an old laptop.
_SIMULATED_RATE_HZ: Final = 10.0
_USUAL_PAGE_PORT: Final = 5780
_OF_STREAMS: Final = "; a stream is given as --camera rtsp://..."
# Over loopback what is under way is soon settled, unless its other end has died.
_DRAIN: Final = ("--drain-s", "3")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a user may choose. At most one of `pictures`, `camera` and `video` is given."""

    seconds: float = 20.0
    pictures: Path | None = None
    camera: str | None = None
    video: Path | None = None
    keep: bool = False
    detector: str = ""
    classifier: str = ""
    dashboard: bool = False

    def __post_init__(self) -> None:
        given = [
            source for source in (self.pictures, self.camera, self.video) if source is not None
        ]
        if len(given) > 1:
            raise ConfigError("--pictures, --camera and --video: choose one")
        if self.pictures is not None and not self.pictures.expanduser().is_dir():
            raise ConfigError(f"--pictures {_shown(self.pictures)}: there is no such folder")
        if self.video is not None and not self.video.expanduser().is_file():
            raise ConfigError(f"--video {_shown(self.video)}: there is no such file{_OF_STREAMS}")


@dataclass(frozen=True, slots=True)
class DemoCamera:
    """A camera of the demo; `rate_hz` None means the source's own."""

    name: str
    room: str
    source: str
    rate_hz: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is started beside Redis."""

    cameras: tuple[DemoCamera, ...]
    aggregator: Program
    worker: Program
    camera_nodes: tuple[Program, ...]
    dashboard: Program | None = None
    dashboard_url: str = ""

    @property
    def rooms(self) -> tuple[str, ...]:
        return tuple(sorted({camera.room for camera in self.cameras}))

    @property
    def programs(self) -> tuple[Program, ...]:
        page = () if self.dashboard is None else (self.dashboard,)
        return (self.aggregator, self.worker, *self.camera_nodes, *page)


def make_plan(options: DemoOptions, redis_url: str) -> Plan:
    """The programs of a demo, on loopback ports that nobody else uses."""
    frames, reports = (f"127.0.0.1:{port}" for port in free_ports(2))
    cameras = choose_cameras(options)
    page = f"127.0.0.1:{_page_port()}"
    return Plan(
        cameras=cameras,
        aggregator=_aggregator(reports, redis_url),
        worker=_worker(frames, reports, options),
        camera_nodes=tuple(_camera_node(camera, frames) for camera in cameras),
        dashboard=_dashboard(page, redis_url) if options.dashboard else None,
        dashboard_url=f"http://{page}/" if options.dashboard else "",
    )


def choose_cameras(options: DemoOptions) -> tuple[DemoCamera, ...]:
    """One real camera or file, or three simulated cameras in two rooms."""
    if options.camera is not None:
        return (DemoCamera("here-1", "here", options.camera),)
    if options.video is not None:
        return (DemoCamera("video-1", "video", str(options.video.expanduser().absolute())),)
    folder = options.pictures
    base = "simulated" if folder is None else f"simulated:{folder.expanduser().absolute()}"
    return tuple(
        DemoCamera(name, room, f"{base}?people={people}", _SIMULATED_RATE_HZ)
        for name, room, people in (
            ("kitchen-1", "kitchen", 1),
            ("living-room-1", "living-room", 2),
            ("living-room-2", "living-room", 2),
        )
    )


def _shown(path: Path) -> str:
    return without_passwords(str(path))


def free_ports(count: int) -> list[int]:
    """Loopback ports on which nobody listens at this moment, all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _page_port() -> int:
    """The usual one, so that a bookmark of it holds, unless somebody else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _USUAL_PAGE_PORT))
        except OSError:
            return free_ports(1)[0]
        return _USUAL_PAGE_PORT


def _dashboard(page: str, redis_url: str) -> Program:
    command = python_command(
        "roommood.aggregator.dashboard.cli", "--bind", page, "--redis", redis_url
    )
    return Program("dashboard", command, lambda log: "dashboard ready" in log)


def _aggregator(reports: str, redis_url: str) -> Program:
    arguments = ("--bind", reports, "--redis", redis_url, *_DRAIN)
    command = python_command("roommood.aggregator.cli", *arguments)
    return Program("aggregator", command, lambda log: "aggregator ready" in log)


def _worker(frames: str, reports: str, options: DemoOptions) -> Program:
    # The other cores are for the cameras, which share this machine in the demo only.
    threads = max(1, min(4, (os.cpu_count() or 1) - 2))
    arguments = ["--bind", frames, "--aggregator", reports, "--threads", str(threads)]
    arguments += _DRAIN
    if options.detector:
        arguments += ["--detector", options.detector]
    if options.classifier:
        arguments += ["--classifier", options.classifier]
    command = python_command("roommood.inference_worker.cli", *arguments)
    return Program("inference worker", command, lambda log: "worker ready" in log)


def _camera_node(camera: DemoCamera, frames: str) -> Program:
    arguments = ["--name", camera.name, "--room", camera.room, "--source", camera.source]
    arguments += ["--worker", frames, *_DRAIN]
    if camera.rate_hz is not None:
        arguments += ["--rate-hz", f"{camera.rate_hz:g}"]
    command = python_command("roommood.camera_node.cli", *arguments)
    return Program(f"camera {camera.name}", command, lambda log: "camera ready" in log)
