"""One run over several detectors, on the same pictures: what the model card states and what
evaluate prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.voc import read_annotation
from roommood.training.face.data import Faces, Floats, Picture, load_faces
from roommood.training.face.evaluate import (
    Judged,
    average_precision,
    face_free,
    fit,
    judge,
    recall,
    rooms,
    strays,
)
from roommood.training.face.render import turned
from roommood.training.face.review import CERTAIN
from roommood.training.face.sources import held_out_pictures, read_picture, source
from roommood.training.face.teacher import Detector

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
LARGE_PX = 32.0
NO_BOXES = np.zeros((0, 4), np.float32)
TILTS = (-45.0, 45.0)


@dataclass(frozen=True)
class Exam:
    """The pictures that every detector of a report is judged on.

    Nothing of the sources of `unseen` and `things` was learnt from: photographs of people, with
    what both teachers see, and pictures without any. Of the others' sources other pictures were.
    """

    unseen: Sequence[Judged]
    things: Sequence[Judged]
    boxes: Sequence[Judged]
    names: Sequence[Sequence[str]]
    turned: Sequence[NDArray[np.bool_]]
    tilted: Sequence[Judged]
    rooms: Sequence[Judged]
    empty: Sequence[Picture]


def prepare(root: Path, labels: Path, teacher: Detector, every: int = 1) -> Exam:
    """Read what was kept out of training, fitted into 640x480, and every so-many-th room."""
    item = source("faces-boxes")
    known = load_faces(labels / "faces-boxes.npz")
    boxes, names, sideways = [], [], []
    tilted: list[Judged] = []
    for path in held_out_pictures(root, item):
        hand = read_annotation(root / item.annotations / f"{path.stem}.xml")
        frame, scale = fit(read_picture(path))
        judged = Judged(frame, hand.boxes * scale, np.zeros(len(hand.boxes), bool))
        boxes.append(judged)
        names.append(hand.labels)
        sideways.append(turned(known[path.name])[: len(hand.boxes)])
        tilted.append(tilt(judged, TILTS[len(tilted) % 2]))
    return Exam(
        unseen=judged_by_labels(root, labels, "people"),
        things=judged_by_labels(root, labels, "things"),
        boxes=boxes,
        names=names,
        turned=sideways,
        tilted=tilted,
        rooms=rooms(root, teacher, every),
        empty=face_free(root),
    )


def judged_by_labels(root: Path, labels: Path, name: str) -> list[Judged]:
    """The pictures of a source that are kept out of training, with what the teachers are certain
    of; what they are not certain of does not count."""
    paths = held_out_pictures(root, source(name))
    known = load_faces(labels / f"{name}.npz") if paths else {}
    return [
        Judged(read_picture(path), known[path.name].boxes, known[path.name].scores < CERTAIN)
        for path in paths
    ]


def tilt(judged: Judged, angle: float) -> Judged:
    """The picture turned in its plane, in a frame large enough for all of it."""
    import cv2

    from roommood.training.face.warp import move_faces

    height, width = judged.picture.shape[:2]
    side = int(np.ceil(np.hypot(height, width) / 32) * 32)
    rotation = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    centring = np.array([[0, 0, side - width], [0, 0, side - height]], np.float32) / 2
    matrix: Floats = np.asarray(rotation + centring, np.float32)
    picture = cv2.warpAffine(judged.picture, matrix, (side, side))
    unknown = np.full((len(judged.boxes), 5, 2), np.nan, np.float32)
    faces = Faces(judged.boxes, unknown, np.ones(len(judged.boxes), np.float32))
    moved = move_faces(faces, matrix)
    return Judged(np.asarray(picture, np.uint8), moved.boxes, judged.optional)


def examine(detector: Detector, exam: Exam, iou: float = 0.4) -> dict[str, object]:
    """All figures of one detector but its time: average precisions (0..1; None without faces),
    and what it does at its own threshold."""
    detected, score = judge(detector, exam.boxes, iou)
    _, tilted = judge(detector, exam.tilted, iou)
    in_rooms, room_score = judge(detector, exam.rooms, iou)
    on_unseen, unseen_score = judge(detector, exam.unseen, iou)
    return {
        "unseen": _figures(unseen_score.ap, unseen_score.ap_by_px, unseen_score.faces),
        "boxes": _figures(score.ap, score.ap_by_px, score.faces),
        "boxes >=32 by class": _by_class(detected, exam),
        "boxes >=32 turned": _only(detected, exam, exam.turned),
        "boxes tilted 45": _figures(tilted.ap, tilted.ap_by_px, tilted.faces),
        "rooms": _figures(room_score.ap, room_score.ap_by_px, room_score.faces),
        "false positives per face-free picture": _false_positives(detector, exam.empty),
        "at its threshold": {
            "threshold": detector.threshold,
            "unseen >=32 found": recall(on_unseen, exam.unseen, detector.threshold, LARGE_PX),
            "unseen 16-32 found": recall(on_unseen, exam.unseen, detector.threshold, 16, LARGE_PX),
            "strays per picture of things": strays(
                [detector.detect(truth.picture, detector.threshold) for truth in exam.things],
                exam.things,
                detector.threshold,
            ),
            "boxes >=32 found": recall(detected, exam.boxes, detector.threshold, LARGE_PX),
            "rooms >=32 found": recall(in_rooms, exam.rooms, detector.threshold, LARGE_PX),
            "strays per boxes picture": strays(detected, exam.boxes, detector.threshold),
            "strays per face-free picture": strays(
                [detector.detect(picture, detector.threshold) for picture in exam.empty],
                [Judged(picture, NO_BOXES, NO_BOXES[:, 0] > 0) for picture in exam.empty],
                detector.threshold,
            ),
        },
    }


def _figures(ap: float, by_px: Mapping[str, float], faces: int) -> dict[str, float | None]:
    shares = {"all": ap, **by_px}
    rounded = {k: None if np.isnan(v) else round(v, 4) for k, v in shares.items()}
    return {**rounded, "faces": faces}


def _by_class(detected: Sequence[Faces], exam: Exam) -> dict[str, float]:
    classes = sorted({name for names in exam.names for name in names})
    masks = {c: [np.array([n == c for n in names], bool) for names in exam.names] for c in classes}
    return {name: _only(detected, exam, mask) for name, mask in masks.items()}


def _only(detected: Sequence[Faces], exam: Exam, masks: Sequence[NDArray[np.bool_]]) -> float:
    """Average precision for the large faces that are wanted; others count neither way."""
    judged = [replace(truth, optional=~mask) for truth, mask in zip(exam.boxes, masks, strict=True)]
    return round(average_precision(detected, judged, LARGE_PX), 4)


def _false_positives(detector: Detector, pictures: Sequence[Picture]) -> dict[str, float]:
    scores = [detector.detect(picture, min(THRESHOLDS)).scores for picture in pictures]
    every = np.concatenate(scores)
    return {f"{t:.1f}": round(float((every >= t).sum()) / len(pictures), 4) for t in THRESHOLDS}
