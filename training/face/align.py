"""Does it pay to turn every crop upright by the eyes? Accuracy of the worker's classifier, through
its own detector and crop, on labelled faces that are tilted by known angles."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from roommood.inference_worker.vision.emotions import ExpressionClassifier
from roommood.inference_worker.vision.faces import Detection, FaceDetector
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.protocol.emotions import EXPRESSIONS

TILTS = (0.0, 10.0, -10.0, 20.0, -20.0, 30.0, -30.0)
BORDER = 0.5


def roll_degrees(face: Detection) -> float:
    """By how much the line of the eyes falls to the right, in degrees; 0 without landmarks."""
    if face.landmarks is None:
        return 0.0
    (left_x, left_y), (right_x, right_y) = face.landmarks[:2]
    return math.degrees(math.atan2(right_y - left_y, right_x - left_x))


def turned_upright(picture: Picture, face: Detection) -> Picture:
    """The picture turned about the face's middle until its eyes are level."""
    middle = (face.x + face.width / 2, face.y + face.height / 2)
    matrix = cv2.getRotationMatrix2D(middle, roll_degrees(face), 1.0)
    return _drawn(picture, matrix, picture.shape[1], picture.shape[0])


def tilted(picture: Picture, degrees: float, face_share: float) -> Picture:
    """The picture (H, W, 3) scaled by face_share and turned, in a frame with room around it."""
    height, width = (round(side * face_share * (1 + 2 * BORDER)) for side in picture.shape[:2])
    matrix = cv2.getRotationMatrix2D(
        (picture.shape[1] / 2, picture.shape[0] / 2), degrees, face_share
    )
    matrix[:, 2] += (width - picture.shape[1]) / 2, (height - picture.shape[0]) / 2
    return _drawn(picture, matrix, width, height)


def _drawn(picture: Picture, matrix: np.ndarray, width: int, height: int) -> Picture:
    how = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    return np.asarray(cv2.warpAffine(picture, matrix, (width, height), **how), np.uint8)


def labelled(folder: Path, most_per_class: int) -> list[tuple[Path, int]]:
    """Pictures of folder/images with their expression, by folder/labels.csv (image, emotion); at
    most so many of each."""
    chosen: dict[str, list[tuple[Path, int]]] = {}
    with (folder / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            path, name = folder / "images" / row["image"], row["emotion"]
            of_class = chosen.setdefault(name, [])
            if name in EXPRESSIONS and path.exists() and len(of_class) < most_per_class:
                of_class.append((path, EXPRESSIONS.index(name)))
    return [item for items in chosen.values() for item in items]


def compare(
    faces: Sequence[tuple[Path, int]],
    detector: FaceDetector,
    classifier: ExpressionClassifier,
    face_share: float = 0.4,
) -> Mapping[str, Mapping[str, float]]:
    """By tilt (degrees, both ways together): the share of faces told right with the crop as it is
    and with the crop turned upright, and how many faces were found.

    Faces on which the two differ are counted too, for a sign test.
    """
    marks: dict[int, list[tuple[bool, bool]]] = {}
    for path, truth in faces:
        picture = np.asarray(cv2.imread(str(path)), np.uint8)
        for tilt in TILTS:
            frame = tilted(picture, tilt, face_share)
            face = max(detector.detect(frame), key=lambda face: face.score, default=None)
            if face is not None:
                pair = (
                    _expression(classifier, frame, face),
                    _expression(classifier, turned_upright(frame, face), face),
                )
                marks.setdefault(round(abs(tilt)), []).append((pair[0] == truth, pair[1] == truth))
    return {str(tilt): _shares(rows) for tilt, rows in sorted(marks.items())}


def _expression(classifier: ExpressionClassifier, frame: Picture, face: Detection) -> int:
    return int(np.argmax(classifier.classify(frame, [face])[0].probabilities))


def _shares(rows: Sequence[tuple[bool, bool]]) -> dict[str, float]:
    as_it_is, upright = np.array(rows, bool).T
    return {
        "faces": len(rows),
        "as it is": round(float(as_it_is.mean()), 4),
        "turned upright": round(float(upright.mean()), 4),
        "only as it is": int((as_it_is & ~upright).sum()),
        "only upright": int((upright & ~as_it_is).sum()),
    }
