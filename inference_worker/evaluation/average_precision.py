"""Average precision of detections: all-point interpolation, as in Pascal VOC since 2010.

Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) Challenge". Faces that a question
is not about (another size, another label, difficult) are ignored as in COCO (Lin et al. 2014):
finding or missing them changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.voc import Boxes

MATCH_IOU: Final = 0.5

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture: detections `boxes` (N, 4) with `scores` (N,), and `truth` (M, 4) with labels.

    Boxes are left, top, right, bottom in pixels of the analysed picture; true faces marked
    `difficult` are always ignored.
    """

    boxes: Boxes
    scores: Boxes
    truth: Boxes
    labels: tuple[str, ...]
    difficult: Bools


@dataclass(frozen=True, slots=True)
class Question:
    """Which faces count: sides (root of the area) from `low` up to `high` pixels, and a label."""

    low: float = 0.0
    high: float = np.inf
    label: str | None = None

    def covers(self, boxes: Boxes) -> Bools:
        """(N,): which boxes are of the size asked for."""
        side = sides(boxes)
        return np.asarray((side >= self.low) & (side < self.high), np.bool_)

    def counted(self, picture: Judged) -> Bools:
        """(M,): which true faces count."""
        right = [self.label in (None, label) for label in picture.labels]
        return self.covers(picture.truth) & ~picture.difficult & np.array(right, np.bool_)


def sides(boxes: Boxes) -> Boxes:
    """(N,): the root of each box's area, in pixels."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    side: Boxes = np.sqrt(np.maximum(width, 0) * np.maximum(height, 0))
    return side


def count_faces(pictures: Sequence[Judged], question: Question) -> int:
    return sum(int(question.counted(picture).sum()) for picture in pictures)


def average_precision(pictures: Sequence[Judged], question: Question) -> float | None:
    """The area under the precision-recall curve, 0..1; None without a face to find."""
    faces = count_faces(pictures, question)
    if not faces:
        return None
    marks, scores = [], []
    for picture in pictures:
        hits, ignored = find_hits(picture, question.counted(picture))
        counts = hits | (~ignored & question.covers(picture.boxes))
        marks.append(hits[counts])
        scores.append(picture.scores[counts])
    return _area(np.concatenate(marks), np.concatenate(scores), faces)


def find_hits(picture: Judged, counted: Bools) -> tuple[Bools, Bools]:
    """(N,) each: which detections find a face that counts, and which find an ignored one.

    Best score first, each takes the free face that it overlaps most (IoU >= 0.5), one that
    counts before one that does not; an ignored face may be found any number of times.
    """
    hits = np.zeros(len(picture.boxes), np.bool_)
    ignored = hits.copy()
    overlap = iou_matrix(picture.boxes, picture.truth)
    free = np.ones(len(picture.truth), np.bool_)
    for place in np.argsort(-picture.scores, kind="stable"):
        reach = np.where(free & (overlap[place] >= MATCH_IOU), overlap[place] + counted, 0)
        if not reach.any():
            continue
        best = int(reach.argmax())
        hits[place], ignored[place] = counted[best], not counted[best]
        free[best] = not counted[best]
    return hits, ignored


def iou_matrix(boxes: Boxes, others: Boxes) -> Boxes:
    """(N, M): intersection over union of each box with each other one."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    union = sides(boxes)[:, None] ** 2 + sides(others)[None] ** 2 - common
    shares: Boxes = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return shares


def _area(hits: Bools, scores: Boxes, faces: int) -> float:
    hit_count = np.cumsum(hits[np.argsort(-scores, kind="stable")])
    precision: Floats = hit_count / np.arange(1, len(hit_count) + 1)
    # Interpolated: the best precision at this recall or a higher one.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(hit_count, prepend=0) / faces
    return float((steps * envelope).sum())
