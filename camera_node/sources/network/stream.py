"""Network streams through FFmpeg: RTSP, and whatever comes over HTTP that is no JPEG."""

import contextlib
import logging
import math
import threading
from collections.abc import Iterator
from typing import Final

from roommood.camera_node.sources.ffmpeg import DEFAULT_RATE_HZ, SILENT_S, FfmpegVideo
from roommood.camera_node.sources.network.address import Address
from roommood.camera_node.sources.network.names import require_name
from roommood.camera_node.sources.network.rtsp import why_no_video
from roommood.camera_node.sources.network.stream_clock import BEHIND_MS, StreamClock
from roommood.camera_node.sources.pacing import Thinner
from roommood.camera_node.sources.picture import Grabbed, Picture, Source
from roommood.shared.clock import boot_ms
from roommood.shared.errors import SourceError

_TELL_AFTER_S: Final = 3.0
_FAR_APART_MS: Final = 5_000.0
_MOST_PASSED_OVER: Final = 150
_log = logging.getLogger("camera_node")


class TooFast(SourceError):
    """A stream that this machine cannot keep up with."""


class Stream(Source):
    """A camera's stream, read as fast as it comes; pictures are dated by the stream's own clock."""

    def __init__(self, address: Address, *, rate_hz: float | None = None, url: str = "") -> None:
        self._address, self._url = address, url
        self._asked_hz = rate_hz
        self._video: FfmpegVideo | None = None
        self._was_told_of_keys = False
        self.description = f"stream {address.shown}"
        self.width, self.height, self.rate_hz = 0, 0, rate_hz or 0.0

    def open(self) -> None:
        require_name(self._url or self._address.url, self.description)
        with self._told_while_waiting():
            video = FfmpegVideo(self.address, self.description)
        if not video.is_open:
            raise SourceError(f"{self.description} {why_no_video(self._address)}")
        self._video = video
        self._thinner, self._clock = Thinner(self._asked_hz), StreamClock()
        self._is_first, self._passed_over = True, 0
        self._key_ms: float | None = None
        self._key_given_ms = -math.inf
        self.width, self.height = video.width, video.height
        own_hz = video.claimed_hz or DEFAULT_RATE_HZ
        self.rate_hz = min(self._asked_hz or own_hz, own_hz)

    @property
    def address(self) -> str:
        """As FFmpeg wants it; never to be shown."""
        return self._address.with_credentials(self._url)

    @property
    def is_finite(self) -> bool:
        """Once open: whether it says how long it is, as a clip does and no camera."""
        return self._video is not None and self._video.duration_ms > 0

    def grab(self) -> Grabbed:
        if self._video is None:
            raise SourceError(f"{self.description} is not open")
        while True:
            self._grab(self._video)
            # Ours from here on: the stream's own clock may be set while it runs.
            at_ms = self._clock.captured_ms(self._video.at_ms, boot_ms())
            self._captured_ms = at_ms
            self._note_key_frames(self._video, at_ms)
            if self._was_silent():
                raise self._silent()
            if self._clock.is_too_slow:
                raise self._too_fast()
            if self._is_fresh() and (self._thinner.is_due(at_ms) or self._is_key_due(at_ms)):
                return Grabbed(self._captured_ms, self._video.is_key)

    def retrieve(self) -> Picture:
        if self._video is None:
            raise SourceError(f"{self.description} is not open")
        return self._video.retrieve(self._captured_ms)

    def close(self) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None

    def interrupt(self) -> None:
        """Nothing to do: a read ends with the next frame, or after 5 s without a packet."""

    def _too_fast(self) -> TooFast:
        return TooFast(
            f"{self.description} is {self._clock.behind_ms / 1000:.1f} s ahead of what is "
            "decoded of it: too fast for this machine or its network; use the camera's "
            "sub-stream, or set a lower rate or size there"
        )

    def _is_key_due(self, at_ms: float) -> bool:
        """Key frames tell whether the camera is frozen: one a second, whatever the rate."""
        if self._video is None or not self._video.is_key or at_ms < self._key_given_ms + 1000.0:
            return False
        self._key_given_ms = at_ms
        self._thinner.given(at_ms)
        return True

    def _is_fresh(self) -> bool:
        """False for what waited while the stream was opened; bounded, for a clock that tells
        nothing."""
        self._passed_over += 1
        return self._clock.is_settled or self._passed_over > _MOST_PASSED_OVER

    def _grab(self, video: FfmpegVideo) -> None:
        waiting = self._told_while_waiting() if self._is_first else contextlib.nullcontext()
        with waiting:
            began_ms = boot_ms()
            if not video.grab():
                raise self._silent()
            self._waited_ms = boot_ms() - began_ms
        self._is_first = False

    def _was_silent(self) -> bool:
        """A decoder gives what it still holds, one frame for each silence of `SILENT_S`: old ones,
        where those of a slow camera are new."""
        return self._waited_ms > 900.0 * SILENT_S and self._clock.behind_ms > BEHIND_MS

    def _silent(self) -> SourceError:
        return SourceError(f"{self.description} ended, or fell silent for {SILENT_S:g} s")

    @contextlib.contextmanager
    def _told_while_waiting(self) -> Iterator[None]:
        began_ms = boot_ms()
        say = f"{self.description}: waiting for its first picture, up to its next key frame"
        timer = threading.Timer(_TELL_AFTER_S, _log.info, [say])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
        waited_s = (boot_ms() - began_ms) / 1000.0
        if waited_s > _TELL_AFTER_S:
            _log.info("%s: waited for %.1f s", self.description, waited_s)

    def _note_key_frames(self, video: FfmpegVideo, at_ms: float) -> None:
        """Names their interval once where it is long: so long a loss of a packet shows."""
        if self._was_told_of_keys or video.gives_jpeg or not video.is_key:
            return
        before_ms, self._key_ms = self._key_ms, at_ms
        apart_ms = 0.0 if before_ms is None else at_ms - before_ms
        if apart_ms > _FAR_APART_MS:
            self._was_told_of_keys = True
            _log.warning(
                "%s: its key frames are %.1f s apart, and after a loss no picture comes until the "
                "next: set their interval (GOP, I-frame) to 1 or 2 s in the camera",
                self.description,
                apart_ms / 1000.0,
            )
