"""What a detector gets wrong, to show it more often to the next one: traps, places without a face
that it takes for one, and faces that it hardly sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.average_precision import iou_matrix
from roommood.training.face.data import Faces, Floats
from roommood.training.face.render import Trap
from roommood.training.face.teacher import Detector
from roommood.training.face.warp import Photo

TRAP_SCORE = 0.3
CLEAR_SCORE, FAINT_SCORE = 0.6, 0.05
MISSED_WEIGHT = 5.0
SAME_IOU = 0.4
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


def hardness(detector: Detector, photo: Photo) -> Floats:
    """For each face (n,) how often it is to be shown: 1 if the detector sees it clearly, up to
    MISSED_WEIGHT if it does not see it."""
    faces = detector.detect(photo.picture, FAINT_SCORE)
    best = np.zeros(len(photo.faces), np.float32)
    if len(faces):
        same = iou_matrix(photo.faces.boxes, faces.boxes) >= SAME_IOU
        best = (same * faces.scores).max(1, initial=0.0)
    missed: Floats = 1 - np.minimum(best / CLEAR_SCORE, 1)
    return 1 + (MISSED_WEIGHT - 1) * missed


def _alarms(detector: Detector, photo: Photo, scale: float) -> Floats:
    import cv2

    factor = scale * FRAME / max(photo.picture.shape)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    shown = cv2.resize(photo.picture, None, fx=factor, fy=factor, interpolation=how)
    faces = detector.detect(np.asarray(shown, np.uint8), TRAP_SCORE)
    boxes: Floats = faces.boxes / np.float32(factor)
    return boxes[~_touches(boxes, photo.faces)]


def _touches(boxes: Floats, faces: Faces) -> NDArray[np.bool_]:
    low = np.maximum(boxes[:, None, :2], faces.boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], faces.boxes[None, :, 2:])
    together = ((high - low) > 0).all(-1)
    return np.asarray(together.sum(1) > 0, np.bool_)
