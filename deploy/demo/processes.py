"""Programs started by another: each with its own log, ended together, whatever happens."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from roommood.shared.errors import RoommoodError
from roommood.shared.process.runtime import EXIT_DRAIN_INCOMPLETE, Deadline, Shutdown

_LOOK_EVERY_S: Final = 0.05
_LINES_OF_LOG: Final = 12
_GOOD_ENDS: Final = (0, EXIT_DRAIN_INCOMPLETE)
_PR_SET_PDEATHSIG: Final = 1


class ComponentEnded(RoommoodError):
    """A program that was to go on running has ended, or never got ready; says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is to be started. `is_ready` is asked, with its log so far, until it says so."""

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[str], bool]


class Child:
    """A program that was started."""

    def __init__(self, program: Program, log: Path) -> None:
        self.name = program.name
        self._is_ready = program.is_ready
        self._log = log
        self._began = time.monotonic()
        with log.open("wb") as out:
            # A group of its own: Ctrl+C reaches this process alone, which then ends the others
            # in good order.
            self._process = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=_environment(),
                process_group=0,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 (it makes one system call)
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def is_ready(self) -> bool:
        return self._is_ready(self.log())

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def end_of_log(self) -> str:
        """Its last lines, indented, for an error."""
        lines = self.log().splitlines()[-_LINES_OF_LOG:] or ["(its log is empty)"]
        return "\n".join(f"    {line}" for line in lines)

    def check(self) -> None:
        """Raises ComponentEnded, with the end of its log, unless it runs."""
        if self.exit_code is not None:
            raise ComponentEnded(
                f"{self.name} {_end_of(self.exit_code)}; the end of its log:\n{self.end_of_log()}"
            )

    def terminate(self) -> None:
        if self.exit_code is None:
            self._process.terminate()

    def wait(self, deadline: Deadline) -> int:
        """Its exit code; kills it at the deadline."""
        try:
            return self._process.wait(max(0.0, deadline.left_s))
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Processes:
    """The programs of one folder of logs. As a context manager it ends them all."""

    def __init__(self, folder: Path, *, stop_s: float = 8.0) -> None:
        """`stop_s` is what SIGTERM gives before SIGKILL follows."""
        self._folder = folder
        self._stop_s = stop_s
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(self._children)

    def start(self, program: Program) -> Child:
        log = self._folder / f"{program.name.replace(' ', '-').replace('/', '-')}.log"
        child = Child(program, log)
        self._children.append(child)
        return child

    def wait_until_ready(
        self, children: Sequence[Child], shutdown: Shutdown, timeout_s: float
    ) -> Iterator[Child]:
        """Each as it gets ready. Ends early where a shutdown is requested.

        Raises ComponentEnded where one ends instead, or is not ready in time.
        """
        deadline, waiting = Deadline(timeout_s), list(children)
        while waiting and not shutdown.requested:
            for child in [each for each in waiting if each.is_ready()]:
                waiting.remove(child)
                yield child
            self.check()
            if waiting and deadline.passed:
                raise ComponentEnded(
                    f"{waiting[0].name} is not ready after {timeout_s:g} s; the end of its log:\n"
                    f"{waiting[0].end_of_log()}"
                )
            pause(shutdown, _LOOK_EVERY_S if waiting else 0.0)

    def check(self) -> None:
        """Raises ComponentEnded where one does not run any more."""
        for child in self._children:
            child.check()

    def stop(self, children: Sequence[Child]) -> None:
        """Ends them in good order, at once; raises ComponentEnded where one did not end well."""
        for child, code in self._end(children):
            if code not in _GOOD_ENDS:
                raise ComponentEnded(
                    f"{child.name} {_end_of(code)} when it was told to end; the end of its log:\n"
                    f"{child.end_of_log()}"
                )

    def _end(self, children: Sequence[Child]) -> list[tuple[Child, int]]:
        deadline = Deadline(self._stop_s)
        for child in children:
            child.terminate()
        ended = [(child, child.wait(deadline)) for child in children]
        self._children = [child for child in self._children if child not in children]
        return ended


def python_command(module: str, *arguments: str) -> tuple[str, ...]:
    """Runs `main()` of a module with this Python, whatever folder one is in."""
    return (sys.executable, "-P", "-c", f"from {module} import main; main()", *arguments)


def pause(shutdown: Shutdown, seconds: float) -> None:
    """Waits, but not when told to stop."""
    select.select([shutdown.waker], [], [], seconds)


def _environment() -> dict[str, str]:
    """Ours, without settings meant for other components of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROOMMOOD_")}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _end_of(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal.Signals(-code).name}"


_libc: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def _end_with_parent() -> None:
    """In the child, before it becomes the program: where its parent is killed, it ends too."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
