"""`roommood mqtt` as a process, and rooms for it to tell of."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from roommood.aggregator.counting.store import Store
from roommood.shared.clock import wall_ms
from tests.aggregator.made import delivery, face, only, result
from tests.mosquitto import Mosquitto
from tests.redis_server import RedisServer

_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What has an address as a broker has; `folder` is for logs."""

    url: str
    folder: Path


class Bridge:
    """`roommood mqtt` as a process; what still runs at the end of a `with` is killed."""

    def __init__(self, broker: Mosquitto | Elsewhere, server: RedisServer, *options: str) -> None:
        code = "from roommood.deploy.cli import main; main()"
        where = ["--broker", broker.url, "--redis", server.url]
        where += ["--every-s", "0.2", "--change-every-s", "0"]
        command = [sys.executable, "-c", code, "mqtt", *where, *options]
        self.log = broker.folder / f"bridge-{id(self)}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=_ROOT, stdout=log, stderr=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


def commit_frames(store: Store, expression: str) -> None:
    now_ms = wall_ms()
    two = (face(only(expression)),) * 2
    session_id = f"boot{round(now_ms)}"
    frames = [
        delivery(
            result(n, *two, session_id=session_id, interval_us=200_000), now_ms - 8000 + n * 200
        )
        for n in range(40)
    ]
    assert not store.commit(frames, now_ms).errors
    store.touch_rooms({"kitchen": now_ms})
    store.write_health({"door": {"room": "kitchen", "silent_ms": 0.0}}, {}, now_ms)
