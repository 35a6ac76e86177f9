"""Peers under load: a sender and receivers that work on each frame, and what became of frames."""

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from benchmarks import peers
from benchmarks.processes import ROOT, answer, end, start
from tests.ports import free_port

_T = TypeVar("_T")
RATE_HZ: Final = 30
_PROGRAM: Final = str(ROOT / "benchmarks" / "peer_link.py")


@dataclass(frozen=True)
class Arrived:
    """A frame at a receiver, in ms: since its start, by the machine's clock at capture, its age."""

    after_ms: int
    captured_ms: int
    age_ms: int


def at_once(kinds: Mapping[str, str], run: Callable[[str], _T]) -> dict[str, _T]:
    """What a run of each kind of peer gives, by its name: they leave the machine mostly idle."""
    with ThreadPoolExecutor(len(kinds)) as pool:
        return dict(zip(kinds.values(), pool.map(run, kinds), strict=True))


def start_sender(kind: str, ports: Sequence[int], picture: Path) -> subprocess.Popen[str]:
    """Sends 30 frames a second, compressed from pixels, until it is ended."""
    where = ",".join(map(str, ports))
    return _start(kind, "send", where, picture, "1000000", "codec")


def start_receiver(
    kind: str, port: int, picture: Path, seconds: float, work_ms: float
) -> subprocess.Popen[str]:
    """Decodes each frame and works on it, for so many seconds; see `arrivals`."""
    return _start(kind, "receive", str(port), picture, str(seconds), f"work:{work_ms:g}")


def arrivals(receiver: subprocess.Popen[str], seconds: float) -> list[Arrived]:
    """What came, when a receiver's seconds are over."""
    frames: list[list[int]] = answer(receiver, seconds + 60)["frames"]
    return [Arrived(*one) for one in frames]


def longest_ms(sender: subprocess.Popen[str]) -> float:
    """Ends a sender; the longest that it was held up by one call. One that has died of an error
    counts as held up for ever."""
    if sender.poll() is None:
        sender.send_signal(signal.SIGTERM)
    try:
        found: float = answer(sender, 20)["longest_ms"]
    except RuntimeError:
        return float("inf")
    finally:
        end(sender)
    return found


def ports_of(kind: str, receivers: int) -> list[int]:
    """A port for each receiver; those of a publisher share its one."""
    return [free_port()] * receivers if kind == "pub" else [free_port() for _ in range(receivers)]


def _start(
    kind: str, role: str, port: str, picture: Path, count: str, mode: str
) -> subprocess.Popen[str]:
    how = [_PROGRAM, kind, role, port, str(picture), count, str(RATE_HZ), mode]
    return start(how, str(peers.PYTHON))
