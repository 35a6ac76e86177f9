"""Network streams and video files through FFmpeg; MJPEG passes through undecoded."""

from pathlib import Path
from typing import Final

from roommood.camera_node.sources.address import redacted
from roommood.camera_node.sources.grabbed import picture_of, retrieve
from roommood.camera_node.sources.pacing import PacedSource, Pacer, Thinner
from roommood.camera_node.sources.picture import EndOfSource, Picture, Source, read_past_damage
from roommood.shared.clock import boot_ms
from roommood.shared.errors import SourceError
from roommood.shared.opencv import cv2
from roommood.shared.protocol.limits import MAX_FILE_PIXELS

_TIMEOUT_MS: Final = 5_000
_DEFAULT_RATE_HZ: Final = 25.0
_MJPG: Final = cv2.VideoWriter.fourcc(*"MJPG")


class _Video:
    """An open FFmpeg capture: grab, then retrieve or leave it."""

    def __init__(self, address: str, description: str) -> None:
        self._description = description
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS]
        timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
        self._capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, timeouts)
        self.is_open = self._capture.isOpened()
        self.width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate_hz = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate_hz = rate_hz if 0 < rate_hz <= 1000 else _DEFAULT_RATE_HZ
        is_mjpg = int(self._capture.get(cv2.CAP_PROP_FOURCC)) == _MJPG
        self.gives_jpeg = is_mjpg and bool(self._capture.set(cv2.CAP_PROP_FORMAT, -1))
        if self.is_open and not 0 < self.width * self.height <= MAX_FILE_PIXELS:
            self.close()
            raise SourceError(
                f"{description} is {self.width}x{self.height} pixels; at most {MAX_FILE_PIXELS} "
                "are taken: use the camera's sub-stream"
            )

    def grab(self) -> bool:
        return self._capture.grab()

    def retrieve(self, captured_ms: float) -> Picture:
        """Raises PictureError for an empty or damaged frame, SourceError if there is none."""
        frame = retrieve(self._capture, self._description, "gives a frame that cannot be decoded")
        if self.gives_jpeg:
            return Picture.of_jpeg(frame.tobytes(), captured_ms)
        return picture_of(frame, self._description, captured_ms)

    def close(self) -> None:
        self._capture.release()


class Stream(Source):
    """A camera on the network (RTSP, or HTTP with MJPEG or any video), read as fast as it comes."""

    def __init__(self, url: str, *, rate_hz: float | None = None) -> None:
        self._url = url
        self._asked_hz = rate_hz
        self._video: _Video | None = None
        self.description = f"stream {redacted(url)}"
        self.width, self.height, self.rate_hz = 0, 0, rate_hz or 0.0

    def open(self) -> None:
        video = _Video(self._url, self.description)
        if not video.is_open:
            raise SourceError(
                f"{self.description} gave no video within {_TIMEOUT_MS / 1000:g} s: is the address "
                "right, does it answer from this machine, are user and password right?"
            )
        self._video = video
        self._thinner = Thinner(self._asked_hz)
        self.width, self.height = video.width, video.height
        self.rate_hz = min(self._asked_hz or video.rate_hz, video.rate_hz)

    def read(self) -> Picture:
        return read_past_damage(self.description, self._read_once)

    def close(self) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None

    def interrupt(self) -> None:
        """Nothing to do: a read ends with the next frame, or after 5 s."""

    def _read_once(self) -> Picture:
        if self._video is None:
            raise SourceError(f"{self.description} is not open")
        while True:
            if not self._video.grab():
                raise SourceError(
                    f"{self.description} ended, or fell silent for {_TIMEOUT_MS / 1000:g} s"
                )
            captured_ms = boot_ms()
            if self._thinner.is_due(captured_ms):
                return self._video.retrieve(captured_ms)


class VideoFile(PacedSource):
    """A video file in its own time, over and over, or once with `loop=False`.

    A rate below the file's own leaves frames out, so that time in the picture stays real.
    """

    may_repeat = True

    def __init__(self, path: Path, *, rate_hz: float | None = None, loop: bool = True) -> None:
        self._path, self._loop = path, loop
        self._asked_hz = rate_hz
        self._video: _Video | None = None
        self.description = f"video {path}"
        self.width, self.height, self.rate_hz = 0, 0, rate_hz or 0.0

    def open(self) -> None:
        video = self._rewind()
        self.width, self.height = video.width, video.height
        self.rate_hz = min(self._asked_hz or video.rate_hz, video.rate_hz)
        self._pacer = Pacer(self.rate_hz)

    def read(self) -> Picture:
        captured_ms = self._wait()
        return read_past_damage(self.description, lambda: self._next(captured_ms))

    def close(self) -> None:
        super().close()
        self._release()

    def _release(self) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None

    def _rewind(self) -> _Video:
        self._release()
        video = _Video(str(self._path), self.description)
        if not video.is_open:
            raise SourceError(f"{self.description} is damaged, or no video that FFmpeg reads")
        self._video, self._position = video, 0
        self._thinner = Thinner(self._asked_hz)
        return video

    def _next(self, captured_ms: float) -> Picture:
        while True:
            video = self._grabbed()
            at_ms = self._position * 1000.0 / video.rate_hz
            self._position += 1
            if self._thinner.is_due(at_ms):
                return video.retrieve(captured_ms)

    def _grabbed(self) -> _Video:
        """The video with its next frame grabbed, from the start again where it has ended."""
        video = self._video
        if video is not None and video.grab():
            return video
        if self._position == 0:
            raise SourceError(f"{self.description} holds no frame that can be decoded")
        if not self._loop:
            raise EndOfSource(f"{self.description} has ended")
        video = self._rewind()
        if not video.grab():
            raise SourceError(f"{self.description} holds no frame that can be decoded")
        return video
