"""A camera node whose pictures lie in memory: all its code but a real source's cost.

Takes the options of `camera-node`; the source is a folder of JPEG files, `?pixels` decodes them
first. Pictures are captured when `boot_ms` is a multiple of the interval, so that whoever
reads a capture time can tell how long ago it was. `python -m benchmarks.memory_camera capture
SOURCE RATE SECONDS` only captures, and tells what that costs.
"""

import itertools
import json
import sys
import time
from pathlib import Path

from roommood.camera_node import cli, node
from roommood.camera_node.capture import Capture
from roommood.camera_node.sources.picture import Grabbed, Interrupted, Picture, Source
from roommood.shared.clock import boot_ms
from roommood.shared.opencv import cv2, decode


class MemorySource(Source):
    """The pictures of a folder, over and over, without reading or decoding them again."""

    may_repeat = True

    def __init__(self, spec: str, rate_hz: float) -> None:
        folder, _, how = spec.partition("?")
        files = sorted(Path(folder).glob("*.jpg"))
        pictures = [Picture.of_jpeg(path.read_bytes(), 0.0) for path in files]
        if how == "pixels":
            pictures = [_as_pixels(picture) for picture in pictures]
        self._pictures = itertools.cycle(pictures)
        self.description, self.rate_hz = f"memory {spec}", rate_hz
        self.width, self.height = pictures[0].width, pictures[0].height
        self._interrupted = False

    def open(self) -> None:
        self._interrupted = False

    def grab(self) -> Grabbed:
        interval_ms = 1000 / self.rate_hz
        due_ms = (boot_ms() // interval_ms + 1) * interval_ms
        time.sleep(max(0.0, due_ms - boot_ms()) / 1000)
        if self._interrupted:
            raise Interrupted(self.description)
        self._due_ms = due_ms
        return Grabbed(due_ms)

    def retrieve(self) -> Picture:
        one = next(self._pictures)
        return Picture(self._due_ms, one.width, one.height, pixels=one.pixels, jpeg=one.jpeg)

    def close(self) -> None:
        pass

    def interrupt(self) -> None:
        self._interrupted = True


def _as_pixels(picture: Picture) -> Picture:
    return Picture.of_pixels(decode(picture.jpeg or b"", cv2.IMREAD_COLOR), 0.0)


def _open(spec: str, *, rate_hz: float | None = None, **_: object) -> Source:
    return MemorySource(spec, rate_hz or 30.0)


def main() -> None:
    setattr(node, "open_source", _open)  # noqa: B010
    cli.main()


def capture_only(spec: str, rate_hz: float, seconds: float) -> None:
    """The capture thread alone, nobody taking its pictures."""
    capture = Capture(MemorySource(spec, rate_hz))
    capture.start()
    time.sleep(1.0)
    began_s = time.process_time()
    time.sleep(seconds)
    print(json.dumps({"cpu_ms_per_s": (time.process_time() - began_s) * 1000 / seconds}))
    capture.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["capture"]:
        capture_only(sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
    else:
        main()
