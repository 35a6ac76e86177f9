"""A stand-in for Picamera2 0.3, which only a Pi has: its signatures, and what they give."""

# Parameters have the names that callers may use, whether or not the stand-in looks at them.
# ruff: noqa: ARG002, ARG004, B006

from typing import Any

import numpy as np

from roommood.shared.opencv import Pixels

BUFFERS = 6
LUMA, BLUE, RED = 120, 100, 150


class CompletedRequest:
    """Its planes have rows longer than the picture is wide, as the ISP lays them out."""

    def __init__(self, camera: "Picamera2") -> None:
        self.camera, self.ref_count = camera, 1
        camera.lent += 1

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": self.camera.sensor_ns}

    def make_array(self, name: str) -> Pixels:
        assert (name, self.ref_count) == ("main", 1)
        self.camera.copied += 1
        width, height = self.camera.main["size"]
        planes = np.zeros((height * 3 // 2, width + 64), np.uint8)
        planes[:height, :width] = LUMA
        blue, red = planes[height:].reshape(2, height // 2, -1)
        blue[:, : width // 2], red[:, : width // 2] = BLUE, RED
        return planes

    def release(self) -> None:
        self.ref_count -= 1
        assert self.ref_count == 0
        self.camera.lent -= 1


class Picamera2:
    """The few calls of Picamera2 0.3 that are made, with its signatures and results."""

    def __init__(self, camera_num: int = 0, verbose_console: int | None = None, tuning: Any = None):
        if camera_num != 0:
            raise IndexError("list index out of range")
        self.calls: list[str] = []
        self.sensor_ns = self.lent = self.copied = 0
        self.is_gone = False
        made.append(self)

    def create_video_configuration(
        self, main: Any = {}, lores: Any = None, raw: Any = {}, transform: Any = None,
        colour_space: Any = None, buffer_count: int = BUFFERS, controls: Any = {},
        display: str = "main", encode: str = "main", queue: bool = True, sensor: Any = {},
        use_case: str = "video",
    ) -> dict[str, Any]:  # fmt: skip
        self.controls, self.colour_space = controls, colour_space
        return {"main": main}

    @staticmethod
    def align_configuration(config: dict[str, Any], optimal: bool = True) -> None:
        config["main"]["size"] = (640, 480)

    def configure(self, camera_config: Any = "preview") -> None:
        self.main = camera_config["main"]

    def start(self, config: Any = None, show_preview: bool = False) -> None:
        self.calls.append("start")

    def capture_request(
        self, wait: bool | float | None = None, signal_function: Any = None, flush: Any = None
    ) -> CompletedRequest:
        if self.is_gone:
            raise TimeoutError
        assert wait == 5.0
        assert self.lent < BUFFERS, "the camera has no buffer left"
        return CompletedRequest(self)

    def stop(self) -> None:
        self.calls.append("stop")
        if self.is_gone:
            raise RuntimeError("gone")

    def close(self) -> None:
        self.calls.append("close")


# Those that were made, in this order.
made: list[Picamera2] = []
