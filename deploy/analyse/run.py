"""From a video file to people and expressions by second."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from roommood.camera_node.encoder import Encoder
from roommood.camera_node.sources.ffmpeg import FfmpegVideo
from roommood.camera_node.sources.pacing import Thinner
from roommood.camera_node.sources.picture import Picture
from roommood.inference_worker.vision.analysis import Analysis, Analyzer, open_analyzer
from roommood.shared.errors import ConfigError, PictureError, SourceError
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS

# What a camera node sends by default, so that the figures are those of a room.
_JPEG_QUALITY = 80
# Sound may go on after the last frame.
_CUT_OFF_MS = 2_000.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Second:
    """One second of a video: of `frames` looked at, the faces, and the sums of what the sure ones
    among them showed."""

    at_s: int
    frames: int = 0
    faces: int = 0
    sure: int = 0
    damaged: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * len(EXPRESSIONS))

    @property
    def people(self) -> float | None:
        """Faces in a frame on average; None where no frame could be looked at."""
        return self.faces / self.frames if self.frames else None

    @property
    def shares(self) -> dict[str, float] | None:
        """Of each expression, 0..1; None where no face was sure."""
        if not self.sure:
            return None
        return {name: total / self.sure for name, total in zip(EXPRESSIONS, self.sums, strict=True)}

    def add(self, analysis: Analysis) -> None:
        self.frames += 1
        self.faces += len(analysis.faces)
        for face in analysis.faces:
            if face.sure:
                self.sure += 1
                self.sums = [sum(pair) for pair in zip(self.sums, face.probabilities, strict=True)]


def analyse_video(
    path: Path | str,
    rate_hz: float = 5.0,
    *,
    rotation: int = 0,
    detector: str = "",
    classifier: str = "",
) -> list[Second]:
    """Each second of a video with the people and the expressions shown, `rate_hz` frames of it
    looked at; `rotation` is 0, 90, 180 or 270 degrees clockwise. The models are as the command
    takes them, "" for the shipped ones.

    Raises as `run_analysis`, and ValueError for another rotation.
    """
    return run_analysis(Path(path), open_analyzer(detector, classifier), rate_hz, rotation)


def run_analysis(
    path: Path,
    analyzer: Analyzer,
    rate_hz: float,
    rotation: int = 0,
    progress: Progress = no_progress,
) -> list[Second]:
    """Each second of the video's own time that has a frame, in order.

    Raises SourceError where the file is no video, ModelError where a model fails, ConfigError for a
    rate of 0 or less.
    """
    if not rate_hz > 0:
        raise ConfigError(f"rate_hz {rate_hz}: give more than 0 frames a second")
    seconds: dict[int, Second] = {}
    encoder = Encoder(quality=_JPEG_QUALITY)
    for at_ms, picture in pictures(path, rate_hz, progress):
        second = seconds.setdefault(int(at_ms / 1000), Second(int(at_ms / 1000)))
        try:
            analysis = analyzer.analyze(encoder.encode(picture).jpeg, rotation)
        except PictureError:
            second.damaged += 1
        else:
            second.add(analysis)
    return sorted(seconds.values(), key=lambda second: second.at_s)


def pictures(path: Path, rate_hz: float, progress: Progress) -> Iterator[tuple[float, Picture]]:
    """Pictures of a file with their times in it, in ms, `rate_hz` a second at most."""
    video = FfmpegVideo(str(path), f"video {path}")
    at_ms = 0.0
    if not video.is_open:
        raise SourceError(f"video {path} is damaged, or no video that FFmpeg reads")
    thinner, frames, video_ms = Thinner(rate_hz), 0, video.duration_ms
    try:
        while video.grab():
            frames += 1
            at_ms = video.at_ms
            if thinner.is_due(at_ms):
                yield at_ms, video.retrieve(at_ms)
                progress(round(at_ms), round(video_ms))
    finally:
        video.close()
    if not frames:
        raise SourceError(f"video {path} holds no frame that can be decoded")
    if video_ms - at_ms > _CUT_OFF_MS:
        _log.warning(
            "video %s is to last %.1f s, but nothing can be read after %.1f s: was it cut off?",
            path, video_ms / 1000, at_ms / 1000,
        )  # fmt: skip
