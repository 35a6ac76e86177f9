"""Measuring an exported expression classifier the way the product runs it: through onnxruntime.

Accuracy follows the majority protocol of FER+ over its eight expressions, one
view per face.  Calibration is the expected calibration error of Guo et al. 2017
(arXiv 1706.04599) with 15 bins of equal width.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.ferplus import (
    SIDE_PX,
    FaceSet,
    majority_labels,
    read_split,
)
from roommood.inference_worker.vision.sharpness import least_sure
from roommood.shared.errors import ModelError
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.ferplus import Floats, Labels, Pictures
from roommood.training.opened import open_session

FACE_SIDES_PX = (16, 20, 24, 32, 40, 48)
CROP_STEPS_PX = (-8, -4, -2, 2, 4, 8)
BINS = 15
COUNT = len(EXPRESSIONS)


class Classifier:
    """An exported model: pictures (N, 48, 48) uint8 in, probabilities (N, 8) out."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.session = open_session(path, threads)
        self.metadata: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        if self.metadata.get("roommood.task") != "expression":
            raise ModelError(f"{path}: no expression classifier that `roommood-train export` wrote")
        self.temperature = float(self.metadata["roommood.temperature"])
        self.sure_threshold = float(self.metadata["roommood.sure_threshold"])
        contract = json.loads(self.metadata["roommood.input"])
        self.mean, self.std = contract["mean"][0], contract["std"][0]

    def probabilities(self, pictures: Pictures) -> Floats:
        """Calibrated probabilities (N, 8), after the model's own temperature."""
        return softmax((self.logits(pictures) / self.temperature).astype(np.float32))

    def logits(self, pictures: Pictures) -> Floats:
        """What the graph gives: (N, 8)."""
        parts = np.array_split(pictures, max(1, len(pictures) // 128))
        return np.concatenate([self._logits(part) for part in parts])

    def _logits(self, pictures: Pictures) -> Floats:
        faces = scaled(pictures, self.mean, self.std)
        return np.asarray(self.session.run(["logits"], {"faces": faces})[0], dtype=np.float32)


def scaled(pictures: Pictures, mean: float, std: float) -> Floats:
    """Pictures (N, H, W) uint8 as the network's input (N, 1, H, W)."""
    faces: Floats = (pictures[:, None].astype(np.float32) - np.float32(mean)) / np.float32(std)
    return faces


@dataclass(frozen=True)
class Evaluation:
    """What was measured; shares are parts of one, `confusion` counts with the truth in rows.

    `sure_by_px` has the part of the faces that count as sure, and their accuracy; `calibration`,
    for each bin that is not empty, the mean of the highest probability, how often it is right,
    and the count.
    """

    n: int
    accuracy: float
    ece: float
    mean_recall_of_seven: float
    recall: dict[str, float]
    precision: dict[str, float]
    confusion: list[list[int]]
    accuracy_by_px: dict[str, float]
    ece_by_px: dict[str, float]
    sure_by_px: dict[str, tuple[float, float]]
    accuracy_by_crop_px: dict[str, float]
    ms_per_face: float
    params: int
    calibration: list[tuple[float, float, int]]


def evaluate(model: Path, split: Path, progress: Progress = no_progress) -> Evaluation:
    """Every figure of `model` on the FER+ folder `split`; raises ConfigError for a bad folder."""
    classifier = Classifier(model)
    faces = clear_faces(read_split(split))
    truth = majority_labels(faces.votes)
    views = [(px, 0) for px in FACE_SIDES_PX] + [(SIDE_PX, step) for step in CROP_STEPS_PX]
    answers_of = {}
    for place, (px, step) in enumerate(views):
        progress(place, len(views))
        answers_of[px, step] = classifier.probabilities(view(faces.pictures, px, step))
    progress(len(views), len(views))
    answers = answers_of[SIDE_PX, 0]
    by_px = {px: answers_of[px, 0] for px in FACE_SIDES_PX}
    by_crop = {step: answers_of[SIDE_PX, step] for step in CROP_STEPS_PX}
    clear = {
        px: answer.max(1) >= least_sure(at_size(faces.pictures, px), classifier.sure_threshold)
        for px, answer in by_px.items()
    }
    table = confusion(truth, answers)
    recalls = recall(table)
    return Evaluation(
        n=len(truth),
        accuracy=accuracy(truth, answers),
        ece=calibration_error(truth, answers),
        mean_recall_of_seven=float(np.mean(list(recalls.values())[:-1])),
        recall=recalls,
        precision=recall(table.T),
        confusion=table.tolist(),
        accuracy_by_px={str(px): accuracy(truth, answer) for px, answer in by_px.items()},
        ece_by_px={str(px): calibration_error(truth, answer) for px, answer in by_px.items()},
        sure_by_px={str(px): sure(truth, answer, clear[px]) for px, answer in by_px.items()},
        accuracy_by_crop_px={f"{px:+d}": accuracy(truth, answer) for px, answer in by_crop.items()},
        ms_per_face=milliseconds_per_face(classifier),
        params=count_weights(model),
        calibration=calibration_bins(truth, answers),
    )


def clear_faces(faces: FaceSet) -> FaceSet:
    """The faces with a clear majority for one of the eight expressions."""
    return faces.take(majority_labels(faces.votes) >= 0)


def view(pictures: Pictures, side_px: int, step_px: int) -> Pictures:
    """Faces as `at_size` or `recropped` shows them, or both."""
    shown = recropped(pictures, step_px) if step_px else pictures
    return at_size(shown, side_px)


def at_size(pictures: Pictures, side_px: int) -> Pictures:
    """What is left of faces `side_px` wide in the frame: down by area, back up linearly."""
    if side_px >= SIDE_PX:
        return pictures
    small = [cv2.resize(p, (side_px, side_px), interpolation=cv2.INTER_AREA) for p in pictures]
    return _to_side(small)


def recropped(pictures: Pictures, step_px: int) -> Pictures:
    """Crops `step_px` looser (above zero, the edge repeated) or tighter on each side."""
    if step_px < 0:
        return _to_side([p[-step_px:step_px, -step_px:step_px] for p in pictures])
    edges = (step_px,) * 4
    return _to_side([cv2.copyMakeBorder(p, *edges, cv2.BORDER_REPLICATE) for p in pictures])


def softmax(logits: Floats) -> Floats:
    """Rows of logits as probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def accuracy(truth: Labels, answers: Floats) -> float:
    """The part of the rows whose highest probability is the true label."""
    return float((answers.argmax(axis=1) == truth).mean())


def calibration_error(truth: Labels, answers: Floats) -> float:
    """How far the highest probability is from how often it is right, weighted over bins."""
    bins = calibration_bins(truth, answers)
    return sum(abs(confidence - right) * count for confidence, right, count in bins) / len(truth)


def calibration_bins(truth: Labels, answers: Floats) -> list[tuple[float, float, int]]:
    """For each bin that is not empty: mean highest probability, part that is right, count."""
    confidence = answers.max(axis=1)
    right = answers.argmax(axis=1) == truth
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    members = [bins == number for number in np.unique(bins)]
    return [(float(confidence[m].mean()), float(right[m].mean()), int(m.sum())) for m in members]


def sure(truth: Labels, answers: Floats, chosen: NDArray[np.bool_]) -> tuple[float, float]:
    """The part of the faces that are `chosen` as sure, and their accuracy."""
    hits = accuracy(truth[chosen], answers[chosen]) if chosen.any() else 0.0
    return float(chosen.mean()), hits


def confusion(truth: Labels, answers: Floats) -> Labels:
    """Counts (8, 8): the truth in rows, the answer in columns."""
    cells = truth * COUNT + answers.argmax(axis=1)
    return np.bincount(cells, minlength=COUNT * COUNT).reshape(COUNT, COUNT).astype(np.int64)


def recall(table: Labels) -> dict[str, float]:
    """Per expression the part of its row that lies on the diagonal; of the transpose: precision."""
    rows = table.sum(axis=1).clip(min=1)
    return dict(zip(EXPRESSIONS, (table.diagonal() / rows).tolist(), strict=True))


def milliseconds_per_face(classifier: Classifier, batch: int = 8, runs: int = 100) -> float:
    """Median processor time of a face in batches of `batch`, input scaling and softmax included.

    Processor time, because other programs on a busy machine would stretch wall time.
    """
    faces = np.random.default_rng(0).integers(0, 256, (batch, SIDE_PX, SIDE_PX), dtype=np.uint8)
    times = []
    for _ in range(runs + 10):
        start = time.process_time()
        classifier.probabilities(faces)
        times.append(time.process_time() - start)
    return float(np.median(times[10:])) * 1000 / batch


def count_weights(model: Path) -> int:
    """Numbers stored in the model's weights."""
    import onnx

    return sum(int(np.prod(weight.dims)) for weight in onnx.load(model).graph.initializer)


def _to_side(pictures: list[Pictures]) -> Pictures:
    size = (SIDE_PX, SIDE_PX)
    resized = [cv2.resize(p, size, interpolation=cv2.INTER_LINEAR) for p in pictures]
    return np.stack(resized).astype(np.uint8, copy=False)
