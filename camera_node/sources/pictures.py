"""A folder of pictures, or one picture, shown at a fixed rate; JPEG files pass through."""

import logging
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from roommood.camera_node.sources.endings import NOT_TAKEN, PICTURE_SUFFIXES, VIDEO_SUFFIXES
from roommood.camera_node.sources.exif import webp_orientation
from roommood.camera_node.sources.pacing import PacedSource, Pacer
from roommood.camera_node.sources.picture import EndOfSource, Grabbed, Picture
from roommood.shared.clock import boot_ms
from roommood.shared.errors import PictureDamaged, PictureError, PictureTooLarge, SourceError
from roommood.shared.opencv import Pixels, cv2, decode_within
from roommood.shared.protocol.jpeg import is_jpeg
from roommood.shared.protocol.limits import MAX_FILE_BYTES, MAX_PICTURE_PIXELS

_DEFAULT_RATE_HZ: Final = 5.0
# By orientation: OpenCV's code of a flip, after a transposition for 5 and more.
_FLIPS: Final = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
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
        for sentence in left_out(self._path) if self._path.is_dir() else ():
            _log.warning("%s: %s", self._path, sentence)

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
    return sorted(filter(is_listed, candidates))


def is_listed(path: Path) -> bool:
    """A file that is not hidden. A link that leads nowhere is one, too: it cannot be read."""
    is_lost = path.is_symlink() and not path.exists()
    return not path.name.startswith(".") and (path.is_file() or is_lost)


def left_out(folder: Path, *, but: Collection[str] = ()) -> list[str]:
    """What lies in a folder, could be meant, and is not taken, with what to do: sentences, but for
    those about these endings. Raises OSError."""
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    suffixes = {path.suffix.lower() for path in paths}.difference(but)
    sentences = [
        f"files that end in {suffix} are left out: {NOT_TAKEN[suffix]}"
        for suffix in sorted(suffixes & NOT_TAKEN.keys())
    ]
    sentences += [
        f"videos that end in {suffix} are left out: give each by itself"
        for suffix in sorted(suffixes & VIDEO_SUFFIXES)
    ]
    if folders := sorted(path.name for path in paths if path.is_dir()):
        sentences.append(f"{len(folders)} of its folders are left out: {folders[0]!a} is the first")
    return sentences


def read_picture(path: Path) -> Picture:
    """A picture file, captured when it was read: a JPEG as it is, anything else as pixels.

    Raises PictureError (damaged, or over 64 megapixels) or OSError.
    """
    data = read_bytes(path)
    if is_jpeg(data):
        return Picture.of_jpeg(data, boot_ms())
    return Picture.of_pixels(decoded(data), boot_ms())


def read_pixels(path: Path) -> Pixels:
    """A picture file as upright BGR pixels (H, W, 3). Raises PictureError or OSError."""
    return decoded(read_bytes(path))


def decoded(data: bytes, most_pixels: int = MAX_PICTURE_PIXELS) -> Pixels:
    """Upright BGR pixels (H, W, 3) of a picture, at most so many. Raises PictureError."""
    orientation, data = webp_orientation(data)
    return _turned_upright(decode_within(data, most_pixels), orientation)


def _turned_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Of pixels that lie as EXIF's `orientation` says."""
    if orientation >= 5:
        pixels = cv2.transpose(pixels).astype(pixels.dtype, copy=False)
    flip = _FLIPS.get(orientation)
    return pixels if flip is None else cv2.flip(pixels, flip).astype(pixels.dtype, copy=False)


def read_bytes(path: Path) -> bytes:
    """A picture file's bytes. Raises PictureError (no file, or too large a one) or OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise PictureDamaged("no file, but a folder, pipe or device")
    if status.st_size > MAX_FILE_BYTES:
        raise PictureTooLarge(
            f"a file of {status.st_size} bytes; at most {MAX_FILE_BYTES} are read"
        )
    return path.read_bytes()
