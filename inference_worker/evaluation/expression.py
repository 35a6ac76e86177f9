"""Measuring an expression classifier the way the product runs it.

The faces lie on contact sheets, as faces lie in a camera's frame, and go through the product's
own crop, batch and calibration. Accuracy follows the majority protocol of FER+ over its eight
expressions (see `ferplus`); calibration is the expected calibration error of Guo et al. 2017
(arXiv 1706.04599) with 15 bins of equal width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.evaluate import check_limit, milliseconds, rounded
from roommood.inference_worker.evaluation.ferplus import (
    SIDE_PX,
    Counts,
    find_split,
    read_clear_faces,
)
from roommood.inference_worker.models.contract import Placement
from roommood.inference_worker.models.files import load_expression
from roommood.inference_worker.models.params import count_params
from roommood.inference_worker.vision.emotions import ExpressionClassifier
from roommood.inference_worker.vision.faces import BoxStyle, Detection
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS

FACE_SIDES_PX: Final = (16, 24, 32, 40, 48)
CROP_STEPS_PX: Final = (-4, 4)
BINS: Final = 15
_COLUMNS: Final = 8
_FACES_A_SHEET: Final = 64
# Around each face on a sheet its edge is repeated, wider than any crop reaches.
_MARGIN_PX: Final = 8
_TIMED_BATCH: Final = 8
_TIMED_RUNS: Final = 60
_CONTEMPT: Final = EXPRESSIONS.index("contempt")

Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionFigures:
    """What was measured. Shares are in 0..1, None where there was no face to measure them on.

    `confusion` counts faces, rows: truth, columns: answer, both in wire order. `sure` is the
    share of faces that count as sure, `accuracy_of_sure` how often those are right.
    """

    task: str
    model: str
    split: str
    n: int
    accuracy: float
    mean_recall_7: float | None
    ece: float
    ece_bins: int
    recall: dict[str, float | None]
    precision: dict[str, float | None]
    confusion: list[list[int]]
    accuracy_by_px: dict[str, float]
    accuracy_by_crop_px: dict[str, float]
    sure: float
    accuracy_of_sure: float | None
    ms_per_face: float
    params: int
    bytes: int


def evaluate_expression(
    path: Path,
    data: Path,
    split: str | None = None,
    *,
    limit: int | None = None,
    progress: Progress = no_progress,
) -> ExpressionFigures:
    """Every figure of the classifier in `path` on a folder in the layout of FER+.

    Raises:
        ModelError: no usable model file, or without contract.
        ConfigError, PictureError: no usable data folder, naming file and line.
    """
    check_limit(limit)
    name, folder = find_split(data, split)
    subject = _Subject(path)
    pictures, truth = read_clear_faces(folder, limit)
    views = _answers_by_view(subject, pictures, progress)
    answers = {view: each.answers for view, each in views.items()}
    whole, sure = views[SIDE_PX, 0].answers, views[SIDE_PX, 0].sure
    table = confusion(truth, whole)
    recall = recalls(table)
    return ExpressionFigures(
        task="expression",
        model=subject.classifier.contract.model_id,
        split=name,
        n=len(truth),
        accuracy=accuracy(truth, whole),
        mean_recall_7=_mean([recall[label] for label in EXPRESSIONS[:_CONTEMPT]]),
        ece=calibration_error(truth, whole),
        ece_bins=BINS,
        recall=recall,
        precision=recalls(table.T),
        confusion=table.tolist(),
        accuracy_by_px={str(px): accuracy(truth, answers[px, 0]) for px in FACE_SIDES_PX},
        accuracy_by_crop_px={
            f"{step:+d}": accuracy(truth, answers[SIDE_PX, step]) for step in CROP_STEPS_PX
        },
        sure=rounded(sure.mean()),
        accuracy_of_sure=accuracy(truth[sure], whole[sure]) if sure.any() else None,
        ms_per_face=subject.milliseconds_per_face(pictures),
        params=count_params(path),
        bytes=path.stat().st_size,
    )


@dataclass(frozen=True, slots=True)
class _Answers:
    """Of N faces: probabilities (N, 8), and which of them (N,) count as sure."""

    answers: Probabilities
    sure: NDArray[np.bool_]


class _Subject:
    """The classifier under test, fed with faces whose crop is known."""

    def __init__(self, path: Path) -> None:
        model, contract = load_expression(path)
        style: BoxStyle = "tight" if contract.crop.tight else "haar"
        self.classifier = ExpressionClassifier(model, contract, style)
        self.classifier.try_out()
        self._placement: Placement = getattr(contract.crop, style)

    def answers(self, faces: Picture, step_px: int = 0) -> _Answers:
        """Of faces (N, k, k), each cropped `step_px` looser on every side, or tighter."""
        expressions = [
            expression
            for sheet, count in _sheets(faces)
            for expression in self.classifier.classify(
                sheet, self._detections(count, faces.shape[1], step_px)
            )
        ]
        answers = np.array([expression.probabilities for expression in expressions])
        return _Answers(
            answers, np.array([expression.sure for expression in expressions], np.bool_)
        )

    def milliseconds_per_face(self, faces: Picture) -> float:
        """Of a batch of 8, in one thread: crop, network and calibration."""
        sheet = _sheet(np.resize(faces, (_TIMED_BATCH, *faces.shape[1:])))
        boxes = self._detections(_TIMED_BATCH, faces.shape[1], 0)
        batch_ms = milliseconds(lambda: self.classifier.classify(sheet, boxes), _TIMED_RUNS)
        return rounded(batch_ms / _TIMED_BATCH)

    def _detections(self, count: int, side_px: int, step_px: int) -> list[Detection]:
        cell = side_px + 2 * _MARGIN_PX
        return [
            self._detection(
                _MARGIN_PX + place % _COLUMNS * cell - step_px,
                _MARGIN_PX + place // _COLUMNS * cell - step_px,
                side_px + 2 * step_px,
            )
            for place in range(count)
        ]

    def _detection(self, left: float, top: float, side: float) -> Detection:
        """The box whose crop, by the model's contract, is this square: `square_of` inverted."""
        due = self._placement
        box = side / due.side
        x = left + (0.5 - due.dx) * side - box / 2
        y = top + (0.5 - due.dy) * side - box / 2
        return Detection(x, y, box, box, score=1.0)


def _answers_by_view(
    subject: _Subject, pictures: Picture, progress: Progress
) -> dict[tuple[int, int], _Answers]:
    """By the face's side in pixels and by how many pixels the crop is looser."""
    views = [(px, 0) for px in FACE_SIDES_PX] + [(SIDE_PX, step) for step in CROP_STEPS_PX]
    answers = {}
    for place, (px, step) in enumerate(views):
        progress(place, len(views))
        answers[px, step] = subject.answers(_at_size(pictures, px), step)
    progress(len(views), len(views))
    return answers


def _sheets(faces: Picture) -> Iterator[tuple[Picture, int]]:
    for start in range(0, len(faces), _FACES_A_SHEET):
        some = faces[start : start + _FACES_A_SHEET]
        yield _sheet(some), len(some)


def _sheet(faces: Picture) -> Picture:
    """Faces (N, k, k) in rows of eight on one BGR picture."""
    margin = (_MARGIN_PX, _MARGIN_PX)
    cells = np.pad(faces, ((0, -len(faces) % _COLUMNS), (0, 0), (0, 0)))
    cells = np.pad(cells, ((0, 0), margin, margin), mode="edge")
    side = cells.shape[1]
    grid = cells.reshape(-1, _COLUMNS, side, side).swapaxes(1, 2).reshape(-1, _COLUMNS * side)
    return np.repeat(grid[:, :, None], 3, axis=2)


def _at_size(faces: Picture, side_px: int) -> Picture:
    """What a camera delivers of faces that are `side_px` wide: averaged down by area."""
    if side_px == SIDE_PX:
        return faces
    size = (side_px, side_px)
    small = [cv2.resize(face, size, interpolation=cv2.INTER_AREA) for face in faces]
    return np.stack(small).astype(np.uint8, copy=False)


def accuracy(truth: Counts, answers: Probabilities) -> float:
    """The share of rows whose highest probability is the true label's."""
    return rounded((answers.argmax(axis=1) == truth).mean())


def calibration_error(
    truth: Counts, answers: Probabilities, weights: Probabilities | None = None
) -> float:
    """How far the highest probability is from how often it is right, weighted over the bins.

    With `weights` (N,) each face counts as often as its own says.
    """
    weights = np.ones(len(truth)) if weights is None else weights
    best = answers.max(axis=1)
    right = answers.argmax(axis=1) == truth
    bins = np.minimum((best * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, right * weights, BINS) - np.bincount(bins, best * weights, BINS)
    return rounded(np.abs(gaps).sum() / weights.sum())


def confusion(truth: Counts, answers: Probabilities) -> Counts:
    """Counts (8, 8), rows: truth, columns: answer."""
    table = np.zeros((len(EXPRESSIONS), len(EXPRESSIONS)), np.int64)
    np.add.at(table, (truth, answers.argmax(axis=1)), 1)
    return table


def recalls(table: Counts) -> dict[str, float | None]:
    """Per expression the share of its row that is right; of the transposed table: precision."""
    cells: Any = zip(EXPRESSIONS, table.diagonal(), table.sum(axis=1), strict=True)
    return {label: rounded(right / of) if of else None for label, right, of in cells}


def _mean(shares: list[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return rounded(np.mean(known)) if known else None
