"""How good a detector is: average precision at IoU 0.5 by face size, false positives, time per
picture."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation import average_precision as measured
from roommood.inference_worker.evaluation.average_precision import Question, find_hits, iou_matrix
from roommood.training.face.data import Faces, Floats, Picture
from roommood.training.face.sources import (
    PEOPLE_AMONG_NO_FACES,
    held_out_pictures,
    read_picture,
    source,
)
from roommood.training.face.teacher import Detector

BANDS: Mapping[str, tuple[float, float]] = {
    "16-32": (16, 32),
    "32-64": (32, 64),
    ">=64": (64, np.inf),
    ">=32": (32, np.inf),
}
LOWEST_SCORE = 0.02
STRAY_IOU = 0.2
FRAME_HEIGHT, FRAME_WIDTH = 480, 640


@dataclass(frozen=True)
class Judged:
    """A picture with its true boxes (n, 4); boxes marked in `optional` (n,) count neither as
    found nor as missed."""

    picture: Picture
    boxes: Floats
    optional: NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    """Average precision (0..1, NaN without faces) overall and by size band, and how many faces
    there were."""

    ap: float
    ap_by_px: Mapping[str, float]
    faces: int


def fit(picture: Picture) -> tuple[Picture, float]:
    """Scale a picture until it just fits into a camera's frame; also returns the scale."""
    import cv2

    scale = min(FRAME_HEIGHT / picture.shape[0], FRAME_WIDTH / picture.shape[1])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8), scale


def average_precision(
    detected: Sequence[Faces], judged: Sequence[Judged], low: float = 0.0, high: float = np.inf
) -> float:
    """Area under the precision-recall curve over all pictures, for faces of low to high pixels;
    NaN without any."""
    pictures = [_beside(*pair) for pair in zip(detected, judged, strict=True)]
    precision = measured.average_precision(pictures, Question(low, high))
    return float("nan") if precision is None else precision


def _beside(detections: Faces, truth: Judged) -> measured.Judged:
    labels = ("",) * len(truth.boxes)
    return measured.Judged(detections.boxes, detections.scores, truth.boxes, labels, truth.optional)


def judge(
    detector: Detector, judged: Sequence[Judged], iou: float = 0.4
) -> tuple[list[Faces], Score]:
    """Run a detector over pictures; its detections and its score."""
    detected = [detector.detect(truth.picture, LOWEST_SCORE, iou) for truth in judged]
    bands = {name: average_precision(detected, judged, *band) for name, band in BANDS.items()}
    faces = sum(int((~truth.optional).sum()) for truth in judged)
    return detected, Score(average_precision(detected, judged), bands, faces)


def recall(
    detected: Sequence[Faces],
    judged: Sequence[Judged],
    threshold: float,
    low: float = 0.0,
    high: float = np.inf,
) -> float:
    """The share of the faces of `low` to `high` pixels that detections above the threshold find."""
    hits, faces = 0, 0
    for detections, truth in zip(detected, judged, strict=True):
        picture = _beside(detections.where(detections.scores >= threshold), truth)
        counted = Question(low, high).counted(picture)
        hits += int(find_hits(picture, counted)[0].sum())
        faces += int(counted.sum())
    return round(hits / max(faces, 1), 4)


def strays(detected: Sequence[Faces], judged: Sequence[Judged], threshold: float) -> float:
    """Detections above the threshold, per picture, that hardly overlap any true box."""
    count = 0
    for detections, truth in zip(detected, judged, strict=True):
        sure = detections.where(detections.scores >= threshold)
        overlap = iou_matrix(sure.boxes, truth.boxes)
        count += len(sure) - int((overlap > STRAY_IOU).any(1).sum())
    return round(count / max(len(judged), 1), 4)


def milliseconds(detectors: Sequence[Detector], rounds: int = 100) -> list[float]:
    """The time of each net alone on a 640x480 picture, on one thread.

    They take turns, and the fastest of all rounds counts, since other work only adds to it.
    """
    noise = np.random.default_rng(0)
    picture = noise.integers(0, 256, (480, 640, 3), np.uint8)
    tensors = [detector.tensor(picture) for detector in detectors]
    times = np.zeros((rounds, len(detectors)))
    for row in times:
        for place, (detector, tensor) in enumerate(zip(detectors, tensors, strict=True)):
            start = time.perf_counter()
            detector.outputs(tensor, detector.threshold)
            row[place] = time.perf_counter() - start
    fastest: list[float] = (times.min(0) * 1000).tolist()
    return fastest


def rooms(
    root: Path, teacher: Detector, every: int = 1, sure: float = 0.6, unsure: float = 0.3
) -> list[Judged]:
    """The panoramas of meeting rooms, with what the teacher sees in them; what it is unsure of
    does not count."""
    paths = sorted((root / source("rooms").folder).glob("*.jpg"))[::every]
    result = []
    for path in paths:
        picture = read_picture(path)
        faces = teacher.detect(picture, unsure)
        result.append(Judged(picture, faces.boxes, faces.scores < sure))
    return result


def face_free(root: Path) -> list[Picture]:
    """The photographs without people that are kept out of training."""
    paths = [
        path
        for path in held_out_pictures(root, source("no-faces"))
        if path.name not in PEOPLE_AMONG_NO_FACES
    ]
    return [fit(read_picture(path))[0] for path in paths]
