"""Where pictures come from: one small interface, and the spec string that picks its kind.

0, /dev/video0, webcam:0            a V4L2 webcam
picamera, picamera:1                a Raspberry Pi camera
rtsp://..., http://...              a network stream
party.mp4                           a video file, in its own time, over and over
portraits/, portrait.jpg            pictures at a fixed rate, sorted, over and over
simulated, simulated:DIR?people=2   pans over photographs with faces
"""

import contextlib
import math
import os
import re
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self
from urllib.parse import urlsplit

from roommood.shared.clock import boot_ms
from roommood.shared.errors import ConfigError, PictureError, SourceError
from roommood.shared.protocol.jpeg import read_header
from roommood.shared.protocol.limits import MAX_PICTURE_PIXELS, MIN_PICTURE_SIDE_PX

if TYPE_CHECKING:
    from roommood.camera_node.opencv import Pixels

PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
VIDEO_SUFFIXES: Final = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mjpeg", ".mjpg", ".mpg", ".mpeg", ".ts"}
    | {".ogv", ".wmv", ".flv", ".3gp", ".h264"}
)
_STREAM_SCHEMES: Final = frozenset({"rtsp", "rtsps", "http", "https"})
_MAX_RATE_HZ: Final = 1000.0
# Damaged pictures in a row (a loose cable, a starved USB hub) before the source counts as gone.
_MAX_DAMAGED: Final = 10
_KINDS: Final = (
    "give a webcam (0, /dev/video0), picamera, rtsp://... or http://..., "
    "a video file, a picture, a folder of pictures, or simulated"
)


class EndOfSource(SourceError):
    """A file or folder that plays once has given its last picture."""


class Interrupted(SourceError):
    """A read was told to end before its picture was due."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One captured picture: either raw `pixels` (H, W, 3) uint8 BGR, or a `jpeg` as it came.

    `captured_ms` is `shared.clock.boot_ms()` at capture; width and height are in pixels.
    """

    captured_ms: float
    width: int
    height: int
    pixels: "Pixels | None" = field(default=None, repr=False)
    jpeg: bytes | None = field(default=None, repr=False)

    @classmethod
    def of_pixels(cls, pixels: "Pixels", captured_ms: float) -> Self:
        height, width = pixels.shape[:2]
        return cls(captured_ms, width, height, pixels=pixels)

    @classmethod
    def of_jpeg(cls, jpeg: bytes, captured_ms: float) -> Self:
        """Raises PictureError if the bytes do not start as a JPEG within the limits does."""
        header = read_header(jpeg)
        return cls(captured_ms, header.width, header.height, jpeg=jpeg)


class Source(Protocol):
    """Gives pictures between `open` and `close`; may be opened again after `close`.

    Known once open: `width`, `height` in pixels (of the first picture, where they vary) and
    the nominal `rate_hz`. `description` never holds a password. `may_repeat`: the same picture
    over and over is nothing to be told. All calls but `interrupt` come from one thread at a
    time. As a context manager it opens and closes itself.
    """

    may_repeat: bool = False
    description: str
    width: int
    height: int
    rate_hz: float

    def open(self) -> None:
        """Raises SourceError, saying what is wrong and what to do."""

    def read(self) -> Picture:
        """The next picture, when it is due.

        Raises:
            EndOfSource: after the last one, where the source does not play for ever.
            SourceError: the source has gone away; `close`, then `open` may bring it back.
        """

    def close(self) -> None:
        """Lets the device go. Never raises; harmless when not open."""

    def interrupt(self) -> None:
        """From any thread: a `read` that only waits for its time raises Interrupted now."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(
    spec: str,
    *,
    rate_hz: float | None = None,
    width: int | None = None,
    height: int | None = None,
    loop: bool = True,
    name: str = "",
) -> Source:
    """The source that `spec` names, to be opened by `with` or `open()`.

    Args:
        rate_hz: pictures a second asked for; None means the source's own rate.
        width, height: size in pixels asked of a camera or of the simulation.
        loop: False plays files and folders once, then raises EndOfSource.
        name: the camera's name; simulated cameras of other names show other pictures.

    Raises:
        SourceError: nothing of this name, or not a kind of source that is known.
        ConfigError: a rate or size out of range.
    """
    _check(rate_hz, width, height)
    kind, _, rest = spec.partition(":")
    if kind.partition("?")[0] == "simulated":
        from roommood.camera_node.sources.simulated import parse_simulated

        return parse_simulated(spec, rate_hz=rate_hz, width=width, height=height, name=name)
    if kind == "picamera":
        from roommood.camera_node.sources.picamera import PiCamera

        number = _number(spec, rest or "0")
        return PiCamera(number, rate_hz=rate_hz, width=width, height=height)
    if kind == "webcam" or re.fullmatch("[0-9]+", spec) or spec.startswith("/dev/"):
        from roommood.camera_node.sources.webcam import Webcam

        device = (rest or "0") if kind == "webcam" else spec
        return Webcam(_device(spec, device), rate_hz=rate_hz, width=width, height=height)
    if "://" in spec:
        return _open_stream(spec, rate_hz)
    return _open_path(spec, rate_hz, loop)


def redacted(url: str) -> str:
    """The address without user, password and query, fit for logs and errors."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://..."
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _check(rate_hz: float | None, width: int | None, height: int | None) -> None:
    if rate_hz is not None and not 0 < rate_hz <= _MAX_RATE_HZ:
        raise ConfigError(f"rate_hz is {rate_hz}; use more than 0 and at most {_MAX_RATE_HZ:g}")
    for side, pixels in (("width", width), ("height", height)):
        if pixels is not None and pixels < MIN_PICTURE_SIDE_PX:
            raise ConfigError(f"{side} is {pixels}; use at least {MIN_PICTURE_SIDE_PX} pixels")
    if (width or 1) * (height or 1) > MAX_PICTURE_PIXELS:
        raise ConfigError(f"{width}x{height} is too large; use at most 3840x2160 pixels")
    if (width is None) != (height is None):
        raise ConfigError("width and height come together: give both or none")


def _number(spec: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,2}", text, re.ASCII):
        raise SourceError(f"source {spec!r}: {text!r} is not a camera's number; use for example 0")
    return int(text)


def _device(spec: str, device: str) -> int | str:
    return device if device.startswith("/dev/") else _number(spec, device)


def _open_stream(spec: str, rate_hz: float | None) -> Source:
    from roommood.camera_node.sources.stream import Stream

    try:
        parts = urlsplit(spec)
        is_known = parts.scheme in _STREAM_SCHEMES and bool(parts.hostname)
    except ValueError:
        is_known = False
    if not is_known:
        raise SourceError(f"source {redacted(spec)!r} is not a stream that is known: {_KINDS}")
    return Stream(spec, rate_hz=rate_hz)


def _open_path(spec: str, rate_hz: float | None, loop: bool) -> Source:
    path = Path(os.path.expanduser(spec))
    suffix = path.suffix.lower()
    try:
        is_folder = bool(spec) and stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:
        raise SourceError(f"source {spec!r} cannot be read ({error}): {_KINDS}") from error
    if is_folder or suffix in PICTURE_SUFFIXES:
        from roommood.camera_node.sources.pictures import PictureFolder

        return PictureFolder(path, rate_hz=rate_hz, loop=loop)
    if suffix in VIDEO_SUFFIXES:
        from roommood.camera_node.sources.stream import VideoFile

        return VideoFile(path, rate_hz=rate_hz, loop=loop)
    raise SourceError(f"source {spec!r} is neither a picture nor a video by its ending: {_KINDS}")


def read_past_damage(description: str, read: Callable[[], Picture]) -> Picture:
    """The first undamaged picture. Raises SourceError after 10 damaged ones in a row."""
    for _ in range(_MAX_DAMAGED):
        try:
            return read()
        except PictureError as error:
            last = error
    raise SourceError(f"{description} gives only damaged pictures: {last}") from last


class Pacer:
    """Ticks at a fixed rate without drift; a tick that comes late does not hurry the next."""

    def __init__(self, rate_hz: float, clock: Callable[[], float] = boot_ms) -> None:
        self._interval_ms = 1000.0 / rate_hz
        self._clock = clock
        self._due_ms = -math.inf
        # A lock that is held until `interrupt`: waiting for an Event costs several times as much.
        self._held = threading.Lock()
        self._held.acquire()

    def wait(self) -> float:
        """Waits for the next tick; its time in ms. Raises Interrupted."""
        now_ms = self._clock()
        if self._held.acquire(timeout=max(0.0, min(self._due_ms - now_ms, 1e9)) / 1000.0):
            self._held.release()
            raise Interrupted("the wait for the next picture was interrupted")
        now_ms = self._clock()
        late = now_ms - self._due_ms > self._interval_ms
        self._due_ms = (now_ms if late else self._due_ms) + self._interval_ms
        return now_ms

    def interrupt(self) -> None:
        with contextlib.suppress(RuntimeError):  # not held any more
            self._held.release()


class PacedSource(Source):
    """A source that sets its own pace: a picture is due at each tick."""

    _pacer: Pacer | None = None

    def close(self) -> None:
        self._pacer = None

    def interrupt(self) -> None:
        pacer = self._pacer
        if pacer is not None:
            pacer.interrupt()

    def _wait(self) -> float:
        """The next tick's time, in ms, when it has come. Raises SourceError if not open."""
        if self._pacer is None:
            raise SourceError(f"{self.description} is not open")
        return self._pacer.wait()


class Thinner:
    """Lets pictures through at a lower rate than they come, evenly on average."""

    def __init__(self, rate_hz: float | None) -> None:
        self._interval_ms = 0.0 if rate_hz is None else 1000.0 / rate_hz
        self._due_ms = -math.inf

    def is_due(self, at_ms: float) -> bool:
        """True if the picture of this time, in ms, is to be let through."""
        if at_ms < self._due_ms - self._interval_ms / 4:
            return False
        late = at_ms - self._due_ms > self._interval_ms
        self._due_ms = (at_ms if late else self._due_ms) + self._interval_ms
        return True
