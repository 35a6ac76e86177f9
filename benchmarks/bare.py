"""The least that any program does for the same work: the yardsticks of the camera node's bars.

    python -m benchmarks.bare compress JPEG TIMES_PER_S SECONDS
    python -m benchmarks.bare push VIDEO ADDRESS SECONDS

`compress` makes a gray JPEG of a picture's pixels, so many times a second; `push` reads a video
file of JPEG frames in its own time and sends each by a bare PUSH socket. Answers are processor
milliseconds, as JSON: work that comes now and then is dearer than in a row, so both keep pace.
"""

import json
import sys
import time
from pathlib import Path

import cv2
import zmq

from benchmarks.pictures import QUALITY
from roommood.camera_node.sources.open import open_source
from roommood.shared.opencv import decode


def compress(picture: Path, times_per_s: float, seconds: float) -> dict[str, float]:
    """Of one compression, and of a second of them."""
    pixels = decode(picture.read_bytes(), cv2.IMREAD_COLOR)
    times = round(times_per_s * seconds)
    began_s, due_s = time.process_time(), time.monotonic()
    for _ in range(times):
        due_s += 1 / times_per_s
        time.sleep(max(0.0, due_s - time.monotonic()))
        gray = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    used_ms = (time.process_time() - began_s) * 1000
    return {"cpu_ms": used_ms / times, "cpu_ms_per_s": used_ms / seconds}


def push(video: Path, address: str, seconds: float) -> dict[str, float]:
    """Of one frame, of the whole process."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    socket = context.socket(zmq.PUSH)
    socket.connect(f"tcp://{address}")
    frames, until_s = 0, time.monotonic() + seconds
    with open_source(str(video)) as source:
        source.read()
        began_s = time.process_time()
        while time.monotonic() < until_s:
            picture = source.read()
            socket.send_multipart([b"%d" % frames, picture.jpeg or b""], zmq.NOBLOCK)
            frames += 1
        used_ms = (time.process_time() - began_s) * 1000
    context.destroy(0)
    return {"cpu_ms": used_ms / frames}


def main() -> None:
    what, file, *rest = sys.argv[1:]
    if what == "compress":
        found = compress(Path(file), float(rest[0]), float(rest[1]))
    else:
        found = push(Path(file), rest[0], float(rest[1]))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
