"""A camera that sends JPEGs over HTTP: as a stream of them, or one at each asking."""

import http.client
import re
from typing import Final

import urllib3

from roommood.camera_node.interval import Interval
from roommood.camera_node.sources.network import answers
from roommood.camera_node.sources.network.address import Address
from roommood.camera_node.sources.network.http import Answer, HttpClient
from roommood.camera_node.sources.network.multipart import PictureReader
from roommood.camera_node.sources.network.stream import Stream
from roommood.camera_node.sources.pacing import Pacer, Thinner
from roommood.camera_node.sources.picture import Grabbed, Interrupted, Picture, Source
from roommood.camera_node.sources.pictures import decoded
from roommood.camera_node.sources.video import VideoFile
from roommood.shared.clock import boot_ms
from roommood.shared.errors import SourceError
from roommood.shared.protocol.jpeg import is_jpeg
from roommood.shared.protocol.limits import MAX_FILE_BYTES

# Seconds that may pass without a picture: the first, and later ones at the least and the most;
# between these a few times the longest that it took so far.
_FIRST_S: Final = 30.0
_LEAST_S, _MOST_S = 5.0, 60.0
_LONGEST: Final = 4.0
_FORGETS: Final = 0.95
_SNAPSHOT_HZ: Final = 2.0
_STREAM_HZ: Final = 10.0
_PARTS: Final = re.compile(r"multipart/.*|video/.*jpe?g.*|image/x-.*jpe?g.*")
_FAILURES: Final = (OSError, ValueError, urllib3.exceptions.HTTPError, http.client.HTTPException)


class HttpCamera(Source):
    """Whatever answers at an http address; what is no JPEG is left to FFmpeg."""

    def __init__(
        self, address: Address, *, rate_hz: float | None = None, any_certificate: bool = False
    ) -> None:
        self._address, self._asked_hz = address, rate_hz
        self._client = HttpClient(address, any_certificate=any_certificate)
        self._feed: _PictureStream | _Snapshots | Stream | VideoFile | None = None
        # The first picture, read to know its size: until it is grabbed, and from then to the next.
        self._first: Picture | None = None
        self._grabbed: Picture | None = None
        self.description = f"stream {address.shown}"
        self.width, self.height, self.rate_hz = 0, 0, rate_hz or 0.0

    def open(self) -> None:
        self._feed = feed = self._answering()
        try:
            if isinstance(feed, Stream):
                self._open_video(feed)
                return
            self._first = first = self.read()
        except BaseException:
            self.close()
            raise
        self.width, self.height, self.rate_hz = first.width, first.height, feed.rate_hz

    def grab(self) -> Grabbed:
        if self._feed is None:
            raise SourceError(f"{self.description} is not open")
        self._grabbed, self._first = self._first, None
        if self._grabbed is not None:
            return Grabbed(self._grabbed.captured_ms)
        try:
            grabbed = self._feed.grab()
        except _OnlyOne:
            self._feed.close()
            self._feed = _Snapshots(self.description, None, self._client, self._asked_hz)
            grabbed = self._feed.grab()
        self.rate_hz = self._feed.rate_hz
        return grabbed

    def retrieve(self) -> Picture:
        if self._grabbed is not None:
            return self._grabbed
        if self._feed is None:
            raise SourceError(f"{self.description} is not open")
        return self._feed.retrieve()

    def close(self) -> None:
        feed, self._feed = self._feed, None
        self._first = self._grabbed = None
        if feed is not None:
            feed.close()

    def interrupt(self) -> None:
        """From any thread: a read that waits ends now."""
        if self._feed is not None:
            self._feed.interrupt()

    def _open_video(self, stream: Stream) -> None:
        """A clip that has an end plays in its own time, over and over, as a file does."""
        stream.open()
        video: Stream | VideoFile = stream
        if stream.is_finite:
            stream.close()
            video = VideoFile(stream.address, rate_hz=self._asked_hz, description=self.description)
            video.open()
        self._feed, self.may_repeat = video, video.may_repeat
        self.width, self.height, self.rate_hz = video.width, video.height, video.rate_hz

    def _answering(self) -> "_PictureStream | _Snapshots | Stream":
        """By what the answer is called and how it begins."""
        answer = self._client.get(self.description)
        kind, start = answer.kind, self._start_of(answer)
        if _is_in_parts(kind, start):
            return _PictureStream(self.description, answer, self._asked_hz)
        if kind.startswith("image/") or (is_jpeg(start) and answer.headers("Content-Length")):
            return _Snapshots(self.description, answer, self._client, self._asked_hz)
        if is_jpeg(start):
            return _PictureStream(self.description, answer, self._asked_hz)
        answer.close()
        if why := _why_no_picture(kind, start):
            raise SourceError(f"{self.description} {why}")
        return Stream(self._address, rate_hz=self._asked_hz, url=answer.url)

    def _start_of(self, answer: Answer) -> bytes:
        answer.wait_at_most(_FIRST_S)
        try:
            return answer.peek()
        except _FAILURES as error:
            answer.close()
            raise SourceError(f"{self.description} {answers.of_error(error, _FIRST_S)}") from error


class _OnlyOne(SourceError):
    """An answer that ended, in order, after its first picture."""


class _PictureStream:
    """JPEGs one after the other in one answer."""

    def __init__(self, description: str, answer: Answer, asked_hz: float | None) -> None:
        self._description, self._answer = description, answer
        self._reader = PictureReader(self._received)
        self._thinner = Thinner(asked_hz)
        self._asked_hz = asked_hz
        self._interrupted = False
        self._patience_s = _FIRST_S
        self._longest_ms = 0.0
        self._came_ms = boot_ms()
        self._interval = Interval()
        self._count = 0

    @property
    def rate_hz(self) -> float:
        average_ms = self._interval.average_ms
        own_hz = 1000.0 / average_ms if average_ms > 0 else _STREAM_HZ
        return min(self._asked_hz or own_hz, own_hz)

    def grab(self) -> Grabbed:
        while True:
            self._data = self._next()
            now_ms = boot_ms()
            self._note_arrival(now_ms)
            if self._thinner.is_due(now_ms):
                return Grabbed(now_ms)

    def retrieve(self) -> Picture:
        return Picture.of_jpeg(self._data, self._came_ms)

    def close(self) -> None:
        self._answer.close()

    def interrupt(self) -> None:
        self._interrupted = True
        self._answer.interrupt()

    def _next(self) -> bytes:
        try:
            data = self._reader.next()
        except _FAILURES as error:
            raise self._ended(error) from error
        if data is None:
            raise self._ended(None)
        return data

    def _received(self) -> bytes:
        """What has come. Bytes without a picture are silence, too."""
        silent_ms = boot_ms() - self._came_ms
        if silent_ms > self._patience_s * 1000.0:
            raise TimeoutError
        self._answer.wait_at_most(self._patience_s)
        return self._answer.read()

    def _note_arrival(self, now_ms: float) -> None:
        took_ms, self._came_ms = now_ms - self._came_ms, now_ms
        self._interval.note(now_ms, now_ms)
        self._count += 1
        if self._count == 1:
            return
        self._longest_ms = max(self._longest_ms * _FORGETS, took_ms)
        self._patience_s = min(max(_LEAST_S, _LONGEST * self._longest_ms / 1000.0), _MOST_S)

    def _ended(self, error: Exception | None) -> SourceError:
        if self._interrupted:
            return Interrupted("the wait for the next picture was interrupted")
        if not self._count and self._reader.others:
            only = ", ".join(sorted(self._reader.others))
            if all(kind.startswith("audio/") for kind in self._reader.others):
                return SourceError(f"{self._description} {answers.AUDIO_ONLY}")
            return SourceError(f"{self._description} sends no JPEG, only {only}")
        if error is None and self._count == 1:
            return _OnlyOne(f"{self._description} ended after one picture")
        if error is None or not _is_silence(error):
            why = f" ({error})" if error is not None else ""
            return SourceError(f"{self._description} ended{why}")
        return SourceError(f"{self._description} fell silent for {self._patience_s:.0f} s")


class _Snapshots:
    """One picture an answer, fetched again and again. `answer` is the first, where it is there."""

    def __init__(
        self,
        description: str,
        answer: Answer | None,
        client: HttpClient,
        asked_hz: float | None,
    ) -> None:
        self._description, self._client = description, client
        self._answer = answer
        self.rate_hz = asked_hz or _SNAPSHOT_HZ
        self._pacer = Pacer(self.rate_hz)

    def grab(self) -> Grabbed:
        return Grabbed(self._pacer.wait())

    def retrieve(self) -> Picture:
        answer, self._answer = self._answer or self._client.get(self._description), None
        try:
            data = _picture_in(answer)
        except _FAILURES as error:
            raise SourceError(f"{self._description} {answers.of_error(error, _LEAST_S)}") from error
        finally:
            answer.close()
        if is_jpeg(data):
            return Picture.of_jpeg(data, boot_ms())
        if answer.kind.startswith("text/"):
            raise SourceError(f"{self._description} {answers.WEB_PAGE}")
        return Picture.of_pixels(decoded(data), boot_ms())

    def close(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    def interrupt(self) -> None:
        self._pacer.interrupt()


def _why_no_picture(kind: str, start: bytes) -> str:
    """Empty for what FFmpeg may make something of."""
    if kind.startswith("audio/") and "mpegurl" not in kind:
        return answers.AUDIO_ONLY
    if kind in ("text/html", "application/xhtml+xml") or start.lstrip()[:1] == b"<":
        return answers.WEB_PAGE
    return "" if start else "answers, but sends nothing"


def _is_in_parts(kind: str, start: bytes) -> bool:
    return _PARTS.fullmatch(kind) is not None or start.lstrip()[:2] == b"--"


def _picture_in(answer: Answer) -> bytes:
    """The first JPEG up to its own end, whatever is told of its length and whether or not more
    follows; else the whole body. Raises OSError, the client's errors, PictureError, or SourceError
    for what is far too long."""
    answer.wait_at_most(_LEAST_S)
    until_ms = boot_ms() + _FIRST_S * 1000.0

    def read() -> bytes:
        if boot_ms() > until_ms:
            raise SourceError(f"a snapshot that takes more than {_FIRST_S:g} s")
        return answer.read()

    start = answer.peek()
    if is_jpeg(start):
        return PictureReader(read).next() or b""
    if _is_in_parts(answer.kind, start):
        return _only_part(PictureReader(read))
    body = bytearray()
    while data := read():
        body += data
        if len(body) > MAX_FILE_BYTES:
            raise SourceError(f"a snapshot of more than {MAX_FILE_BYTES} bytes")
    return bytes(body)


def _only_part(reader: PictureReader) -> bytes:
    picture = reader.next() or b""
    if picture and reader.next() is not None:
        raise SourceError("sends a stream where it sent one picture an answer")
    return picture


def _is_silence(error: BaseException) -> bool:
    return isinstance(error, TimeoutError | urllib3.exceptions.ReadTimeoutError)
