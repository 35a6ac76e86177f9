"""A folder of pictures, or one picture, shown at a fixed rate; JPEG files pass through."""

import logging
from pathlib import Path
from typing import Final, Literal

from roommood.camera_node.sources.endings import PICTURE_SUFFIXES
from roommood.camera_node.sources.pacing import PacedSource, Pacer
from roommood.camera_node.sources.picture import EndOfSource, Picture
from roommood.shared.errors import PictureDamaged, PictureError, PictureTooLarge, SourceError
from roommood.shared.opencv import Pixels, cv2, decode
from roommood.shared.protocol.jpeg import is_jpeg
from roommood.shared.protocol.limits import MAX_PICTURE_PIXELS

_DEFAULT_RATE_HZ: Final = 5.0
_MAX_FILE_BYTES: Final = 64 * 1024 * 1024
_FULL_TO_EIGHTH: Final = (
    cv2.IMREAD_COLOR,
    cv2.IMREAD_REDUCED_COLOR_2,
    cv2.IMREAD_REDUCED_COLOR_4,
    cv2.IMREAD_REDUCED_COLOR_8,
)
_UPRIGHT: Final = 1
_ORIENTATION_TAG: Final = 0x0112
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
        first = self._next_of_round(0.0)
        if first is None:
            raise SourceError(self._why_nothing())
        self._waiting = self._listed()
        self.width, self.height = first.width, first.height
        self._pacer = Pacer(self.rate_hz)

    def read(self) -> Picture:
        return self._next(self._wait())

    def _next(self, captured_ms: float) -> Picture:
        picture = self._next_of_round(captured_ms)
        if picture is None and not self._loop:
            raise EndOfSource(f"{self.description} has ended")
        if picture is None:
            self._waiting = self._listed()
            picture = self._next_of_round(captured_ms)
        if picture is None:
            raise SourceError(self._why_nothing())
        return picture

    def _next_of_round(self, captured_ms: float) -> Picture | None:
        while self._waiting:
            path = self._waiting.pop(0)
            try:
                return read_picture(path, captured_ms)
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
    found = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def read_picture(path: Path, captured_ms: float) -> Picture:
    """A picture file: an upright JPEG within the limits as it is, anything else as pixels.

    Raises PictureError (damaged, or over 64 megapixels) or OSError.
    """
    data = _read_bytes(path)
    if not is_jpeg(data):
        return Picture.of_pixels(_decode_shrunk(data), captured_ms)
    if not _is_complete(data):
        raise PictureDamaged("the JPEG ends too early")
    try:
        picture = Picture.of_jpeg(data, captured_ms)
    except PictureTooLarge:
        return Picture.of_pixels(_decode_shrunk(data), captured_ms)
    if exif_orientation(data) != _UPRIGHT:
        return Picture.of_pixels(_decode_shrunk(data), captured_ms)
    return picture


def read_pixels(path: Path) -> Pixels:
    """A picture file as upright BGR pixels (H, W, 3). Raises PictureError or OSError."""
    return _decode_shrunk(_read_bytes(path))


def exif_orientation(jpeg: bytes) -> int:
    """Orientation 1 (upright) to 8 as EXIF 2.32 has it in the first directory; 1 if unsaid."""
    start = jpeg.find(b"Exif\0\0", 0, 65536) + 6
    order: Literal["little", "big"] = "little" if jpeg[start : start + 2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(jpeg[start + at : start + at + size], order)

    directory = number(4, 4)
    if start < 6 or number(2, 2) != 42:
        return _UPRIGHT
    for entry in range(min(number(directory, 2), 64)):
        at = directory + 2 + 12 * entry
        if number(at, 2) == _ORIENTATION_TAG:
            return number(at + 8, 2) if 1 <= number(at + 8, 2) <= 8 else _UPRIGHT
    return _UPRIGHT


def _is_complete(jpeg: bytes) -> bool:
    """True if an end follows the first scan; a thumbnail inside a segment is stepped over."""
    position = 2
    while jpeg[position : position + 1] == b"\xff":
        marker = jpeg[position + 1 : position + 2]
        if marker == b"\xda":
            return jpeg.find(b"\xff\xd9", position) > 0
        length = int.from_bytes(jpeg[position + 2 : position + 4], "big")
        position += 1 if marker == b"\xff" else 2 + length
    return False


def _read_bytes(path: Path) -> bytes:
    size = path.stat().st_size
    if size > _MAX_FILE_BYTES:
        raise PictureTooLarge(f"a file of {size} bytes; at most {_MAX_FILE_BYTES} are read")
    return path.read_bytes()


def _decode_shrunk(data: bytes) -> Pixels:
    """Upright BGR pixels, halved until they are within the limit of the wire."""
    for flags in _FULL_TO_EIGHTH:
        pixels = decode(data, flags)
        if pixels.shape[0] * pixels.shape[1] <= MAX_PICTURE_PIXELS:
            break
    return pixels
