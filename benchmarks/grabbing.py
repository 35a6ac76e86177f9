"""What reads a camera and does nothing else, or decodes and compresses each picture.

    python -m benchmarks.grabbing grab|encode|capture SOURCE SECONDS

By OpenCV alone, as others read cameras; JPEGs over HTTP as bytes from a socket; or by the capture
thread of a camera node, without the rest of it. Its last line of output is a JSON object:
`ms_per_s` of processor time.
"""

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import cv2

from roommood.camera_node.capture import Capture
from roommood.camera_node.sources.open import open_source

_WARM_UP_S = 2.0


def main() -> None:
    how, spec, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    cv2.setNumThreads(1)
    if how == "capture":
        read = _captured(spec)
    elif how == "grab" and spec.startswith("http"):
        read = _bytes_of(spec)
    else:
        read = _video(how, spec)
    due_s = time.monotonic() + _WARM_UP_S
    while time.monotonic() < due_s:
        read()
    used_s, began_s = time.process_time(), time.monotonic()
    while time.monotonic() < began_s + seconds - _WARM_UP_S:
        read()
    cost = (time.process_time() - used_s) * 1000 / (time.monotonic() - began_s)
    print(json.dumps({"ms_per_s": cost}), flush=True)


def _captured(spec: str) -> Callable[[], object]:
    Capture(open_source(spec)).start()
    return lambda: time.sleep(0.5)


def _bytes_of(url: str) -> Callable[[], object]:
    answer = urllib.request.urlopen(url, timeout=10)
    return lambda: answer.read1(65_536)


def _video(how: str, spec: str) -> Callable[[], object]:
    """A file is read at its own rate, as nobody plays it faster."""
    capture: Any = cv2.VideoCapture(int(spec) if spec.isdigit() else spec)
    is_file = not spec.isdigit() and "://" not in spec
    interval_s = 1 / capture.get(cv2.CAP_PROP_FPS) if is_file else 0.0

    def read() -> None:
        time.sleep(interval_s)
        has_frame = capture.grab()
        if not has_frame and is_file:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            has_frame = capture.grab()
        if how == "encode" and has_frame:
            _, picture = capture.retrieve()
            cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])

    return read


if __name__ == "__main__":
    main()
