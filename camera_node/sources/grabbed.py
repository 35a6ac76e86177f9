"""What OpenCV hands out for a frame that was grabbed, looked at before it is believed."""

import numpy as np

from roommood.camera_node.sources.picture import Picture
from roommood.shared.errors import PictureDamaged, SourceError
from roommood.shared.opencv import Frame, cv2


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
    """OpenCV's decoded frame as a picture. Raises SourceError if it is not (H, W, 3) uint8."""
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise SourceError(f"{description} gives {frame.shape} {frame.dtype}, not BGR pixels")
    return Picture.of_pixels(frame.astype(np.uint8, copy=False), captured_ms, is_key=is_key)
