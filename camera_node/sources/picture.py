"""The port: what a picture is, what every source of pictures offers, and how its reading ends."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

from roommood.camera_node.sources.exif import UPRIGHT, exif_orientation
from roommood.shared.errors import PictureError, SourceError
from roommood.shared.protocol.jpeg import is_jpeg, read_header
from roommood.shared.protocol.jpeg_end import whole
from roommood.shared.protocol.limits import MAX_FILE_BYTES, MAX_FILE_PIXELS

if TYPE_CHECKING:
    from roommood.shared.opencv import Pixels

# Damaged pictures in a row before the source counts as gone.
_MAX_DAMAGED: Final = 10
# EXIF's orientations from here on are turned by a quarter.
_ON_ITS_SIDE: Final = 5


class EndOfSource(SourceError):
    """A file or folder that plays once has given its last picture."""


class Interrupted(SourceError):
    """A read was told to end before its picture was due."""


def unexpected(error: Exception) -> SourceError:
    """What a driver or library raises unforeseen is a camera that is lost, and may come back."""
    return SourceError(
        f"unexpected {type(error).__name__}: {error}; if it stays, update the camera's driver and "
        "libraries, or report it with the log of --log-level debug"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One captured picture: raw `pixels`, uint8, (H, W, 3) BGR or (H, W) luma, or a `jpeg` as it
    came.

    `captured_ms` is `shared.clock.boot_ms()` at capture. Width and height are in pixels, of the
    upright picture: `orientation` is what a JPEG's EXIF says, 1 where it lies upright. `is_key` is
    False for a frame of a video that its encoder made from earlier ones.
    """

    captured_ms: float
    width: int
    height: int
    pixels: "Pixels | None" = field(default=None, repr=False)
    jpeg: bytes | None = field(default=None, repr=False)
    orientation: int = UPRIGHT
    is_key: bool = True

    @classmethod
    def of_pixels(cls, pixels: "Pixels", captured_ms: float, *, is_key: bool = True) -> Self:
        height, width = pixels.shape[:2]
        return cls(captured_ms, width, height, pixels=pixels, is_key=is_key)

    @classmethod
    def of_jpeg(cls, data: bytes, captured_ms: float) -> Self:
        """The JPEG at the start of `data`; what follows its end is cut off.

        Raises PictureError if it is none, was cut off, or is larger than a camera takes.
        """
        jpeg = whole(data) if is_jpeg(data) else data
        header = read_header(jpeg, most_bytes=MAX_FILE_BYTES, most_pixels=MAX_FILE_PIXELS)
        orientation = exif_orientation(jpeg)
        width, height = header.width, header.height
        if orientation >= _ON_ITS_SIDE:
            width, height = height, width
        return cls(captured_ms, width, height, jpeg=jpeg, orientation=orientation)


class Damage:
    """Counts damaged pictures in a row: a loose cable, a starved USB hub."""

    def __init__(self, description: str) -> None:
        self._description = description
        self.in_a_row = 0

    def note(self, error: PictureError) -> None:
        """Raises SourceError for the tenth in a row."""
        self.in_a_row += 1
        if self.in_a_row >= _MAX_DAMAGED:
            self.in_a_row = 0
            raise SourceError(
                f"{self._description} gives only damaged pictures: {error}"
            ) from error

    def is_over(self) -> None:
        """A whole picture came."""
        self.in_a_row = 0


@dataclass(frozen=True, slots=True)
class Grabbed:
    """A picture that has come, neither decoded nor copied: when it was captured, and whether it
    stands for itself, as all but most of a video's do."""

    captured_ms: float
    is_key: bool = True


class Source(Protocol):
    """Gives pictures between `open` and `close`; may be opened again after `close`.

    Known once open: `width`, `height` in pixels (of the first picture, where they vary) and
    the nominal `rate_hz`. `description` never holds a password. `may_repeat`: the same picture
    over and over is nothing to be told. All calls but `interrupt` come from one thread at a
    time. As a context manager it opens and closes itself. `luma_suffices` may be set by whoever
    reads, at any time: pixels are (H, W) luma where the camera has that without conversion.
    """

    may_repeat: bool = False
    luma_suffices: bool = False
    description: str
    width: int
    height: int
    rate_hz: float

    def open(self) -> None:
        """Raises SourceError, saying what is wrong and what to do."""

    def grab(self) -> Grabbed:
        """Waits for the next picture. To pass over one that nobody wants costs no more than this.

        Raises:
            EndOfSource: after the last one, where the source does not play for ever.
            PictureError: it is damaged; the next one may be whole.
            SourceError: the source has gone away; `close`, then `open` may bring it back.
        """

    def retrieve(self) -> Picture:
        """The picture grabbed last, once at most. Raises as `grab` does."""

    def read(self) -> Picture:
        """The next undamaged picture, when it is due. Raises as `grab`, but for PictureError."""
        damage = Damage(self.description)
        while True:
            try:
                self.grab()
                return self.retrieve()
            except PictureError as error:
                damage.note(error)

    def close(self) -> None:
        """Lets the device go. Never raises; harmless when not open."""

    def interrupt(self) -> None:
        """From any thread: a `read` that only waits for its time raises Interrupted now."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
