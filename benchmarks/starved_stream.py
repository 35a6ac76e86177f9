"""How old pictures get on a machine that decodes too slowly for its stream.

    python -m benchmarks.starved_stream [--quick]

H.264 of 1280x720 at 30 pictures a second by RTSP, with a clock burnt in. After some seconds the
reader is held to half of what it needs of a processor: five times a second it is stopped and goes
on. Beside it a reader that never gives the stream up.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.processes import answer, cpu_s, end, start
from benchmarks.rows import Options, Row, at_most, run_alone
from roommood.camera_node.capture import Capture
from roommood.camera_node.sources.network.stream_clock import StreamClock
from roommood.camera_node.sources.open import open_source
from roommood.shared.clock import boot_ms
from tests.camera_node.sources.burnt_clock import drawn_ms

_SERVER: Final = Path(__file__).parents[1] / "tests/camera_node/sources/network/rtsp_server.py"
_UNHURRIED_S: Final = 8.0
_SLICE_S: Final = 0.2
_SHARE: Final = 0.5
_OLDEST_S: Final = 4.0


def starved_stream(options: Options) -> Iterator[Row]:
    seconds = options.length(120, 45)
    found = {how: _run(how, seconds) for how in ("gives up", "never gives up")}
    note = "; ".join(
        f"{how}: {one['pictures']} pictures, dated wrongly by {one['wrong_s']:.1f} s at most"
        for how, one in found.items()
    )
    beside = {"never given up": found["never gives up"]["oldest_s"]}
    name = "oldest picture of a stream too fast for its reader"
    yield at_most(name, found["gives up"]["oldest_s"], "s", _OLDEST_S, beside, note)


def _run(how: str, seconds: float) -> dict[str, Any]:
    command = ["/usr/bin/python3", str(_SERVER), "1280", "720", "30"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"rtsp://127.0.0.1:{server.stdout.readline().split()[0]}/h264"
        reader = start(["-m", "benchmarks.starved_stream", url, str(seconds), how])
        _hold_back(reader)
        return answer(reader, 30)
    finally:
        end(server)


def _hold_back(reader: subprocess.Popen[str]) -> None:
    time.sleep(_UNHURRIED_S / 2)
    used_s = -cpu_s(reader.pid)
    time.sleep(_UNHURRIED_S / 2)
    share = _SHARE * (used_s + cpu_s(reader.pid)) / (_UNHURRIED_S / 2)
    while reader.poll() is None:
        os.kill(reader.pid, signal.SIGSTOP)
        time.sleep(_SLICE_S * (1 - share))
        os.kill(reader.pid, signal.SIGCONT)
        time.sleep(_SLICE_S * share)


def read(url: str, seconds: float, how: str) -> dict[str, float]:
    """The oldest picture given out, in s, and the most that one's date was wrong by."""
    if how == "never gives up":
        setattr(StreamClock, "is_too_slow", False)  # noqa: B010
    capture = Capture(open_source(url))
    capture.start()
    ends_s, pictures, oldest_ms, wrong_ms = time.monotonic() + seconds, 0, 0.0, 0.0
    while time.monotonic() < ends_s:
        time.sleep(0.05)
        picture = capture.take_newest()
        if picture is not None:
            pictures += 1
            at_ms = drawn_ms(picture)
            oldest_ms = max(oldest_ms, boot_ms() - at_ms)
            wrong_ms = max(wrong_ms, picture.captured_ms - at_ms)
    capture.stop()
    return {"pictures": pictures, "oldest_s": oldest_ms / 1000, "wrong_s": wrong_ms / 1000}


if __name__ == "__main__":
    if "://" in "".join(sys.argv[1:2]):
        print(json.dumps(read(sys.argv[1], float(sys.argv[2]), sys.argv[3])), flush=True)
    else:
        run_alone(starved_stream, __doc__)
