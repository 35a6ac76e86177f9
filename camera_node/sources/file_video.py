"""A video that has an end, from its first frame to its last."""

from pathlib import Path
from typing import Final

from roommood.camera_node.sources.ffmpeg import DEFAULT_RATE_HZ, FfmpegVideo
from roommood.shared.clock import boot_ms
from roommood.shared.errors import SourceError
from roommood.shared.opencv import cv2

# Packets in a row that give no frame, after which it has ended; no longer than this, since a server
# that is gone is waited for at each.
_MOST_DAMAGED: Final = 100
_PATIENCE_MS: Final = 2_000.0
# Sound may go on after the last frame.
_CUT_OFF_MS: Final = 2_000.0


class FileVideo(FfmpegVideo):
    """A video, once through.

    What is damaged is passed over. The times of frames go forward also where the file's do not: a
    bare H.264 stream has none, and recordings that were put together begin anew.
    """

    def __init__(self, address: str, description: str) -> None:
        """Raises SourceError if it is no video."""
        super().__init__(address, description)
        if not self.is_open:
            self.close()
            raise SourceError(f"{description} {_why_no_video(address)}")
        self._interval_ms = 1000.0 / (self.claimed_hz or DEFAULT_RATE_HZ)
        self._longest_ms = self._interval_ms
        self._first_ms = 0.0
        self._at_ms: float | None = None
        self.frames = self._gaps = 0

    def grab(self) -> bool:
        """The next frame that can be decoded; False after the last."""
        until_ms = boot_ms() + _PATIENCE_MS
        for attempt in range(_MOST_DAMAGED):
            if super().grab():
                self._gaps += attempt > 0
                self._note_time(super().at_ms)
                return True
            if boot_ms() > until_ms:
                break
        return False

    @property
    def at_ms(self) -> float:
        """The time of the frame grabbed last, from the start of the video."""
        return self._at_ms or 0.0

    @property
    def length_ms(self) -> float:
        """How long it says it is, once a frame was grabbed; 0 where it does not.

        A Matroska file that begins late counts from 0 all the same.
        """
        duration_ms = self.duration_ms
        return duration_ms - self._first_ms if self._first_ms < duration_ms else duration_ms

    @property
    def damage(self) -> str:
        """After the last frame: what is wrong with it, as the rest of a sentence; "" if nothing."""
        if self._missing_ms > _CUT_OFF_MS:
            return (
                f"is to last {self.length_ms / 1000:.1f} s, but nothing can be read after "
                f"{self.at_ms / 1000:.1f} s: was it cut off?"
            )
        places = "one place" if self._gaps == 1 else f"{self._gaps} places"
        return f"gives no frame at {places}, then goes on: is it damaged?" if self._gaps else ""

    @property
    def _missing_ms(self) -> float:
        """After the last frame, which lasts as long as any."""
        return self.length_ms - self.at_ms - self._longest_ms

    def _note_time(self, at_ms: float) -> None:
        if self._at_ms is None:
            # Below 0 where the file gives no time.
            self._first_ms = max(0.0, self._capture.get(cv2.CAP_PROP_PTS)) * self._interval_ms
        elif at_ms <= self._at_ms:
            at_ms = self._at_ms + self._interval_ms
        if self._at_ms is not None:
            self._longest_ms = max(self._longest_ms, at_ms - self._at_ms)
        self._at_ms = at_ms
        self.frames += 1


def _why_no_video(address: str) -> str:
    """A sentence that goes on after the description; the address may be one of the network."""
    if "://" not in address:
        try:
            with Path(address).open("rb") as file:
                if not file.read(1):
                    return "is empty"
        except OSError as error:
            return f"cannot be read: {error.strerror}"
    return "is damaged or cut off, or holds no video that FFmpeg reads"
