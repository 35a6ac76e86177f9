"""From a captured picture to the JPEG that goes out: mask, shrink, compress, or pass through."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from roommood.camera_node.masks import Mask, burn_in
from roommood.camera_node.sources.exif import UPRIGHT
from roommood.camera_node.sources.picture import Picture
from roommood.shared.errors import ConfigError, PictureDamaged, PictureTooLarge
from roommood.shared.opencv import Pixels, cv2, decode, reduced
from roommood.shared.protocol.limits import MAX_JPEG_BYTES, MAX_PICTURE_PIXELS, MIN_PICTURE_SIDE_PX

_AVERAGE_OF: Final = 16
_FALLBACK_QUALITY: Final = 50


@dataclass(frozen=True, slots=True)
class Encoded:
    """A JPEG within `shared.protocol.limits`, and its size in pixels."""

    jpeg: bytes = field(repr=False)
    width: int
    height: int


class Encoder:
    """Compresses pictures; a JPEG that needs no mask and no shrinking passes untouched.

    `quality` (1..100) and `scale` (above 0, up to 1) may be changed between two pictures;
    neither touches a JPEG that passes through. Pictures are never enlarged. With `grey` no colour
    is kept: 0.6 of the time, and less is shown.
    `encode_ms` is a moving average of the time spent on a picture. For one thread.
    """

    def __init__(
        self,
        *,
        quality: int = 80,
        max_width: int | None = None,
        max_height: int | None = None,
        masks: Sequence[Mask] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Raises ConfigError if a value is out of range."""
        for name, side in (("max_width", max_width), ("max_height", max_height)):
            if side is not None and side < MIN_PICTURE_SIDE_PX:
                raise ConfigError(f"{name} is {side}; use at least {MIN_PICTURE_SIDE_PX} pixels")
        self._max_width, self._max_height = max_width, max_height
        self._masks = tuple(masks)
        self._clock = clock
        self.quality = quality
        self.scale = 1.0
        self.grey = False
        self.encode_ms = 0.0

    @property
    def quality(self) -> int:
        return self._quality

    @quality.setter
    def quality(self, quality: int) -> None:
        if not 1 <= quality <= 100:
            raise ConfigError(f"JPEG quality is {quality}; use 1 to 100")
        self._quality = quality

    @property
    def scale(self) -> float:
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        if not 0 < scale <= 1:
            raise ConfigError(f"scale is {scale}; use more than 0 and at most 1")
        self._scale = scale

    def encode(self, picture: Picture) -> Encoded:
        """The picture as it may leave this machine.

        Raises:
            PictureDamaged: it does not decode, or is no picture of at least 16x16 pixels.
            PictureTooLarge: more than 8 MiB even at quality 50.
        """
        started_s = self._clock()
        encoded = self._passed_through(picture) or self._compressed(picture)
        self._average((self._clock() - started_s) * 1000.0)
        return encoded

    def _passed_through(self, picture: Picture) -> Encoded | None:
        if picture.jpeg is None or self._masks or self._fitting(picture.width, picture.height) < 1:
            return None
        if picture.orientation != UPRIGHT:
            return None
        if len(picture.jpeg) > MAX_JPEG_BYTES:
            return None
        return Encoded(picture.jpeg, picture.width, picture.height)

    def _compressed(self, picture: Picture) -> Encoded:
        pixels = _pixels_of(picture, self.scale * self._fitting(picture.width, picture.height))
        if self._masks:
            pixels = burn_in(pixels, self._masks)
        if self.grey and pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY).astype(pixels.dtype, copy=False)
        pixels = self._shrunk(pixels, picture)
        for quality in (self.quality, min(self.quality, _FALLBACK_QUALITY)):
            jpeg = _to_jpeg(pixels, quality)
            if len(jpeg) <= MAX_JPEG_BYTES:
                return Encoded(jpeg, pixels.shape[1], pixels.shape[0])
        raise PictureTooLarge(
            f"{len(jpeg)} bytes at quality {quality}; at most {MAX_JPEG_BYTES} go out: "
            "set a smaller max_width"
        )

    def _shrunk(self, pixels: Pixels, picture: Picture) -> Pixels:
        factor = self.scale * self._fitting(picture.width, picture.height)
        size = (_side(picture.width * factor), _side(picture.height * factor))
        if factor >= 1 or size == pixels.shape[1::-1]:
            return pixels
        return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(pixels.dtype)

    def _fitting(self, width: int, height: int) -> float:
        """The factor, at most 1, by which a picture shrinks to fit what is set and allowed."""
        return min(
            1.0,
            (self._max_width or width) / width,
            (self._max_height or height) / height,
            math.sqrt(MAX_PICTURE_PIXELS / (width * height)),
        )

    def _average(self, latest_ms: float) -> None:
        if self.encode_ms == 0:
            self.encode_ms = latest_ms
        self.encode_ms += (latest_ms - self.encode_ms) / _AVERAGE_OF


def _pixels_of(picture: Picture, factor: float) -> Pixels:
    """Upright pixels; a JPEG's are already shrunk towards `factor` of its sides, never below it."""
    if picture.jpeg is not None:
        # What EXIF says is obeyed where we have read it, and nowhere else.
        as_it_lies = cv2.IMREAD_IGNORE_ORIENTATION if picture.orientation == UPRIGHT else 0
        return decode(picture.jpeg, reduced(factor) | as_it_lies)
    pixels = picture.pixels
    shape = pixels.shape if pixels is not None and pixels.dtype == "uint8" else ()
    if pixels is None or len(shape) < 2 or shape[2:] not in ((), (3,)):
        raise PictureDamaged("a picture that holds neither a JPEG nor (H, W, 3) or (H, W) uint8")
    if min(pixels.shape[:2]) < MIN_PICTURE_SIDE_PX:
        side, size = MIN_PICTURE_SIDE_PX, f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise PictureDamaged(f"a picture of {size} pixels: at least {side}x{side} are taken")
    return pixels


def _side(pixels: float) -> int:
    return max(MIN_PICTURE_SIDE_PX, int(pixels))


def _to_jpeg(pixels: Pixels, quality: int) -> bytes:
    try:
        done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise PictureDamaged(f"a picture that does not compress: {error.err}") from error
    if not done:
        raise PictureDamaged("a picture that does not compress")
    return jpeg.tobytes()
