"""Video files, in their own time."""

import contextlib
import logging
from pathlib import Path
from typing import Final

from roommood.camera_node.sources.ffmpeg import DEFAULT_RATE_HZ
from roommood.camera_node.sources.file_video import FileVideo
from roommood.camera_node.sources.pacing import PacedSource, Pacer, Thinner
from roommood.camera_node.sources.picture import EndOfSource, Grabbed, Picture
from roommood.shared.errors import PictureError, SourceError

# Frames whose times are looked at where the file's claim of its rate is not credible.
_MEASURED_FRAMES: Final = 30
# Who waits longer for a frame is told.
_LONG_WAIT_MS: Final = 10_000.0
_log = logging.getLogger("camera_node")


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
        self._video: FileVideo | None = None
        # When the file's time 0 of this round is due, and when the frame shown last was.
        self._zero_ms: float | None = None
        self._shown_ms: float | None = None
        self._has_told = False
        self.description = description or f"video {address}"
        self.width, self.height, self.rate_hz = 0, 0, rate_hz or 0.0

    def open(self) -> None:
        video = self._rewind()
        self.width, self.height = video.width, video.height
        self._own_hz = video.claimed_hz or self._measured_hz(video)
        self.rate_hz = min(self._asked_hz or self._own_hz, self._own_hz)
        self._require_pictures(video)
        self._pacer = Pacer(self.rate_hz)
        self._rewind()
        self._zero_ms = self._shown_ms = None

    def grab(self) -> Grabbed:
        pacer = self._paced()
        while True:
            video = self._grabbed()
            at_ms = video.at_ms
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
        if (wait_ms := due_ms - pacer.now_ms()) > _LONG_WAIT_MS:
            _log.info(
                "%s: its next frame is due in %.0f s, by its times",
                self.description,
                wait_ms / 1000,
            )
        now_ms = pacer.wait_until(due_ms)
        if now_ms - due_ms > 1000.0 / self.rate_hz:
            self._zero_ms = now_ms - at_ms
        self._shown_ms = now_ms
        return now_ms

    def _grabbed(self) -> FileVideo:
        """The video with its next frame grabbed, from the start again where it has ended."""
        video = self._video or self._rewind()
        if video.grab():
            return video
        if not video.frames:
            raise SourceError(f"{self.description} holds no frame that can be decoded")
        self._tell_of_damage(video)
        if not self._loop:
            raise EndOfSource(f"{self.description} has ended")
        if self._zero_ms is not None:
            self._zero_ms += video.at_ms + 1000.0 / self._own_hz
        video = self._rewind()
        if not video.grab():
            raise SourceError(f"{self.description} holds no frame that can be decoded")
        return video

    def _rewind(self) -> FileVideo:
        self._release()
        self._video = FileVideo(self._address, self.description)
        self._thinner = Thinner(self._asked_hz)
        return self._video

    def _require_pictures(self, video: FileVideo) -> None:
        """Raises SourceError where frames come, but no picture can be made of them."""
        with contextlib.suppress(PictureError):
            if video.grab():
                video.retrieve(0.0)

    def _tell_of_damage(self, video: FileVideo) -> None:
        if (damage := video.damage) and not self._has_told:
            _log.warning("%s %s", self.description, damage)
        self._has_told = True

    def _measured_hz(self, video: FileVideo) -> float:
        times: list[float] = []
        while len(times) < _MEASURED_FRAMES and video.grab():
            times.append(video.at_ms)
        spent_ms = times[-1] - times[0] if times else 0.0
        return 1000.0 * (len(times) - 1) / spent_ms if spent_ms > 0 else DEFAULT_RATE_HZ

    def _release(self) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None
