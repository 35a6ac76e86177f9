"""Labels from two teachers, YuNet and SCRFD: what both see is a face, what one sees is unclear.

SCRFD sees bent, half-hidden and turned faces that YuNet misses, and takes dogs for people.
"""

from __future__ import annotations

import numpy as np

from roommood.inference_worker.evaluation.average_precision import iou_matrix
from roommood.training.face.data import Faces
from roommood.training.face.paste import IGNORE_SCORE
from roommood.training.face.review import CERTAIN

SAME_IOU = 0.35
SURE_SCORE, FAINT_SCORE = 0.5, 0.3
UNCLEAR_SCORE = np.float32((IGNORE_SCORE + 0.5) / 2)


def agree(yunet: Faces, scrfd: Faces, with_animals: bool) -> Faces:
    """The faces of one picture that either teacher sees.

    Where both see one, its box and landmarks are the mean, and it is certain if either is sure;
    where it may be an animal, both must be. SCRFD alone is believed where it is sure and no
    animal can be meant. What else one sees is unclear, to be left out of the loss, or, if faint,
    nothing.
    """
    result, used = Faces.none(), np.zeros(len(yunet), bool)
    overlap = iou_matrix(scrfd.boxes, yunet.boxes)
    for i in range(len(scrfd)):
        face = scrfd.where(np.array([i]))
        best = int(overlap[i].argmax()) if len(yunet) else -1
        if best >= 0 and overlap[i, best] >= SAME_IOU and not used[best]:
            used[best] = True
            result = result.joined(_mean(face, yunet.where(np.array([best])), with_animals))
            continue
        if face.scores[0] < FAINT_SCORE:
            continue
        sure = bool(face.scores[0] >= SURE_SCORE) and not with_animals
        result = result.joined(_scored(face, CERTAIN if sure else UNCLEAR_SCORE))
    alone = yunet.where(~used & (yunet.scores >= FAINT_SCORE))
    return result.joined(_scored(alone, UNCLEAR_SCORE))


def empty_of_people(yunet: Faces, scrfd: Faces) -> bool:
    """Whether a picture of things shows no face: none that both teachers see, none that YuNet is
    sure of."""
    together = iou_matrix(scrfd.boxes, yunet.boxes) >= SAME_IOU
    return not together.any() and not (yunet.scores >= SURE_SCORE).any()


def _mean(first: Faces, other: Faces, with_animals: bool) -> Faces:
    joined = first.joined(other)
    certain = joined.scores.max() >= SURE_SCORE
    certain &= joined.scores.min() >= SURE_SCORE or not with_animals
    mean = Faces(
        joined.boxes.mean(0, keepdims=True), joined.landmarks.mean(0, keepdims=True), first.scores
    )
    return _scored(mean, CERTAIN if certain else float(joined.scores.mean()))


def _scored(faces: Faces, score: float | np.float32) -> Faces:
    return Faces(faces.boxes, faces.landmarks, np.full(len(faces), score, np.float32))
