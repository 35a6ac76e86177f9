"""The site of the fault rows: real processes, of which each can be started changed or confined."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final

from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from tests.end_to_end.site import Component, Line, Site, until

# A Redis that forgets nothing that it has confirmed.
DURABLE: Final = {"appendonly": "yes", "appendfsync": "always"}
# An analysis that costs little, so that many processes share two processors.
CHEAP: Final = ("--input-size", "320", "--min-frame-ms", "40", "--drain-s", "30")
ROOM: Final = "den"
# Milliseconds. A frame may be this old when it is sent, and wait 2 s on its way: older is stale.
STALE_MS: Final = 2_500.0

# A traceback whose last line of code is in a prelude: then a control shows nothing by failing.
_PRELUDE_FAILED: Final = re.compile(r'File "<string>", line \d+, in .*\n\w*Error.*')

# Python that a process runs first, so that the books show the true age of every frame: both ends
# write down the same clock (that of one machine), which the product itself never compares.
WATCHED_CAMERA: Final = """
import logging
from roommood.camera_node import publisher
from roommood.shared.process.logs import event

_send = publisher.Publisher.send

def _watched(self, outgoing):
    seq, session = self.sent, self._identity.session_id
    if not _send(self, outgoing):
        return False
    event(publisher._log, logging.DEBUG, "sent", camera=self._identity.camera, session=session,
          seq=seq, captured_ms=outgoing.captured_ms, bytes=len(outgoing.jpeg), width=outgoing.width)
    return True

publisher.Publisher.send = _watched
"""
WATCHED_WORKER: Final = """
import logging
from roommood.inference_worker import worker
from roommood.shared.process.logs import event

_note_start = worker.Worker._note_start

def _watched(self, what):
    _note_start(self, what)
    frame = what.job.frame
    event(worker._log, logging.DEBUG, "began", camera=frame.camera, session=frame.session_id,
          seq=frame.seq, at_ms=what.now_ms)

worker.Worker._note_start = _watched
"""
CAMERA: Final = "roommood.camera_node.cli"
WORKER: Final = "roommood.inference_worker.cli"
AGGREGATOR: Final = "roommood.aggregator.cli"
WATCHED: Final = {CAMERA: WATCHED_CAMERA, WORKER: WATCHED_WORKER}

Frame = tuple[str, str, int]


class FaultSite(Site):
    """A `Site` under `folder` whose Redis has `redis_options`.

    `preludes` maps a module ("roommood.aggregator.cli") to Python that its processes run first:
    that is how a control switches a protection off, and how a row stops a process at an exact
    point. `wrap` is what commands begin with, for instance ("ip", "netns", "exec", "pi1"). Both,
    and `log_level`, may be changed between two starts.
    """

    def __init__(
        self, folder: Path, preludes: Mapping[str, str] | None = None, **redis_options: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, str(SHIPPED_EXPRESSION), **redis_options)
        self.preludes = dict(preludes or {})
        self.wrap: Sequence[str] = ()
        self.log_level = "debug"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        for component in self.components:
            output = component.log.read_text(errors="replace") if component.log.exists() else ""
            if result := _PRELUDE_FAILED.search(output.replace("\\n", "\n")):
                raise RuntimeError(f"a prelude of {component.log.name} is broken: {result[0]}")

    def start(self, module: str, *options: str) -> Component:
        self._starts += 1
        log = self.folder / f"{self._starts:03d}-{module.partition('.')[0]}.log"
        code = f"{strict(self.preludes.get(module, ''))}\nfrom {module} import main; main()"
        logging = ("--log-format", "json", "--log-level", self.log_level)
        command = [*self.wrap, sys.executable, "-c", code, *options, *logging]
        environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        component = Component(module, command, log, process)
        self.components.append(component)
        return component

    def of(self, module: str) -> list[Component]:
        """All processes of a module that were ever started here."""
        return [component for component in self.components if component.name == module]


def strict(prelude: str) -> str:
    """The same Python, except that a name that it replaces must exist: replacing one that is gone
    switches nothing off."""
    body: list[ast.stmt] = []
    for statement in ast.parse(prelude).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        names = [target for target in targets if isinstance(target, ast.Attribute)]
        body += [*ast.parse("\n".join(map(ast.unparse, names))).body, statement]
    return ast.unparse(ast.Module(body, []))


def merged(*preludes: Mapping[str, str]) -> dict[str, str]:
    """Preludes one after the other, by module."""
    modules = {module for prelude in preludes for module in prelude}
    return {m: "\n".join(prelude[m] for prelude in preludes if m in prelude) for m in modules}


def at(line: Line) -> float:
    """When a line was logged, in seconds since 1970."""
    moment = line.get("_at")
    if moment is None:
        moment = line["_at"] = datetime.fromisoformat(line["time"]).timestamp()
    return float(moment)


def first_after(
    components: Callable[[], Sequence[Component]],
    message: str,
    since: float,
    timeout_s: float = 60.0,
) -> float:
    """Waits until one of the components says `message` after `since`; when the first did."""

    def times() -> list[float]:
        lines = (line for component in components() for line in component.lines(message))
        return [moment for line in lines if (moment := at(line)) >= since]

    return float(min(until(times, f"{message!r} after {since}", timeout_s)))


def first_counted(
    workers: Callable[[], Sequence[Component]], since: float, timeout_s: float = 60.0
) -> float:
    """Waits for the acknowledgement of a result that was analysed after `since`; its moment."""

    def counted() -> list[float]:
        lines = [line for worker in workers() for line in worker.lines() if at(line) >= since]
        new = {ids(line) for line in lines if line["message"] == "analysed"}
        settled = (line for line in lines if line["message"] == "acknowledged")
        return [at(line) for line in settled if ids(line) in new]

    return float(min(until(counted, f"a result of after {since} is counted", timeout_s)))


def ids(line: Line) -> Frame:
    return line["camera"], line["session"], line["seq"]


def true_ages_ms(site: FaultSite, since: float = 0.0) -> dict[Frame, float]:
    """Age at which each frame's analysis truly began, for a site with `WATCHED` preludes."""
    captured = {
        ids(line): line["captured_ms"]
        for camera in site.of(CAMERA)
        for line in camera.lines("sent")
    }
    return {
        ids(line): line["at_ms"] - captured[ids(line)]
        for worker in site.of(WORKER)
        for line in worker.lines("began")
        if ids(line) in captured and at(line) >= since
    }


def oldest_ms(site: FaultSite) -> tuple[float, list[str]]:
    """The greatest of the true ages, of which there must be one; what is wrong with it."""
    oldest = max(true_ages_ms(site).values())
    return oldest, [f"a frame was begun with at {oldest:.0f} ms"] if oldest > STALE_MS else []


def bad_ends(codes: Sequence[int]) -> list[str]:
    """What is wrong with exit codes, of which all should be 0."""
    return [f"exit codes {list(codes)}"] if any(codes) else []
