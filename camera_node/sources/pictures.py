"""A folder of pictures, or one picture, shown at a fixed rate; JPEG files pass through."""

import logging
from pathlib import Path
from typing import Final

from roommood.camera_node.sources.endings import NOT_TAKEN, PICTURE_SUFFIXES
from roommood.camera_node.sources.pacing import PacedSource, Pacer
from roommood.camera_node.sources.picture import EndOfSource, Grabbed, Picture
from roommood.shared.clock import boot_ms
from roommood.shared.errors import PictureError, PictureTooLarge, SourceError
from roommood.shared.opencv import Pixels, decode_within
from roommood.shared.protocol.jpeg import is_jpeg
from roommood.shared.protocol.limits import MAX_FILE_BYTES, MAX_PICTURE_PIXELS

_DEFAULT_RATE_HZ: Final = 5.0
_log = logging.getLogger("camera_node")


class PictureFolder(PacedSource):
    """The pictures of a folder in the order of their names, over and over or once.

    A file that is no usable picture is left out, with one line in the log. The folder is
    listed anew at each round.
    """

    may_repeat = True

    def __init__(self, path: Path, *, rate_hz: float | None = None, loop: bool = True) -> None:
        self._path, self._loop = path, loop
        self._left_out: set[Path] = set()
        self._waiting: list[Path] = []
        self.description = f"pictures {path}"
        self.width, self.height, self.rate_hz = 0, 0, rate_hz or _DEFAULT_RATE_HZ

    def open(self) -> None:
        self._waiting = self._listed()
        self._name_what_is_not_taken()
        first = self._next_of_round()
        if first is None:
            raise SourceError(self._why_nothing())
        self._waiting = self._listed()
        self.width, self.height = first.width, first.height
        self._pacer = Pacer(self.rate_hz)

    def grab(self) -> Grabbed:
        self._wait()
        self._picture = self._next()
        return Grabbed(self._picture.captured_ms)

    def retrieve(self) -> Picture:
        return self._picture

    def _next(self) -> Picture:
        picture = self._next_of_round()
        if picture is None and not self._loop:
            raise EndOfSource(f"{self.description} has ended")
        if picture is None:
            self._waiting = self._listed()
            picture = self._next_of_round()
        if picture is None:
            raise SourceError(self._why_nothing())
        return picture

    def _next_of_round(self) -> Picture | None:
        while self._waiting:
            path = self._waiting.pop(0)
            try:
                return read_picture(path)
            except (PictureError, OSError) as error:
                self._leave_out(path, error)
        return None

    def _listed(self) -> list[Path]:
        if not self._path.is_dir():
            return [self._path]
        try:
            return picture_files(self._path)
        except OSError as error:
            raise SourceError(f"{self.description} cannot be listed: {error}") from error

    def _name_what_is_not_taken(self) -> None:
        files = self._path.iterdir() if self._path.is_dir() else ()
        for suffix in sorted({path.suffix.lower() for path in files} & NOT_TAKEN.keys()):
            todo = NOT_TAKEN[suffix]
            _log.warning("%s: files that end in %s are left out: %s", self._path, suffix, todo)

    def _leave_out(self, path: Path, error: Exception) -> None:
        if path not in self._left_out:
            self._left_out.add(path)
            _log.warning("picture %s is left out: %s", path, error)

    def _why_nothing(self) -> str:
        endings = " ".join(sorted(PICTURE_SUFFIXES))
        broken = f"; {len(self._left_out)} cannot be used (see the log)" if self._left_out else ""
        return f"{self.description}: no usable picture among its files ({endings}){broken}"


def picture_files(folder: Path) -> list[Path]:
    """The picture files directly in the folder, by name. Raises OSError."""
    candidates = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    return sorted(path for path in candidates if path.is_file() and not path.name.startswith("."))


def read_picture(path: Path) -> Picture:
    """A picture file, captured when it was read: a JPEG as it is, anything else as pixels.

    Raises PictureError (damaged, or over 64 megapixels) or OSError.
    """
    data = _read_bytes(path)
    if is_jpeg(data):
        return Picture.of_jpeg(data, boot_ms())
    pixels = decode_within(data, MAX_PICTURE_PIXELS)
    return Picture.of_pixels(pixels, boot_ms())


def read_pixels(path: Path) -> Pixels:
    """A picture file as upright BGR pixels (H, W, 3). Raises PictureError or OSError."""
    return decode_within(_read_bytes(path), MAX_PICTURE_PIXELS)


def _read_bytes(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise PictureTooLarge(f"a file of {size} bytes; at most {MAX_FILE_BYTES} are read")
    return path.read_bytes()
