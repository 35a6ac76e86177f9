"""What a camera sees, for the person who aims it: masks burnt in as they will be, faces marked.

Pictures live in memory and go to whoever looks; nothing is kept. The source is open only while
somebody looks.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from roommood.camera_node.capture import Capture
from roommood.camera_node.encoder import Encoder
from roommood.camera_node.masks import Mask, parse_masks
from roommood.camera_node.sources.devices import who_holds
from roommood.camera_node.sources.open import open_source
from roommood.camera_node.sources.picture import Source
from roommood.shared.errors import PictureError, SourceError
from roommood.shared.process.settings import PictureSettings

if TYPE_CHECKING:
    from roommood.shared.opencv import Pixels

# x, y, width, height in pixels of the upright picture.
Box = tuple[float, float, float, float]
FindFaces = Callable[["Pixels"], Sequence[Box]]

MOST_HZ: Final = 10.0
# Without anybody looking for so long the source is closed.
REST_AFTER_S: Final = 5.0
_PATIENCE_S: Final = 3.0
_QUALITY: Final = 80
_GREEN: Final = (80, 220, 80)


@dataclass(frozen=True, slots=True)
class View:
    """One picture as it is shown, unturned; `faces` is None where nobody looks for them."""

    jpeg: bytes = field(repr=False)
    width: int
    height: int
    faces: int | None


class Preview:
    """The newest picture for whoever looks. Methods may be called from any thread."""

    def __init__(self, settings: PictureSettings, find_faces: FindFaces | None = None) -> None:
        """Raises SourceError or ConfigError for a source that cannot be."""
        self._settings = settings
        self._find_faces = find_faces
        self._masks = parse_masks(settings.masks)
        self._lock = threading.Lock()
        self._came = threading.Event()
        self._asked_s = time.monotonic()
        self._view: View | None = None
        self._view_s = float("-inf")
        self._resting = self._stopping = False
        self._capture = Capture(self._source(), wake=self._came.set)

    def start(self) -> None:
        """Opens the source. Raises SourceError, which names who holds a device."""
        try:
            self._capture.start()
        except SourceError as error:
            holder = who_holds(self._settings.source)
            raise SourceError(f"{error}\n{holder}" if holder else str(error)) from error

    def stop(self) -> None:
        """Closes the source. Whoever looks after this is told that it has ended."""
        self._stopping = True
        # Nobody is in OpenCV any more once the lock is ours.
        with self._lock:
            self._capture.stop()

    @property
    def masks(self) -> list[list[list[float]]]:
        """As in the settings: polygons of x, y, as fractions of the unturned picture."""
        return [[[x, y] for x, y in mask.points] for mask in self._masks]

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which the picture must be turned to stand upright."""
        return self._settings.rotation

    @property
    def finds_faces(self) -> bool:
        return self._find_faces is not None

    @property
    def description(self) -> str:
        return self._capture.source.description

    @property
    def idle_s(self) -> float:
        """Seconds since somebody last looked."""
        return time.monotonic() - self._asked_s

    def set_masks(self, polygons: object) -> None:
        """From the next picture on. Raises ConfigError."""
        masks = parse_masks(polygons)
        with self._lock:
            self._masks = masks
            self._view = None

    def rest_if_idle(self) -> None:
        """To be called now and then: closes the source while nobody looks."""
        with self._lock:
            if not self._resting and self.idle_s > REST_AFTER_S:
                self._resting = True
                self._view = None
                self._capture.pause()

    def view(self) -> View:
        """A picture that is new, or a tenth of a second old at most.

        Raises SourceError where none comes, with what the source says.
        """
        with self._lock:
            self._asked_s = time.monotonic()
            if self._stopping:
                raise SourceError("the preview has ended")
            if self._resting:
                self._resting = False
                self._capture.resume()
            if self._view is None or time.monotonic() - self._view_s > 1 / MOST_HZ:
                self._view = self._next()
                self._view_s = time.monotonic()
            return self._view

    def _next(self) -> View:
        end_s = time.monotonic() + _PATIENCE_S
        while not self._stopping and (left_s := end_s - time.monotonic()) > 0:
            self._came.clear()
            picture = self._capture.take_newest()
            if picture is None:
                self._came.wait(min(left_s, 0.5))
                continue
            try:
                encoded = self._encoder(self._masks).encode(picture)
            except PictureError:
                continue
            self._capture.is_frame_wanted = False
            return self._with_faces(View(encoded.jpeg, encoded.width, encoded.height, None))
        raise SourceError(f"{self.description} gives no picture: {self._capture.status}")

    def _with_faces(self, view: View) -> View:
        """Faces are looked for in what a worker would get, and marked."""
        if self._find_faces is None:
            return view
        from roommood.shared.opencv import cv2, decode

        pixels = decode(view.jpeg)
        boxes = self._find_faces(turned(pixels, self._settings.rotation))
        for box in boxes:
            x, y, width, height = unturned(box, view.width, view.height, self._settings.rotation)
            corners = (round(x), round(y)), (round(x + width), round(y + height))
            cv2.rectangle(pixels, *corners, _GREEN, max(2, view.width // 320))
        done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        return View(jpeg.tobytes() if done else view.jpeg, view.width, view.height, len(boxes))

    def _encoder(self, masks: Sequence[Mask]) -> Encoder:
        width, height = self._settings.width, self._settings.height
        return Encoder(quality=_QUALITY, max_width=width, max_height=height, masks=masks)

    def _source(self) -> Source:
        settings = self._settings
        return open_source(
            settings.source,
            rate_hz=settings.rate_hz,
            width=settings.width,
            height=settings.height,
            loop=True,
            name="preview",
            password_file=settings.source_password_file,
            any_certificate=settings.source_any_certificate,
        )


def turned(pixels: "Pixels", rotation: int) -> "Pixels":
    """The picture turned clockwise by 0, 90, 180 or 270 degrees."""
    import numpy as np

    return np.ascontiguousarray(np.rot90(pixels, -rotation // 90))


def unturned(box: Box, width: int, height: int, rotation: int) -> Box:
    """A box of the turned picture in pixels of the unturned one, which is width x height."""
    x, y, w, h = box
    if rotation == 90:
        return y, height - x - w, h, w
    if rotation == 180:
        return width - x - w, height - y - h, w, h
    if rotation == 270:
        return width - y - h, x, h, w
    return box
