"""When a network carries again, seen without the product: a datagram there and back, every 10 ms.

    python -m tests.faults.beacon echo PORT
    python -m tests.faults.beacon ask HOST PORT FILE

`ask` writes the time of each answer, in seconds since 1970, as a line of FILE. A cable that is put
back carries nothing until the kernel has noticed it and has asked for the neighbour's address
again, which takes up to two seconds and is no delay of ours.
"""

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.end_to_end.site import until

_PORT = 5799
_EVERY_S = 0.01


def echo(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("0.0.0.0", port))
        while True:
            data, peer = own.recvfrom(64)
            with contextlib.suppress(OSError):
                own.sendto(data, peer)


def ask(host: str, port: int, path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own, path.open("w") as times:
        own.setblocking(False)
        while True:
            with contextlib.suppress(OSError):
                own.sendto(b"?", (host, port))
            if select.select([own], [], [], _EVERY_S)[0]:
                with contextlib.suppress(OSError):
                    own.recv(64)
                    times.write(f"{time.time()}\n")
                    times.flush()
                time.sleep(_EVERY_S)  # between an answer and the next question


class Beacon:
    """Asks from one node, by way of the commands `here`, another one at `host`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def back_at(self, moment: float) -> float:
        """Waits for the first answer after `moment`; when it came."""

        def answers() -> list[float]:
            lines = self._path.read_text().split("\n")[:-1]
            return [float(line) for line in lines if float(line) >= moment]

        return float(until(answers, "the network carries again", 30.0)[0])

    def is_dark_for(self, seconds: float) -> bool:
        """Waits until no answer has come for so long; False if they keep coming for 10 s."""
        end = time.monotonic() + 10.0
        while time.monotonic() < end:
            before = self._path.stat().st_size
            select.select([], [], [], seconds)
            if self._path.stat().st_size == before:
                return True
        return False

    def now(self) -> float:
        return time.time()


@contextlib.contextmanager
def beacon(path: Path, here: Sequence[str], there: Sequence[str], host: str) -> Iterator[Beacon]:
    """A beacon between two nodes of a `Network`."""
    program = (sys.executable, "-m", "tests.faults.beacon")
    path.touch()
    echoing = subprocess.Popen([*there, *program, "echo", str(_PORT)])
    asking = subprocess.Popen([*here, *program, "ask", host, str(_PORT), str(path)])
    try:
        yield Beacon(path)
    finally:
        for process in (echoing, asking):
            process.kill()
            process.wait(10)


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo(int(sys.argv[2]))
    else:
        ask(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
