"""The Raspberry Pi's own camera through Picamera2, which comes from Debian, not from PyPI."""

import contextlib
from typing import Any, Final

from camera_node.source import Picture, Source
from shared.clock import boot_ms
from shared.errors import SourceError

_DEFAULT_SIZE: Final = (640, 480)
_DEFAULT_RATE_HZ: Final = 15.0
_READ_TIMEOUT_S: Final = 5.0
_MISSING = (
    "picamera2 is not installed for this Python: sudo apt install python3-picamera2, then make "
    "the environment with python3 -m venv --system-site-packages"
)


class PiCamera(Source):
    """Camera `number` of the Pi, as BGR pixels at the rate and size asked for."""

    def __init__(
        self,
        number: int = 0,
        *,
        rate_hz: float | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        self._number = number
        self._camera: Any = None
        self.description = f"Pi camera {number}"
        self.rate_hz = rate_hz or _DEFAULT_RATE_HZ
        self.width, self.height = width or _DEFAULT_SIZE[0], height or _DEFAULT_SIZE[1]

    def open(self) -> None:
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise SourceError(f"{self.description}: {_MISSING} ({error})") from error
        try:
            self._camera = Picamera2(self._number)
            self._start()
        except Exception as error:  # libcamera raises bare RuntimeError, IndexError and more
            self.close()
            raise SourceError(
                f"{self.description} cannot be opened: {error}. "
                "Does `rpicam-hello --list-cameras` show it, and is no other program using it?"
            ) from error

    def read(self) -> Picture:
        if self._camera is None:
            raise SourceError(f"{self.description} is not open")
        try:
            arrays, metadata = self._camera.capture_arrays(["main"], wait=_READ_TIMEOUT_S)
        except Exception as error:
            raise SourceError(f"{self.description} gives no picture: {error!r}") from error
        return Picture.of_pixels(arrays[0], _captured_ms(metadata))

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is None:
            return
        # A camera that has gone cannot be closed in order.
        with contextlib.suppress(Exception):
            camera.stop()
        with contextlib.suppress(Exception):
            camera.close()

    def interrupt(self) -> None:
        """Nothing to do: a read ends with the next frame, or after 5 s."""

    def _start(self) -> None:
        interval_us = round(1e6 / self.rate_hz)
        # libcamera names formats by their order in a word: its RGB888 lies in memory as B, G, R.
        configuration = self._camera.create_video_configuration(
            main={"size": (self.width, self.height), "format": "RGB888"},
            controls={"FrameDurationLimits": (interval_us, interval_us)},
        )
        self._camera.align_configuration(configuration)
        self._camera.configure(configuration)
        self.width, self.height = configuration["main"]["size"]
        self._camera.start()


def _captured_ms(metadata: dict[str, Any]) -> float:
    """The sensor's own time (ns of the boot clock) where the camera tells it."""
    now_ms = boot_ms()
    sensor_ms = metadata.get("SensorTimestamp", 0) / 1e6
    return sensor_ms if now_ms - 10_000 < sensor_ms <= now_ms else now_ms
