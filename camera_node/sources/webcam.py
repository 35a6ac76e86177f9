"""A webcam through V4L2, its own JPEGs passed through where it makes them."""

import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

from roommood.camera_node.sources.devices import SYSFS, belongs_to_pi_camera
from roommood.camera_node.sources.grabbed import PACKED, PackedYuv, picture_of, retrieve
from roommood.camera_node.sources.pacing import Thinner
from roommood.camera_node.sources.picture import Grabbed, Picture, Source
from roommood.shared.clock import boot_ms
from roommood.shared.errors import PictureDamaged, PictureError, SourceError
from roommood.shared.opencv import Frame, cv2, file_name

_DEFAULT_RATE_HZ: Final = 30.0
_MJPG: Final = cv2.VideoWriter.fourcc(*"MJPG")
_JPEG: Final = cv2.VideoWriter.fourcc(*"JPEG")
_YUYV: Final = cv2.VideoWriter.fourcc(*"YUYV")
_START_OF_IMAGE: Final = b"\xff\xd8\xff"
_MOST_BYTES_BEFORE: Final = 4_096
# For the first JPEG: many cameras begin with damaged ones.
_FIRST_JPEG_MS: Final = 3_000.0
_MOST_CREDIBLE_AGE_MS: Final = 10_000.0
_GONE: Final = "gives no picture: unplugged?"


class Webcam(Source):
    """A camera by number or device path; MJPG as it comes if it has that, else pixels."""

    def __init__(
        self,
        device: int | str,
        *,
        rate_hz: float | None = None,
        width: int | None = None,
        height: int | None = None,
        sysfs: Path = SYSFS,
    ) -> None:
        self._device, self._sysfs = device, sysfs
        self._asked_hz, self._asked_size = rate_hz, (width, height)
        self._capture: cv2.VideoCapture | None = None
        self._gives_jpeg = False
        self._packed: PackedYuv | None = None
        self.description = f"webcam {device}"
        self.width, self.height, self.rate_hz = width or 0, height or 0, rate_hz or 0.0

    def open(self) -> None:
        self._thinner = Thinner(self._asked_hz)
        backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        device = self._device if isinstance(self._device, int) else file_name(self._device)
        self._capture = cv2.VideoCapture(device, backend)
        try:
            self._require_open()
            self._ask_for_mode()
            first = self._first_picture()
        except SourceError as error:
            self.close()
            if why := belongs_to_pi_camera(self._device, self._sysfs):
                raise SourceError(f"{self.description} {why}") from error
            raise
        self.width, self.height = first.width, first.height
        self.rate_hz = self._nominal_hz()

    def grab(self) -> Grabbed:
        capture = self._opened()
        while True:
            if not capture.grab():
                raise SourceError(f"{self.description} {_GONE}")
            self._captured_ms = _captured_ms(capture)
            if self._thinner.is_due(self._captured_ms):
                return Grabbed(self._captured_ms)

    def retrieve(self) -> Picture:
        frame = retrieve(self._opened(), self.description, _GONE)
        if self._gives_jpeg:
            return Picture.of_jpeg(_from_its_start(frame.tobytes()), self._captured_ms)
        if self._packed is not None:
            frame = self._unpacked(frame, self._packed)
        return picture_of(frame, self.description, self._captured_ms)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def interrupt(self) -> None:
        """Nothing to do: a webcam's read is never longer than its next frame, or 10 s."""

    def _require_open(self) -> None:
        if self._opened().isOpened():
            return
        path = self._device if isinstance(self._device, str) else f"/dev/video{self._device}"
        if sys.platform == "linux" and not Path(path).exists():
            present = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
            raise SourceError(f"there is no camera {path}; present: {present}. Is it plugged in?")
        raise SourceError(
            f"camera {path} cannot be opened: another program may be using it, or this user may "
            f"not (sudo usermod -aG video $USER), or it is not a camera's capture device"
        )

    def _ask_for_mode(self) -> None:
        capture = self._opened()
        capture.set(cv2.CAP_PROP_FOURCC, _MJPG)
        width, height = self._asked_size
        if width and height:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if self._asked_hz:
            capture.set(cv2.CAP_PROP_FPS, self._asked_hz)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        is_mjpg = int(capture.get(cv2.CAP_PROP_FOURCC)) in (_MJPG, _JPEG)
        self._gives_jpeg = is_mjpg and bool(capture.set(cv2.CAP_PROP_CONVERT_RGB, 0))
        if not is_mjpg:
            self._take_as_it_lies()

    def _take_as_it_lies(self) -> None:
        """YUV with luma in it is taken unconverted; the rest OpenCV converts to BGR."""
        capture = self._opened()
        packed = PACKED.get(int(capture.get(cv2.CAP_PROP_FOURCC)))
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 0 if packed else 1)
        self._packed = packed

    def _first_picture(self) -> Picture:
        if not self._gives_jpeg:
            return self.read()
        deadline_ms = boot_ms() + _FIRST_JPEG_MS
        while True:
            try:
                self.grab()
                return self.retrieve()
            except PictureError as error:
                if boot_ms() > deadline_ms:
                    return self._instead_of_jpeg(error)

    def _instead_of_jpeg(self, error: PictureError) -> Picture:
        """Pixels, if the camera has them: OpenCV makes a dark picture of what is no JPEG."""
        capture = self._opened()
        self._gives_jpeg = False
        capture.set(cv2.CAP_PROP_FOURCC, _YUYV)
        if int(capture.get(cv2.CAP_PROP_FOURCC)) in (_MJPG, _JPEG):
            raise SourceError(
                f"{self.description} says that it sends MJPG, but no JPEG comes ({error}): plug it "
                "into another port, without a hub, or give it a smaller width and height"
            )
        self._take_as_it_lies()
        return self.read()

    def _nominal_hz(self) -> float:
        device_hz = float(self._opened().get(cv2.CAP_PROP_FPS))
        if not 0 < device_hz <= 1000:
            device_hz = _DEFAULT_RATE_HZ
        return min(self._asked_hz or device_hz, device_hz)

    def _unpacked(self, frame: Frame, packed: PackedYuv) -> Frame:
        if frame.ndim != 3 or frame.shape[2] != 2 or frame.dtype != np.uint8:
            raise PictureDamaged(f"{frame.shape} {frame.dtype} where YUV is (H, W, 2)")
        pixels = frame.astype(np.uint8, copy=False)
        return packed.luma(pixels) if self.luma_suffices else packed.colours(pixels)

    def _opened(self) -> cv2.VideoCapture:
        if self._capture is None:
            raise SourceError(f"{self.description} is not open")
        return self._capture


def _captured_ms(capture: cv2.VideoCapture) -> float:
    """The driver's own time of the frame grabbed last (of the monotonic clock), if it tells one."""
    age_ms = time.monotonic() * 1000.0 - capture.get(cv2.CAP_PROP_POS_MSEC)
    return boot_ms() - (age_ms if 0 <= age_ms < _MOST_CREDIBLE_AGE_MS else 0.0)


def _from_its_start(data: bytes) -> bytes:
    """Without the bytes that some cameras put before a JPEG."""
    start = data.find(_START_OF_IMAGE, 0, _MOST_BYTES_BEFORE)
    return data[start:] if start > 0 else data
