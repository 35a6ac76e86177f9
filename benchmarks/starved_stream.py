"""How old pictures get on a machine that decodes too slowly for its stream.

    python -m benchmarks.starved_stream [--quick]

H.264 of 1280x720 at 30 pictures a second by RTSP, with a clock burnt in. After some seconds the
reader is held to half of the processor time that it used: what has had its share is stopped until
more is due. Beside it a reader that never gives the stream up, which is to fail.
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
from benchmarks.rows import Options, Row, run_alone
from roommood.camera_node.capture import Capture
from roommood.camera_node.sources.network.stream_clock import StreamClock
from roommood.camera_node.sources.open import open_source
from roommood.shared.clock import boot_ms
from tests.camera_node.sources.burnt_clock import drawn_ms

_SERVER: Final = Path(__file__).parents[1] / "tests/camera_node/sources/network/rtsp_server.py"
_UNHURRIED_S: Final = 8.0
_LOOK_S: Final = 0.005
_SHARE: Final = 0.5
_OLDEST_S: Final = 4.0


def starved_stream(options: Options) -> Iterator[Row]:
    seconds = options.length(120, 45)
    found = {how: _run(how, seconds) for how in ("gives up", "never gives up")}
    note = "; ".join(
        f"{how}: {one['pictures']} pictures, dated wrongly by {one['wrong_s']:.1f} s at most"
        for how, one in found.items()
    )
    yield starved_row(found["gives up"]["oldest_s"], found["never gives up"]["oldest_s"], note)


def starved_row(oldest_s: float, never_given_up_s: float, note: str = "") -> Row:
    """A control that keeps up too shows that nothing was starved: then nothing is held."""
    is_held = oldest_s <= _OLDEST_S < never_given_up_s
    name = "oldest picture of a stream too fast for its reader"
    bar = f"<= {_OLDEST_S:g}, and more if never given up"
    return Row(name, oldest_s, "s", bar, is_held, {"never given up": never_given_up_s}, note)


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
    """Leaves it that share of the processor time that it used unhurried, threads and all."""
    time.sleep(_UNHURRIED_S / 2)
    used_s = cpu_s(reader.pid)
    time.sleep(_UNHURRIED_S / 2)
    unhurried_s = cpu_s(reader.pid)
    rate = _SHARE * (unhurried_s - used_s) / (_UNHURRIED_S / 2)
    began_s = time.monotonic()
    while reader.poll() is None:
        spent_s = cpu_s(reader.pid) - unhurried_s
        is_over = spent_s > rate * (time.monotonic() - began_s)
        os.kill(reader.pid, signal.SIGSTOP if is_over else signal.SIGCONT)
        time.sleep(_LOOK_S)


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
