"""What OpenCV hands out for a frame that was grabbed, looked at before it is believed."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from roommood.camera_node.sources.picture import Picture
from roommood.shared.errors import PictureDamaged, SourceError
from roommood.shared.opencv import Frame, Pixels, cv2

# Of levels 16 to 235, as YUV of cameras has them, to 0 to 255: as OpenCV does it in colour.
_STRETCHED: Final = 255 / 219


@dataclass(frozen=True, slots=True)
class PackedYuv:
    """YUV 4:2:2 as webcams have it, (H, W, 2): luma is every other byte."""

    luma_at: int
    to_bgr: int

    def luma(self, frame: Pixels) -> Frame:
        """(H, W), the same levels as the grey of `colours`, at a fraction of their cost."""
        levels = cv2.extractChannel(frame, self.luma_at)
        return cv2.convertScaleAbs(levels, alpha=_STRETCHED, beta=-16 * _STRETCHED)

    def colours(self, frame: Pixels) -> Frame:
        """(H, W, 3) BGR."""
        return cv2.cvtColor(frame, self.to_bgr)


PACKED: Final = {
    cv2.VideoWriter.fourcc(*"YUYV"): PackedYuv(0, cv2.COLOR_YUV2BGR_YUYV),
    cv2.VideoWriter.fourcc(*"UYVY"): PackedYuv(1, cv2.COLOR_YUV2BGR_UYVY),
}


def retrieve(capture: cv2.VideoCapture, description: str, gone: str) -> Frame:
    """What the camera gave for the frame grabbed last: pixels, or a JPEG's bytes; never empty.

    Raises PictureDamaged for an empty buffer, as many cameras hand out at their start (OpenCV says
    True then, and gives None), and SourceError "`description` `gone`" where there is no frame.
    """
    try:
        has_frame, frame = capture.retrieve()
    except cv2.error as error:
        raise PictureDamaged(f"OpenCV cannot convert it: {error.err}") from error
    if not has_frame:
        raise SourceError(f"{description} {gone}")
    if not isinstance(frame, np.ndarray) or not frame.size:
        raise PictureDamaged("an empty buffer")
    return frame


def picture_of(
    frame: Frame, description: str, captured_ms: float, *, is_key: bool = True
) -> Picture:
    """A frame as a picture. Raises SourceError if it is not uint8, (H, W, 3) or (H, W)."""
    has_pixels = frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 3)
    if not has_pixels or frame.dtype != np.uint8:
        raise SourceError(f"{description} gives {frame.shape} {frame.dtype}, not pixels")
    return Picture.of_pixels(frame.astype(np.uint8, copy=False), captured_ms, is_key=is_key)
