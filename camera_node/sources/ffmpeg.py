"""A video through FFmpeg, from a file or the network; MJPEG passes through undecoded."""

import contextlib
import os
from typing import Final

import numpy as np

from roommood.camera_node.sources.grabbed import picture_of, retrieve
from roommood.camera_node.sources.picture import Picture
from roommood.shared.errors import SourceError
from roommood.shared.opencv import Frame, cv2, file_name
from roommood.shared.process.memory import fill_allotted_memory
from roommood.shared.protocol.limits import MAX_FILE_PIXELS

# Seconds of silence on the network after which a stream is given up.
SILENT_S: Final = 5.0
# TCP where the camera has it; a server that has only UDP is still served.
os.environ.setdefault(
    "OPENCV_FFMPEG_CAPTURE_OPTIONS", f"rtsp_flags;prefer_tcp|timeout;{SILENT_S * 1e6:.0f}"
)
_OPEN_S: Final = 15.0
# Of packets without a picture: key frames may be this far apart.
_READ_S: Final = 90.0
DEFAULT_RATE_HZ: Final = 25.0
# Browsers' WebM claims 1000.
_MOST_CREDIBLE_HZ: Final = 240.0
_INTRA: Final = float(ord("I"))
_MJPG: Final = cv2.VideoWriter.fourcc(*"MJPG")
# From 4.13 on OpenCV does not notice that FFmpeg refuses to convert a frame, as each interlaced
# one: it hands out what memory happened to hold, an older picture maybe. From 4.14 on it gives
# opacity too, if asked, which a converted frame has everywhere; pyproject.toml leaves 4.13 out.
_WITH_OPACITY: Final = (
    [cv2.CAP_PROP_FORMAT, cv2.CV_8UC4]
    if tuple(map(int, cv2.__version__.split(".")[:2])) >= (4, 14)
    else []
)
_OPAQUE: Final = 255


class FfmpegVideo:
    """An open capture: grab, then retrieve or leave it."""

    def __init__(self, address: str, description: str) -> None:
        self._description = description
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(_OPEN_S * 1000)]
        timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(_READ_S * 1000)]
        name = file_name(address, description)
        self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, timeouts + _WITH_OPACITY)
        self._is_converted = False
        self.width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        # FFmpeg also opens a text that is named as a picture, of 0x0 pixels.
        self.is_open = self._capture.isOpened() and self.width * self.height > 0
        self._claimed_hz = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.gives_jpeg = self._is_upright_mjpeg() and self._capture.set(cv2.CAP_PROP_FORMAT, -1)
        if self.is_open and self.width * self.height > MAX_FILE_PIXELS:
            self.close()
            raise SourceError(
                f"{description} is {self.width}x{self.height} pixels; at most {MAX_FILE_PIXELS} "
                "are taken: use the camera's sub-stream"
            )

    @property
    def claimed_hz(self) -> float | None:
        """Frames a second as the stream claims; None where that is not credible."""
        return self._claimed_hz if 0 < self._claimed_hz <= _MOST_CREDIBLE_HZ else None

    @property
    def duration_ms(self) -> float:
        """How long a file says it is; 0 where it does not."""
        frames = float(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        return 1000.0 * frames / self._claimed_hz if frames > 0 < self._claimed_hz else 0.0

    @property
    def at_ms(self) -> float:
        """The time of the frame grabbed last, by the stream's own clock."""
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC))

    @property
    def is_key(self) -> bool:
        """Whether the frame grabbed last stands for itself."""
        return self._capture.get(cv2.CAP_PROP_FRAME_TYPE) == _INTRA

    def grab(self) -> bool:
        return self._capture.grab()

    def retrieve(self, captured_ms: float) -> Picture:
        """Raises PictureError for an empty or damaged frame, SourceError if there is none, or
        where FFmpeg does not convert it."""
        frame = self._retrieved()
        if self.gives_jpeg:
            return Picture.of_jpeg(frame.tobytes(), captured_ms)
        pixels = self._colours(frame) if frame.shape[2:] == (4,) else frame
        return picture_of(pixels, self._description, captured_ms, is_key=self.is_key)

    def close(self) -> None:
        self._capture.release()

    def _retrieved(self) -> Frame:
        # For the first one OpenCV allots the memory in which each is to come.
        may_be_stale = bool(_WITH_OPACITY) and not self._is_converted and not self.gives_jpeg
        with fill_allotted_memory() if may_be_stale else contextlib.nullcontext():
            return retrieve(
                self._capture, self._description, "gives a frame that cannot be decoded"
            )

    def _colours(self, frame: Frame) -> Frame:
        """(H, W, 3) BGR of (H, W, 4). Raises SourceError if the first one was not converted."""
        pixels = frame.astype(np.uint8, copy=False)
        if not self._is_converted and pixels[..., 3].min() < _OPAQUE:
            raise SourceError(
                f"{self._description} is interlaced, or transparent in places, of which OpenCV "
                f"{cv2.__version__} makes no picture: set the camera to progressive, or convert "
                "the file (ffmpeg -i FILE -vf yadif NEW.mp4)"
            )
        self._is_converted = True
        return cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR)

    def _is_upright_mjpeg(self) -> bool:
        """Where a file says how it must be turned, OpenCV does so with what it decodes."""
        is_mjpg = int(self._capture.get(cv2.CAP_PROP_FOURCC)) == _MJPG
        return is_mjpg and not self._capture.get(cv2.CAP_PROP_ORIENTATION_META)
