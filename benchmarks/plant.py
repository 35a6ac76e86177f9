"""A site of real processes that log as in production, for figures of cost."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from benchmarks.processes import cpu_s
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from tests.end_to_end.site import Component, Site, select_for, until

ROOM: Final = "room"
_SETTLE: Final = 20
_LOGGING: Final = ("--log-format", "json", "--log-level", "info")


class QuietSite(Site):
    """A site whose processes do not log every frame."""

    def start(self, module: str, *options: str) -> Component:
        log = self.folder / f"{len(self.components):02d}-{module.replace('.', '-')}.log"
        code = f"from {module} import main; main()"
        command = [sys.executable, "-c", code, *options, *_LOGGING]
        environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        component = Component(module, command, log, process)
        self.components.append(component)
        return component


@contextmanager
def logged_site() -> Iterator[Site]:
    """A site in a folder of its own whose processes log every frame."""
    with tempfile.TemporaryDirectory(prefix="roommood-bench-") as name:
        folder = Path(name)
        with Site(folder, str(SHIPPED_EXPRESSION)) as site:
            yield site


class Plant:
    """A site, its folder, and one aggregator; everything ends with the block."""

    def __init__(self, detector: str = "") -> None:
        self._detector = detector

    def __enter__(self) -> "Plant":
        self._folder = tempfile.TemporaryDirectory(prefix="roommood-bench-")
        self.folder = Path(self._folder.name)
        self.site = QuietSite(self.folder, str(SHIPPED_EXPRESSION)).__enter__()
        self.reports, self.frames = self.site.address(), self.site.address()
        self.aggregator = self.site.aggregator(self.reports)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.site.__exit__(kind, error, trace)
        self._folder.cleanup()

    def worker(self, *options: str) -> Component:
        models = ("--detector", self._detector)
        return self.site.worker(self.frames, self.reports, *models, *options)

    def camera(self, source: str, *options: str, name: str = "cam") -> Component:
        return self.site.camera(name, ROOM, source, self.frames, *options)

    def program(self, module: str, *options: str) -> Component:
        """Another program that takes a component's options and logs as it does."""
        return self.site.start(module, *options)

    def counted(self, cameras: Sequence[str] = ("cam",)) -> int:
        """Frames of these cameras that Redis has counted."""
        return sum(self.site.frames(ROOM, camera) for camera in cameras)

    def cost_ms(
        self, component: Component, seconds: float, cameras: Sequence[str] = ("cam",)
    ) -> tuple[float, int]:
        """Processor milliseconds per frame counted in Redis, and the number of frames."""
        until(lambda: self.counted(cameras) >= _SETTLE, "frames are counted", 60.0)
        before, used = self.counted(cameras), cpu_s(component.process.pid)
        select_for(seconds)
        frames, used = self.counted(cameras) - before, cpu_s(component.process.pid) - used
        return used * 1000 / max(frames, 1), frames
