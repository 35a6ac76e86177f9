"""A WebM as browsers record it, with no rate of its own: run by Debian's python3.

browser_webm.py FILE MS MS ...      the times of its frames
"""

import sys
from typing import Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

WIDTH, HEIGHT = 160, 120


def main(path: str, times_ms: list[int]) -> None:
    Gst.init(None)
    caps = f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate=0/1"
    pipeline = Gst.parse_launch(
        f"appsrc name=source format=time block=true caps={caps} ! vp8enc deadline=1 ! webmmux "
        f"! filesink location={path}"
    )
    source: Any = pipeline.get_by_name("source")
    pipeline.set_state(Gst.State.PLAYING)
    for number, at_ms in enumerate(times_ms):
        level = bytes([20 + number * 7 % 200])
        buffer = Gst.Buffer.new_wrapped(
            level * (WIDTH * HEIGHT) + bytes([128]) * (WIDTH * HEIGHT // 2)
        )
        buffer.pts = at_ms * Gst.MSECOND
        source.emit("push-buffer", buffer)
    source.emit("end-of-stream")
    pipeline.get_bus().timed_pop_filtered(30 * Gst.SECOND, Gst.MessageType.EOS)
    pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main(sys.argv[1], [*map(int, sys.argv[2:])])
