"""Traps: places without a face that a detector takes for one, to show the next one more often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roommood.training.face.data import Faces, Floats
from roommood.training.face.render import Trap
from roommood.training.face.teacher import Detector
from roommood.training.face.warp import Photo

TRAP_SCORE = 0.3
SCALES = (0.6, 1.0, 1.6)
FRAME = 640


def traps(detector: Detector, photos: Sequence[Photo]) -> tuple[Trap, ...]:
    """The detector's false alarms on photos.

    A detection that touches anything the labeller suspected to be a face is none.
    """
    return tuple(
        Trap(photo, box)
        for photo in photos
        for scale in SCALES
        for box in _alarms(detector, photo, scale)
    )


def _alarms(detector: Detector, photo: Photo, scale: float) -> Floats:
    import cv2

    factor = scale * FRAME / max(photo.picture.shape)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    shown = cv2.resize(photo.picture, None, fx=factor, fy=factor, interpolation=how)
    found = detector.detect(np.asarray(shown, np.uint8), TRAP_SCORE)
    boxes: Floats = found.boxes / np.float32(factor)
    return boxes[~_touches(boxes, photo.faces)]


def _touches(boxes: Floats, faces: Faces) -> NDArray[np.bool_]:
    low = np.maximum(boxes[:, None, :2], faces.boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], faces.boxes[None, :, 2:])
    together = ((high - low) > 0).all(-1)
    return np.asarray(together.sum(1) > 0, np.bool_)
