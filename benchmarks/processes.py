"""What a process used: processor time to the nanosecond, and memory. Linux."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
# CPUCLOCK_SCHED of <linux/posix-timers.h>: the processor time of all threads of a process.
_SCHED: Final = 2


def cpu_s(pid: int) -> float:
    """Processor seconds, user and system, of all threads of a process of this user."""
    return time.clock_gettime((~pid << 3) | _SCHED)


def rss_mb(pid: int) -> float:
    """Resident memory, in 10^6 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def start(arguments: Sequence[str], python: str = sys.executable) -> subprocess.Popen[str]:
    """A program of this folder whose last line of output is its answer, as JSON."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ORT_DISABLE_TELEMETRY": "1"}
    return subprocess.Popen(
        [python, *arguments], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def answer(process: subprocess.Popen[str], timeout_s: float) -> dict[str, Any]:
    """The answer of a program. Raises RuntimeError if it gives none in time."""
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise RuntimeError(f"{process.args!r} gave no answer in {timeout_s:g} s") from error
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode} and no answer")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def end(process: subprocess.Popen[str]) -> None:
    """Kills a program that is still there."""
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def early_answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The answer of a program that goes on after it; blocks until it comes."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise RuntimeError(f"{process.args!r} ended without an answer")
