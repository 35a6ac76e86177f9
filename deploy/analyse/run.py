"""From a video file to people and expressions by second."""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from roommood.camera_node.encoder import Encoder
from roommood.camera_node.sources.file_video import FileVideo
from roommood.camera_node.sources.pacing import Thinner
from roommood.deploy.analyse.given import path_of
from roommood.inference_worker.vision.analysis import Analysis, Analyzer, open_analyzer
from roommood.shared.errors import ConfigError, PictureError, SourceError
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS

# What a camera node sends by default, so that the figures are those of a room.
_JPEG_QUALITY = 80
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

    Raises as `run_analysis`, SourceError for an address, TypeError for what is no path, and
    ValueError for another rotation.
    """
    return run_analysis(path_of(path), open_analyzer(detector, classifier), rate_hz, rotation)


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
    with closing(FileVideo(str(path), f"video {path}")) as video:
        for at_ms in due_times(video, rate_hz):
            second = seconds.setdefault(int(at_ms / 1000), Second(int(at_ms / 1000)))
            try:
                encoded = encoder.encode(video.retrieve(at_ms))
                second.add(analyzer.analyze(encoded.jpeg, rotation))
            except PictureError:
                second.damaged += 1
            progress(round(at_ms), round(video.length_ms))
        if not video.frames:
            raise SourceError(f"video {path} holds no frame that can be decoded")
        if video.damage:
            _log.warning("video %s %s", path, video.damage)
    if damaged := sum(second.damaged for second in seconds.values()):
        _log.warning("video %s: %d pictures of it are damaged and left out", path, damaged)
    return sorted(seconds.values(), key=lambda second: second.at_s)


def due_times(video: FileVideo, rate_hz: float) -> Iterator[float]:
    """Times in the video, in ms, of frames that are grabbed and looked at, `rate_hz` a second at
    most."""
    thinner = Thinner(rate_hz)
    while video.grab():
        if thinner.is_due(video.at_ms):
            yield video.at_ms
