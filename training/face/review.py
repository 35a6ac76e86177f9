"""A second look of the teacher, at the finished crop: a face that was pasted too small, too dark
or too far turned to be seen is not to be learnt, one that is hard to see to be scored lower."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.average_precision import iou_matrix
from roommood.training.face.data import Faces, Floats, Picture
from roommood.training.face.teacher import Detector, View, look

VIEWS = (View(1.0), View(1.6, True), View(0.55))
LEAST, CLEAR = 0.2, 0.7
SAME_IOU, EXACT_IOU = 0.4, 0.75
UPRIGHT_DEGREES = 35.0
CERTAIN, FAIR_PX = 1.0, 24.0


def review(picture: Picture, faces: Faces, teacher: Detector) -> Faces:
    """The faces of a grey crop (H, W), with scores by how well the teacher sees them, 0 if not.

    The teacher knows only upright faces, and what annotators saw is not its business: these stay.
    A box that it sees clearly, but elsewhere, moves halfway to its own.
    """
    if len(faces) == 0:
        return faces
    shown = np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
    seen, boxes = _seen(faces, [look(teacher, shown, view, LEAST) for view in VIEWS])
    factor = np.where(seen < LEAST, 0, np.clip(seen / CLEAR, 0.4, 1))
    judged = _upright(faces) & ~_certain(faces)
    scores = np.where(judged, faces.scores * factor, faces.scores).astype(np.float32)
    return Faces(np.where(judged[:, None], boxes, faces.boxes), faces.landmarks, scores)


def doubted(faces: Faces) -> Faces:
    """The faces, none of them certain any more: the light was changed since somebody saw them."""
    scores = np.minimum(faces.scores, np.float32(CERTAIN * 0.95))
    return Faces(faces.boxes, faces.landmarks, scores.astype(np.float32))


def _seen(faces: Faces, views: list[Faces]) -> tuple[Floats, Floats]:
    """The best score among all views for each face (n,), and its box (n, 4)."""
    best, boxes = np.zeros(len(faces), np.float32), faces.boxes.copy()
    for view in views:
        overlap = iou_matrix(faces.boxes, view.boxes)
        for i, row in enumerate(overlap):
            score = np.where(row >= SAME_IOU, view.scores, 0)
            if len(score) == 0 or score.max() <= best[i]:
                continue
            j = int(score.argmax())
            best[i] = score[j]
            if row[j] < EXACT_IOU and score[j] >= CLEAR:
                boxes[i] = (faces.boxes[i] + view.boxes[j]) / 2
    return best, boxes


def _certain(faces: Faces) -> NDArray[np.bool_]:
    """Faces of a fair size that an annotator saw."""
    sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
    certain: NDArray[np.bool_] = (faces.scores >= CERTAIN) & (sides.prod(-1) >= FAIR_PX**2)
    return certain


def _upright(faces: Faces) -> NDArray[np.bool_]:
    """Faces whose eyes are known to lie about level."""
    eyes = faces.landmarks[:, 1] - faces.landmarks[:, 0]
    angle = np.abs(np.rad2deg(np.arctan2(eyes[:, 1], eyes[:, 0])))
    upright: NDArray[np.bool_] = np.nan_to_num(angle, nan=180.0) <= UPRIGHT_DEGREES
    return upright
