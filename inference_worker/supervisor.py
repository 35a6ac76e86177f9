"""Several worker processes under one: the dead and the hung are replaced, within a budget."""

import ctypes
import logging
import multiprocessing
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from roommood.shared.errors import ConfigError, ModelError, RoommoodError
from roommood.shared.process.logs import event
from roommood.shared.process.runtime import (
    EXIT_DRAIN_INCOMPLETE,
    Deadline,
    Shutdown,
    shutdown_on_signals,
)
from roommood.shared.process.service import ServiceManager
from roommood.shared.process.settings import WorkerSettings
from roommood.shared.transport.addresses import MAX_PORT, shifted

# Seconds without a word after which a worker counts as hung; until its first word, as stillborn.
HUNG_AFTER_S: Final = 15.0
START_S: Final = 60.0
# Replacements within a minute, over all workers; beyond it something else is wrong.
BUDGET: Final = 10
BUDGET_S: Final = 60.0
# Seconds beyond the workers' own drain after which they are killed.
_GRACE_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.25
# As many as the setting takes.
MOST_PROCESSES: Final = 64
_PR_SET_PDEATHSIG: Final = 1
# Between worker and supervisor: another start would find the same.
_MODEL_REFUSED: Final = 4
_log = logging.getLogger(__name__)

Target = Callable[[WorkerSettings], int]


@dataclass(slots=True)
class _Child:
    """One worker process and what it last said."""

    process: BaseProcess
    heard_at: float
    ready: bool = False

    def silent_for(self, now: float) -> bool:
        return now - self.heard_at > (HUNG_AFTER_S if self.ready else START_S)


class Supervisor:
    """Keeps `settings.processes` workers running, the n-th as instance `settings.instance + n`."""

    def __init__(self, settings: WorkerSettings, target: Target) -> None:
        """`target` runs one worker in a process of its own and returns its exit code."""
        self._each = {
            number: one_of(settings, number)
            for number in range(settings.instance, settings.instance + settings.processes)
        }
        self._drain_s = settings.drain_s
        self._target = target
        self._spawn = multiprocessing.get_context("spawn")
        self._children: dict[int, _Child] = {}
        self._replaced_at: deque[float] = deque()
        self._manager = ServiceManager()
        self._up = False

    def run(self) -> int:
        """Until told to stop; the exit code is 3 where a worker could not finish its drain.

        Raises RoommoodError when replacing workers does not help; ConfigError or ModelError when
        one ends over that, and ConfigError where the system does not tell which of them speaks.
        """
        if not hasattr(socket, "SO_PASSCRED"):
            raise ConfigError("several processes need Linux: start each by itself, with --instance")
        with shutdown_on_signals() as shutdown, tempfile.TemporaryDirectory() as folder:
            self._listen(Path(folder))
            try:
                for number in self._each:
                    self._start(number)
                while not shutdown.requested:
                    self._tick(shutdown)
            finally:
                code = self._drain(shutdown)
                self._mailbox.close()
        return shutdown.forced_exit_code if shutdown.forced else code

    # Start

    def _listen(self, folder: Path) -> None:
        self._box = folder / "notify"
        self._mailbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._mailbox.setblocking(False)
        self._mailbox.bind(str(self._box))
        # So that the kernel says which process a message came from.
        self._mailbox.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def _start(self, number: int) -> None:
        process = self._spawn.Process(
            target=_run_child,
            args=(self._target, self._each[number], str(self._box), os.getpid()),
            name=f"worker-{number}",
        )
        process.start()
        self._children[number] = _Child(process, time.monotonic())
        event(_log, logging.INFO, "worker started", instance=number, pid=process.pid)

    # Watch

    def _tick(self, shutdown: Shutdown) -> None:
        select.select([shutdown.waker.fileno(), self._mailbox.fileno()], [], [], _LOOK_EVERY_S)
        self._hear()
        now = time.monotonic()
        for number, child in list(self._children.items()):
            if child.process.exitcode is not None:
                self._check_end(number, child.process.exitcode)
                self._replace(number, "ended", exit_code=child.process.exitcode)
            elif child.silent_for(now):
                child.process.kill()
                child.process.join()
                self._replace(number, "hung", silent_s=round(now - child.heard_at, 1))
        ready = sum(child.ready for child in self._children.values())
        self._up = self._up or ready == len(self._each)
        if self._up:
            self._manager.turning(f"{ready} of {len(self._each)} workers ready")

    def _hear(self) -> None:
        while True:
            try:
                message, pid = _receive(self._mailbox)
            except BlockingIOError:
                return
            for child in self._children.values():
                if child.process.pid == pid:
                    child.heard_at = time.monotonic()
                    child.ready |= "READY=1" in message.split("\n")

    def _check_end(self, number: int, code: int) -> None:
        if code == ConfigError.exit_code:
            raise ConfigError(f"worker {number} ended over a setting; its own line says which")
        if code == _MODEL_REFUSED:
            raise ModelError(f"worker {number} ended over a model; its own line says why")

    def _replace(self, number: int, why: str, **fields: object) -> None:
        event(_log, logging.WARNING, f"worker {why}, is replaced", instance=number, **fields)
        now = time.monotonic()
        self._replaced_at.append(now)
        while now - self._replaced_at[0] > BUDGET_S:
            self._replaced_at.popleft()
        if len(self._replaced_at) > BUDGET:
            raise RoommoodError(
                f"more than {BUDGET} workers ended within {BUDGET_S:g} s: replacing them does "
                "not help; the lines above say why each ended"
            )
        self._start(number)

    # End

    def _drain(self, shutdown: Shutdown) -> int:
        self._manager.stopping()
        self._signal_all()
        deadline, forced = Deadline(self._drain_s + _GRACE_S), False
        while self._alive and not deadline.passed:
            ends = [child.sentinel for child in self._alive]
            select.select([shutdown.waker.fileno(), *ends], [], [], _LOOK_EVERY_S)
            if shutdown.forced and not forced:
                forced = True
                self._signal_all()
        for process in self._alive:
            process.kill()
        codes = []
        for child in self._children.values():
            child.process.join()
            codes.append(child.process.exitcode)
        return 0 if all(code == 0 for code in codes) else EXIT_DRAIN_INCOMPLETE

    @property
    def _alive(self) -> list[BaseProcess]:
        return [child.process for child in self._children.values() if child.process.is_alive()]

    def _signal_all(self) -> None:
        for process in self._alive:
            process.terminate()


def with_count(settings: WorkerSettings) -> WorkerSettings:
    """The settings with the number of processes that 0 stands for: a core each, of those that this
    program may use, and no more than may be asked for."""
    if settings.processes:
        return settings
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return replace(settings, processes=min(cores, MOST_PROCESSES))


def one_of(settings: WorkerSettings, number: int) -> WorkerSettings:
    """Settings of one instance: its ports are the given ones plus `number` less 1.

    Raises ConfigError where a port would be beyond 65535.
    """
    by = number - 1
    metrics_port = settings.metrics_port
    if metrics_port is not None and metrics_port + by > MAX_PORT:
        raise ConfigError(f"--metrics-port {metrics_port} leaves no port for instance {number}")
    return replace(
        settings,
        bind=shifted(settings.bind, by),
        advertise=settings.advertise and shifted(settings.advertise, by),
        metrics_port=metrics_port and metrics_port + by,
        instance=1,
        processes=1,
    )


def _run_child(target: Target, settings: WorkerSettings, box: str, parent: int) -> None:
    """In the child: a group of its own, so that Ctrl+C reaches the supervisor alone."""
    os.setpgrp()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
    os.environ["NOTIFY_SOCKET"] = box
    os.environ["WATCHDOG_USEC"] = str(int(HUNG_AFTER_S * 1e6))
    os.environ.pop("WATCHDOG_PID", None)
    from roommood.shared.process.command import fail, run_app

    def run() -> None:
        try:
            code = target(settings)
        except ModelError as error:
            fail(error)
            code = _MODEL_REFUSED
        sys.exit(code)

    run_app(run)


def _receive(mailbox: socket.socket) -> tuple[str, int]:
    """One message and the process that sent it. Raises BlockingIOError where none waits."""
    data, extra, _, _ = mailbox.recvmsg(4096, socket.CMSG_SPACE(12))
    pid = 0
    for level, kind, value in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid = int.from_bytes(value[:4], sys.byteorder)
    return data.decode(errors="replace"), pid
