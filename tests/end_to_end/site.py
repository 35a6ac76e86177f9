"""A whole site on loopback: real processes, real sockets, a real Redis, and their logs as books."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from roommood.deploy.keys.site_keys import SiteKeys
from tests.ports import free_port
from tests.redis_server import RedisServer

Line = dict[str, Any]
# Every wait is for a condition; a machine that does much else may need longer.
PATIENCE_S = float(os.environ.get("ROOMMOOD_TEST_PATIENCE_S", "60"))
NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
# A worker that asks for all that a camera has, as no site needs and tests of faults do.
EVERY_FRAME: Final = ("--rate-hz", "240", "--empty-rate-hz", "240", "--repeat-ms", "0")


def until(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """Waits until `condition` gives something true, and returns it."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        select_for(0.02)
    return value


def select_for(seconds: float) -> None:
    """Lets the processes run; every wait of these tests ends in a condition or is a load run."""
    import select

    select.select([], [], [], seconds)


@dataclass
class Component:
    """One process whose log, one JSON object a line, is read once however often it is asked for."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes]
    read_bytes: int = 0
    read_lines: list[Line] = field(default_factory=list)

    def lines(self, message: str = "") -> list[Line]:
        with self.log.open("rb") as log:
            log.seek(self.read_bytes)
            # The last line may be half written.
            whole, newline, _ = log.read().rpartition(b"\n")
        self.read_bytes += len(whole) + len(newline)
        for line in whole.decode(errors="replace").split("\n"):
            if line.startswith("{"):
                self.read_lines.append(json.loads(line))
        return [line for line in self.read_lines if not message or line["message"] == message]

    def wait_for(self, message: str, timeout_s: float = PATIENCE_S) -> Line:
        def last() -> Line | None:
            assert self.process.poll() is None or self.lines(message), self._died()
            lines = self.lines(message)
            return lines[-1] if lines else None

        line: Line = until(last, f"{self.name} says {message!r}\n{self.tail()}", timeout_s)
        return line

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def stop(self) -> int:
        """Asks it to drain; returns its exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end\n{self.tail()}") from None

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def _died(self) -> str:
        return f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"


class Site:
    """Starts components under a folder of their own and ends all that it started.

    Where `keys` is set, every component that is started gets its own from there.
    """

    def __init__(self, folder: Path, classifier: str, **redis_options: str) -> None:
        self.folder = folder
        self.keys: SiteKeys | None = None
        self.classifier = classifier
        self.redis = RedisServer(**redis_options)
        self.components: list[Component] = []
        self._starts = 0

    def __enter__(self) -> Self:
        self.redis.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for component in self.components:
            if component.process.poll() is None:
                component.signal(signal.SIGCONT)
                component.kill()
        self.redis.__exit__(kind, error, trace)

    def address(self) -> str:
        return f"127.0.0.1:{free_port()}"

    def aggregator(self, bind: str, *options: str) -> Component:
        started = self.start_aggregator(bind, *options)
        started.wait_for("aggregator ready")
        return started

    def start_aggregator(self, bind: str, *options: str) -> Component:
        """The same, not waited for: it is not ready before its Redis is."""
        where = ("--bind", bind, "--redis", self.redis.url)
        return self.start("roommood.aggregator.cli", *where, *self.own_keys(), *options)

    def worker(self, bind: str, aggregator: str, *options: str) -> Component:
        started = self.start_worker(bind, aggregator, *options)
        started.wait_for("worker ready")
        return started

    def start_worker(
        self,
        bind: str,
        aggregator: str,
        *options: str,
        module: str = "roommood.inference_worker.cli",
    ) -> Component:
        where = ("--bind", bind, *(f"--aggregator={address}" for address in aggregator.split()))
        # In less, the face of a simulated camera is not found.
        models = ("--detector", "haar", "--classifier", self.classifier, "--input-size", "480")
        return self.start(module, *where, *models, *EVERY_FRAME, *self.own_keys(), *options)

    def camera(self, name: str, room: str, source: str, worker: str, *options: str) -> Component:
        who = ("--name", name, "--room", room, "--source", source)
        workers = (f"--worker={address}" for address in worker.split())
        keys = ("--keys", str(self.keys.to_copy)) if self.keys else ()
        started = self.start("roommood.camera_node.cli", *who, *workers, *keys, *options)
        started.wait_for("camera ready")
        return started

    def own_keys(self) -> tuple[str, ...]:
        """The option that gives a worker or aggregator its keys, where the site has any."""
        return ("--keys", str(self.keys.folder)) if self.keys else ()

    def start(self, module: str, *options: str) -> Component:
        self._starts += 1
        log = self.folder / f"{self._starts:02d}-{module.partition('.')[0]}.log"
        code = f"from {module} import main; main()"
        logging = ("--log-format", "json", "--log-level", "debug")
        command = [sys.executable, "-c", code, *options, *logging]
        with log.open("wb") as output:
            environment = {**os.environ, **NO_TELEMETRY}
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        component = Component(module, command, log, process)
        self.components.append(component)
        return component

    # What Redis says

    def buckets(self, room: str, span: str = "1h") -> dict[str, int]:
        """The counters of a room, summed over its buckets of one span."""
        totals: dict[str, int] = {}
        with self.redis.client() as client:
            # SCAN gives some keys twice while Redis' table shrinks, as where a crowd has gone.
            for key in set(client.scan_iter(f"roommood:{{{room}}}:{span}:*")):
                for field, value in client.hgetall(key).items():
                    totals[field] = totals.get(field, 0) + int(value)
        return totals

    def frames(self, room: str, camera: str) -> int:
        return self.buckets(room).get(f"frames:{camera}", 0)

    def seen_bits(self, room: str) -> int:
        """Frames of a room of which Redis has noted that they were counted."""
        with self.redis.client() as client:
            keys = set(client.scan_iter(f"roommood:{{{room}}}:seen:*"))
            return sum(int(client.bitcount(key)) for key in keys)


def total(lines: Iterator[Line] | list[Line], field: str) -> int:
    """Sum of a field over log lines that may lack it."""
    return sum(int(line.get(field, 0)) for line in lines)


def numbers(lines: list[Line], field: str) -> list[float]:
    return sorted(float(line[field]) for line in lines)


def quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def acknowledged(workers: list[Component]) -> set[tuple[str, str, int]]:
    """The ledger: every result that some worker was told is counted."""
    return {
        (line["camera"], line["session"], line["seq"])
        for worker in workers
        for line in worker.lines("acknowledged")
        if line["outcome"] in ("committed", "duplicate")
    }


def assert_counted_exactly_once(site: Site, room: str, ledger: set[tuple[str, str, int]]) -> int:
    """Every acknowledged result is in Redis, and none is in the sums twice; returns their number.

    A result may be counted whose Ack was lost with a worker; it is never in the sums twice,
    since the sums hold as many frames as there are bits.
    """
    with site.redis.client() as client:
        for camera, boot, seq in ledger:
            key = f"roommood:{{{room}}}:seen:{camera}:{boot}:{seq // 4096}"
            assert client.getbit(key, seq % 4096) == 1, f"lost: {camera} {boot} {seq}"
    for span in ("10s", "1m", "1h"):
        sums = site.buckets(room, span)
        frames = sum(n for field, n in sums.items() if field.startswith(("frames:", "repeated:")))
        assert frames == site.seen_bits(room), f"doubled or missing in {span}"
    return frames
