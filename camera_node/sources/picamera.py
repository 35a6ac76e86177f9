"""The Raspberry Pi's own camera through Picamera2, which comes from Debian, not from PyPI."""

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Final

from roommood.camera_node.sources.picture import Grabbed, Picture, Source
from roommood.shared.clock import boot_ms
from roommood.shared.errors import SourceError

if TYPE_CHECKING:
    from roommood.shared.opencv import Pixels

_DEFAULT_SIZE: Final = (640, 480)
_DEFAULT_RATE_HZ: Final = 15.0
_READ_TIMEOUT_S: Final = 5.0
_MISSING: Final = (
    "sudo apt install python3-picamera2, then make the environment with "
    "python3 -m venv --system-site-packages and install roommood with [picamera] there"
)
_KEEP_NUMPY_1: Final = 'in this environment, pip install "numpy<2" "opencv-python-headless<4.12"'
_BROKEN: Final = (
    "does `/usr/bin/python3 -c 'import picamera2'` work? If so, make the environment anew with "
    "/usr/bin/python3 -m venv --system-site-packages; if not, "
    "sudo apt install --reinstall python3-picamera2 python3-libcamera"
)


class Picamera2Unusable(SourceError):
    """picamera2 cannot be imported; `why`, and what is `to_do`."""

    def __init__(self, why: str, to_do: str) -> None:
        super().__init__(f"{why}: {to_do}")
        self.why, self.to_do = why, to_do


class PiCamera(Source):
    """Camera `number` of the Pi, as luma or BGR pixels at the rate and size asked for."""

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
        self._request: Any = None
        self.description = f"Pi camera {number}"
        self.rate_hz = rate_hz or _DEFAULT_RATE_HZ
        self.width, self.height = width or _DEFAULT_SIZE[0], height or _DEFAULT_SIZE[1]

    def open(self) -> None:
        picamera2 = load_picamera2()
        try:
            self._camera = picamera2(self._number)
            self._start()
        except Exception as error:  # libcamera raises bare RuntimeError, IndexError and more
            self.close()
            raise SourceError(
                f"{self.description} cannot be opened: {error}. "
                "Does `rpicam-hello --list-cameras` show it, and is no other program using it?"
            ) from error

    def grab(self) -> Grabbed:
        if self._camera is None:
            raise SourceError(f"{self.description} is not open")
        self._let_go()
        try:
            self._request = self._camera.capture_request(wait=_READ_TIMEOUT_S)
            self._captured_ms = _captured_ms(self._request.get_metadata())
        except Exception as error:
            raise SourceError(f"{self.description} gives no picture: {error!r}") from error
        return Grabbed(self._captured_ms)

    def retrieve(self) -> Picture:
        if self._request is None:
            raise SourceError(f"{self.description} is not open")
        try:
            planes = self._request.make_array("main")
        except Exception as error:
            raise SourceError(f"{self.description} gives no picture: {error!r}") from error
        finally:
            self._let_go()
        size = (self.width, self.height)
        pixels = luma_of(planes, *size) if self.luma_suffices else colours_of(planes, *size)
        return Picture.of_pixels(pixels, self._captured_ms)

    def close(self) -> None:
        self._let_go()
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

    def _let_go(self) -> None:
        """Gives the buffer of the picture grabbed last back to the camera."""
        request, self._request = self._request, None
        if request is not None:
            with contextlib.suppress(Exception):
                request.release()

    def _start(self) -> None:
        interval_us = round(1e6 / self.rate_hz)
        # The first plane is luma, which is all that most models read; sYCC is that of a JPEG.
        configuration = self._camera.create_video_configuration(
            main={"size": (self.width, self.height), "format": "YUV420"},
            colour_space=_full_range(),
            controls={"FrameDurationLimits": (interval_us, interval_us)},
        )
        self._camera.align_configuration(configuration)
        self._camera.configure(configuration)
        self.width, self.height = configuration["main"]["size"]
        self._camera.start()


def luma_of(planes: "Pixels", width: int, height: int) -> "Pixels":
    """The first plane of YUV 4:2:0 (H * 3 / 2, stride), whose rows may be longer than `width`."""
    return planes[:height, :width]


def colours_of(planes: "Pixels", width: int, height: int) -> "Pixels":
    """BGR of the same, by the full range of JFIF: OpenCV's own way takes the range of television.

    The colour planes have half the rows, half as long.
    """
    from roommood.shared.opencv import cv2

    halves = planes[height:].reshape(2, height // 2, -1)[:, :, : width // 2]
    blue, red = (cv2.resize(half, (width, height)) for half in halves)
    whole = cv2.merge([luma_of(planes, width, height), red, blue])
    return cv2.cvtColor(whole, cv2.COLOR_YCrCb2BGR).astype(planes.dtype, copy=False)


def _full_range() -> Any:
    from libcamera import ColorSpace  # comes with picamera2

    return ColorSpace.Sycc()


def load_picamera2() -> Any:
    """The class Picamera2. Raises Picamera2Unusable, whatever its import raises."""
    try:
        from picamera2 import Picamera2
    except Exception as error:  # extensions raise ValueError, RuntimeError and more
        raise _unusable(error) from error
    return Picamera2


def _unusable(error: Exception) -> Picamera2Unusable:
    if isinstance(error, ModuleNotFoundError) and error.name == "picamera2":
        return Picamera2Unusable("picamera2 is not installed for this Python", _MISSING)
    reason = f"{type(error).__name__}: {error}"
    numpy = sys.modules.get("numpy")
    if "numpy" in reason and numpy is not None and not numpy.__version__.startswith("1."):
        # Such as simplejpeg, which picamera2 imports, on Raspberry Pi OS bookworm.
        why = (
            f"numpy {numpy.__version__} of {numpy.__path__[0]} hides the system's numpy 1, "
            f"for which picamera2's libraries are built ({reason})"
        )
        return Picamera2Unusable(why, _KEEP_NUMPY_1)
    return Picamera2Unusable(f"picamera2 cannot be imported ({reason})", _BROKEN)


def _captured_ms(metadata: dict[str, Any]) -> float:
    """The sensor's own time (ns of the boot clock) where the camera tells it."""
    now_ms = boot_ms()
    sensor_ms = metadata.get("SensorTimestamp", 0) / 1e6
    return sensor_ms if now_ms - 10_000 < sensor_ms <= now_ms else now_ms
