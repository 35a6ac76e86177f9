"""A room where nothing moves, as a rate-controlled H.264 stream shows it: run by Debian's python3.

    still_videos.py FILE LIVING_S FROZEN_S GOP KBIT_S

For LIVING_S seconds each picture has new sensor noise, then the last one comes again and again.
"""

import random
import sys
from typing import Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

WIDTH, HEIGHT, RATE_HZ = 320, 240, 8
# Differences of a normal distribution with a deviation of 1.5.
DICE = random.Random(1)
NOISE = [round(DICE.gauss(0, 1.5)) for _ in range(4096)]


def luma(level: int) -> int:
    return min(max(level, 16), 235)


def room() -> list[int]:
    """Walls, a window, a table: steps and slopes of grey."""
    rows = []
    for y in range(HEIGHT):
        for x in range(WIDTH):
            level = 90 + x // 8 + (40 if 60 < x < 140 and 40 < y < 120 else 0)
            rows.append(level - (50 if y > 180 else 0) + 12 * ((x // 16 + y // 16) % 2))
    return rows


def pictures() -> list[bytes]:
    walls, colour = room(), bytes([128]) * (WIDTH * HEIGHT // 2)
    made = []
    for _ in range(16):
        noise = DICE.choices(NOISE, k=WIDTH * HEIGHT)
        made.append(bytes(map(luma, map(int.__add__, walls, noise))) + colour)
    return made


def living(noisy: list[bytes]) -> bytes:
    """A picture that never was before: each row with the noise of one of those that were made."""
    rows = (DICE.choice(noisy)[y * WIDTH : (y + 1) * WIDTH] for y in range(HEIGHT))
    return b"".join(rows) + noisy[0][WIDTH * HEIGHT :]


def main(path: str, living_s: int, frozen_s: int, gop: int, kbit_s: int) -> None:
    Gst.init(None)
    caps = f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={RATE_HZ}/1"
    encoder = f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate={kbit_s}"
    pipeline = Gst.parse_launch(
        f"appsrc name=source format=time block=true caps={caps} ! {encoder} "
        f"option-string=scenecut=0 ! h264parse ! matroskamux ! filesink location={path}"
    )
    source: Any = pipeline.get_by_name("source")
    pipeline.set_state(Gst.State.PLAYING)
    noisy = pictures()
    for number in range((living_s + frozen_s) * RATE_HZ):
        shown = living(noisy) if number < living_s * RATE_HZ else noisy[0]
        buffer = Gst.Buffer.new_wrapped(shown)
        buffer.pts = number * Gst.SECOND // RATE_HZ
        buffer.duration = Gst.SECOND // RATE_HZ
        source.emit("push-buffer", buffer)
    source.emit("end-of-stream")
    pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, Gst.MessageType.EOS)
    pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
