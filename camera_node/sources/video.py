"""Video files, in their own time."""

from pathlib import Path
from typing import Final

from roommood.camera_node.sources.ffmpeg import DEFAULT_RATE_HZ, FfmpegVideo
from roommood.camera_node.sources.pacing import PacedSource, Pacer, Thinner
from roommood.camera_node.sources.picture import EndOfSource, Grabbed, Picture
from roommood.shared.errors import SourceError

# Frames whose times are looked at where the file's claim of its rate is not credible.
_MEASURED_FRAMES: Final = 30


class VideoFile(PacedSource):
    """A video file in its own time, over and over, or once with `loop=False`.

    The time of a frame is what the file says, not its number over a rate: browsers' recordings
    claim 1000 frames a second, and telephones' vary. A rate below the file's own leaves frames
    out, so that time in the picture stays real.
    """

    may_repeat = True

    def __init__(
        self,
        address: Path | str,
        *,
        rate_hz: float | None = None,
        loop: bool = True,
        description: str = "",
    ) -> None:
        """`address` may be one with a password in it; then `description` must be given."""
        self._address, self._loop = str(address), loop
        self._asked_hz = rate_hz
        self._video: FfmpegVideo | None = None
        # When the file's time 0 of this round is due, when the frame shown last was; and the time
        # in the file of that grabbed last.
        self._zero_ms: float | None = None
        self._shown_ms: float | None = None
        self._last_at_ms: float | None = None
        self.description = description or f"video {address}"
        self.width, self.height, self.rate_hz = 0, 0, rate_hz or 0.0

    def open(self) -> None:
        video = self._rewind()
        self.width, self.height = video.width, video.height
        self._own_hz = video.claimed_hz or self._measured_hz(video)
        self.rate_hz = min(self._asked_hz or self._own_hz, self._own_hz)
        self._pacer = Pacer(self.rate_hz)
        self._rewind()
        self._zero_ms = self._shown_ms = None

    def grab(self) -> Grabbed:
        pacer = self._paced()
        while True:
            video = self._grabbed()
            at_ms = self._position_ms(video)
            if self._thinner.is_due(at_ms):
                return Grabbed(self._wait_for(at_ms, pacer), video.is_key)

    def retrieve(self) -> Picture:
        if self._video is None or self._shown_ms is None:
            raise SourceError(f"{self.description} is not open")
        return self._video.retrieve(self._shown_ms)

    def close(self) -> None:
        super().close()
        self._release()

    def _wait_for(self, at_ms: float, pacer: Pacer) -> float:
        """Waits until the file's time is due; the time then. Who comes late does not hurry."""
        if self._zero_ms is None:
            self._zero_ms = pacer.now_ms() - at_ms
        due_ms = self._zero_ms + at_ms
        if self._asked_hz and self._shown_ms is not None:
            due_ms = max(due_ms, self._shown_ms + 0.9 * 1000.0 / self._asked_hz)
        now_ms = pacer.wait_until(due_ms)
        if now_ms - due_ms > 1000.0 / self.rate_hz:
            self._zero_ms = now_ms - at_ms
        self._shown_ms = now_ms
        return now_ms

    def _position_ms(self, video: FfmpegVideo) -> float:
        """The frame's time in the file, which goes forward even where the file's does not."""
        at_ms = video.at_ms
        if self._last_at_ms is not None and at_ms <= self._last_at_ms:
            at_ms = self._last_at_ms + 1000.0 / self._own_hz
        self._last_at_ms = at_ms
        return at_ms

    def _grabbed(self) -> FfmpegVideo:
        """The video with its next frame grabbed, from the start again where it has ended."""
        video = self._video
        if video is not None and video.grab():
            return video
        if self._last_at_ms is None:
            raise SourceError(f"{self.description} holds no frame that can be decoded")
        if not self._loop:
            raise EndOfSource(f"{self.description} has ended")
        if self._zero_ms is not None:
            self._zero_ms += self._last_at_ms + 1000.0 / self._own_hz
        video = self._rewind()
        if not video.grab():
            raise SourceError(f"{self.description} holds no frame that can be decoded")
        return video

    def _rewind(self) -> FfmpegVideo:
        self._release()
        video = FfmpegVideo(self._address, self.description)
        if not video.is_open:
            raise SourceError(f"{self.description} is damaged, or no video that FFmpeg reads")
        self._video = video
        self._last_at_ms = None
        self._thinner = Thinner(self._asked_hz)
        return video

    def _measured_hz(self, video: FfmpegVideo) -> float:
        times: list[float] = []
        while len(times) < _MEASURED_FRAMES and video.grab():
            times.append(video.at_ms)
        spent_ms = times[-1] - times[0] if times else 0.0
        return 1000.0 * (len(times) - 1) / spent_ms if spent_ms > 0 else DEFAULT_RATE_HZ

    def _release(self) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None
