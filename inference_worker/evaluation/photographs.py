"""Measuring an expression classifier on labelled photographs, each of one face.

The shipped detector finds the face, so that its boxes, crop, calibration and both rules of "sure"
count as in a room. Every picture is scaled until the face that was found has a given side.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from roommood.inference_worker.evaluation.evaluate import check_limit, rounded
from roommood.inference_worker.evaluation.expression import (
    Probabilities,
    calibration_error,
    confusion,
    recalls,
)
from roommood.inference_worker.evaluation.ferplus import Counts
from roommood.inference_worker.evaluation.pictures import read_picture
from roommood.inference_worker.evaluation.tables import rows_of
from roommood.inference_worker.vision.detectors import open_detector
from roommood.inference_worker.vision.emotions import ExpressionClassifier, open_classifier
from roommood.inference_worker.vision.faces import Detection, FaceDetector
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.errors import ConfigError, PictureError
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS

LABELS: Final = "labels.csv"
FACE_SIDES_PX: Final = (64, 32)
_COLUMNS: Final = ("image", "emotion")
# Around each picture, in parts of its longer side: many are cut tightly around the face.
_MARGIN: Final = 0.3
_GREY: Final = (127, 127, 127)
_DETECTED_PX: Final = 320
_WORDS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotographFigures:
    """What was measured. Shares are in 0..1, None where there was nothing to measure them on.

    `alike` values weigh each expression that is there the same, however many faces show it.
    Of `n` pictures with a label the detector found a face in the share `found`; all else is of
    these, at the first of FACE_SIDES_PX.
    """

    task: str
    model: str
    n: int
    found: float
    accuracy: float | None
    mean_recall: float | None
    ece_alike: float | None
    sure_alike: float | None
    accuracy_of_sure_alike: float | None
    recall: dict[str, float | None]
    confusion: list[list[int]]
    mean_recall_by_px: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Answers:
    """Of N faces: the truth (N,), probabilities (N, 8), and 1 or 0 for sure or not (N,)."""

    truth: Counts
    answers: Probabilities
    sure: Counts


def has_photographs(data: Path) -> bool:
    """Whether the folder is in this layout: images/ beside a labels.csv."""
    return (data / LABELS).is_file() and (data / "images").is_dir()


def evaluate_photographs(
    path: Path, data: Path, *, limit: int | None = None, progress: Progress = no_progress
) -> PhotographFigures:
    """Every figure of the classifier in `path` on `data`, images/ beside a labels.csv whose first
    columns are image and emotion; rows with another word than the eight expressions are skipped,
    and counted on stderr.

    Raises ModelError, and ConfigError or PictureError naming file and line.
    """
    check_limit(limit)
    labels = read_labels(data / LABELS)
    _note_skipped(data / LABELS, labels)
    rows = labels.rows[:limit]
    _check_present(data / "images", rows)
    classifier, answers = answers_on(path, data, rows, FACE_SIDES_PX, progress)
    return _figures(classifier.contract.model_id, len(rows), answers)


def answers_on(
    path: Path,
    data: Path,
    rows: Sequence[tuple[str, int]],
    sides_px: Sequence[int],
    progress: Progress = no_progress,
) -> tuple[ExpressionClassifier, dict[int, Answers]]:
    """The classifier in `path`, and what it makes of the largest face of each picture, at each
    side in pixels; `rows` are names below images/ and expressions."""
    detector = open_detector(input_size=_DETECTED_PX)
    classifier = open_classifier(str(path), box_style=detector.box_style)
    classifier.try_out()
    crops: list[tuple[int, Picture, Detection]] = []
    for place, (name, label) in enumerate(rows):
        progress(place, len(rows))
        picture = framed(data / "images" / name)
        face = _largest(detector, picture)
        if face is not None:
            crops.append((label, picture, face))
    return classifier, {px: _answers_of(classifier, crops, px) for px in sides_px}


@dataclass(frozen=True, slots=True)
class Labels:
    """What a labels.csv says: names of pictures below images/ with the place of their expression
    in wire order, and how often it has another word in its place."""

    rows: list[tuple[str, int]]
    skipped: Counter[str]


def read_labels(path: Path) -> Labels:
    """The lines of a labels.csv, whatever the case of its words.

    Raises ConfigError: it cannot be read as one, or no line names one of the eight expressions.
    """
    labels = Labels([], Counter())
    table = rows_of(path)
    number, header = next(table, (1, []))
    if tuple(map(str.lower, header[:2])) != _COLUMNS:
        raise ConfigError(
            f"{path}, line {number}: the first columns are not {', '.join(_COLUMNS)}: "
            "let it begin with a line that names them"
        )
    for number, row in table:
        if len(row) < len(_COLUMNS):
            raise ConfigError(f"{path}, line {number}: {len(row)} columns, at least 2 are due")
        name, word = row[0], row[1].lower()
        if word in EXPRESSIONS:
            labels.rows.append((name, EXPRESSIONS.index(word)))
        else:
            labels.skipped[row[1]] += 1
    if not labels.rows:
        raise ConfigError(
            f"{path}: no line names one of {', '.join(EXPRESSIONS)}"
            f"{_words(labels.skipped)}: use these words"
        )
    return labels


def _words(skipped: Counter[str]) -> str:
    """Those that are most frequent."""
    words = [f"{word[:30]!r} in {count}" for word, count in skipped.most_common(_WORDS_SHOWN)]
    return f" ({', '.join(words)})" if words else ""


def _note_skipped(path: Path, labels: Labels) -> None:
    if labels.skipped:
        count, words = labels.skipped.total(), _words(labels.skipped)
        sys.stderr.write(f"note: {path}: lines skipped for another word: {count}{words}\n")


def _check_present(folder: Path, rows: Sequence[tuple[str, int]]) -> None:
    """Before the first of perhaps thousands is looked at."""
    missing = [folder / name for name, _ in rows if not (folder / name).is_file()]
    if missing:
        raise PictureError(
            f"{missing[0]}: no such file; of {len(rows)} pictures {len(missing)} are missing: "
            f"{LABELS} has names below {folder.name}/, or whole paths"
        )


def framed(path: Path) -> Picture:
    """A picture with a grey margin, 320 px on its longer side. Raises PictureError."""
    picture = read_picture(path, cv2.IMREAD_COLOR)
    margin = round(_MARGIN * max(picture.shape[:2]))
    wider: Any = cv2.copyMakeBorder(picture, *(margin,) * 4, cv2.BORDER_CONSTANT, value=_GREY)
    return _scaled(wider, _DETECTED_PX / max(wider.shape[:2]))


def _scaled(picture: Picture, scale: float) -> Picture:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled: Any = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how)
    return np.asarray(scaled, np.uint8)


def _largest(detector: FaceDetector, picture: Picture) -> Detection | None:
    return max(detector.detect(picture), key=lambda face: face.side, default=None)


def _answers_of(
    classifier: ExpressionClassifier, crops: list[tuple[int, Picture, Detection]], px: int
) -> Answers:
    """What the classifier makes of each face at that side in pixels."""
    answers, sure = [], []
    for _, picture, face in crops:
        scale = px / face.side
        (answer,) = classifier.classify(_scaled(picture, scale), [_moved(face, scale)])
        answers.append(answer.probabilities)
        sure.append(answer.sure)
    truth = np.array([label for label, _, _ in crops], np.int64)
    return Answers(truth, np.array(answers).reshape(-1, len(EXPRESSIONS)), np.array(sure, np.int64))


def _moved(face: Detection, scale: float) -> Detection:
    x, y, width, height = (v * scale for v in (face.x, face.y, face.width, face.height))
    points = face.landmarks and tuple((left * scale, top * scale) for left, top in face.landmarks)
    return Detection(x, y, width, height, face.score, points, face.certain)


def _figures(model: str, n: int, answers_by_px: dict[int, Answers]) -> PhotographFigures:
    first = answers_by_px[FACE_SIDES_PX[0]]
    recall = {
        px: recalls(confusion(answers.truth, answers.answers))
        for px, answers in answers_by_px.items()
    }
    right = first.answers.argmax(axis=1) == first.truth
    weights = _alike(first.truth)
    weight_of_sure = weights * first.sure
    return PhotographFigures(
        task="photographs",
        model=model,
        n=n,
        found=rounded(len(right) / max(n, 1)),
        accuracy=rounded(right.mean()) if right.size else None,
        mean_recall=_mean(recall[FACE_SIDES_PX[0]]),
        ece_alike=_calibration(first, weights),
        sure_alike=rounded(weight_of_sure.sum()) if right.size else None,
        accuracy_of_sure_alike=_share(weight_of_sure * right, weight_of_sure),
        recall=recall[FACE_SIDES_PX[0]],
        confusion=confusion(first.truth, first.answers).tolist(),
        mean_recall_by_px={str(px): _mean(recall_of) for px, recall_of in recall.items()},
    )


def _alike(truth: Counts) -> Probabilities:
    """Weights (N,), summing to 1, that give each expression the same."""
    counts = np.bincount(truth, minlength=len(EXPRESSIONS))
    weights = 1 / counts[truth] if truth.size else np.zeros(0)
    return np.asarray(weights / max(1, int(np.count_nonzero(counts))), np.float64)


def _calibration(answers: Answers, weights: Probabilities) -> float | None:
    return (
        calibration_error(answers.truth, answers.answers, weights) if answers.truth.size else None
    )


def _share(part: Probabilities, whole: Probabilities) -> float | None:
    return rounded(part.sum() / whole.sum()) if whole.any() else None


def _mean(recall: dict[str, float | None]) -> float | None:
    known = [share for share in recall.values() if share is not None]
    return rounded(np.mean(known)) if known else None
