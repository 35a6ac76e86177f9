"""Measuring a face detector the way the product runs it, on photographs with true boxes.

Average precision at IoU 0.5 over all scores down to 0.02, by the size of the true box in pixels
of the analysed picture (longer side at most 640); false positives at the detector's own
threshold; processor time of `detect` on 640x480 pictures in one thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from roommood.inference_worker.evaluation.average_precision import (
    Judged,
    Question,
    average_precision,
    count_faces,
    find_hits,
)
from roommood.inference_worker.evaluation.evaluate import (
    check_limit,
    is_haar,
    milliseconds,
    rounded,
    task_of,
)
from roommood.inference_worker.evaluation.voc import Boxes, Photograph, read_photographs
from roommood.inference_worker.models.params import count_params
from roommood.inference_worker.vision.detectors import open_detector
from roommood.inference_worker.vision.faces import DEFAULT_INPUT_SIZE, Detection, FaceDetector
from roommood.inference_worker.vision.onnx_detector import OnnxDetector
from roommood.inference_worker.vision.opencv import Picture, resize
from roommood.shared.errors import ModelError
from roommood.shared.process.progress import Progress, no_progress

BANDS: Final = {
    "16-32": Question(16, 32),
    "32-64": Question(32, 64),
    ">=64": Question(64),
    ">=32": Question(32),
}
LOWEST_SCORE: Final = 0.02
_ALL: Final = Question()
_TIMED_PICTURES: Final = 10
_TIMED_RUNS: Final = 6
_FRAME_HEIGHT, _FRAME_WIDTH = 480, 640


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceFigures:
    """What was measured. Average precisions are in 0..1, None where there was no such face.

    `n` counts true boxes. `score_threshold` is the detector's own (None: Haar has none);
    `recall` and the false positives are those at it.
    """

    task: str
    model: str
    images: int
    n: int
    ap: float | None
    ap_by_px: dict[str, float | None]
    n_by_px: dict[str, int]
    ap_by_label: dict[str, float | None]
    n_by_label: dict[str, int]
    score_threshold: float | None
    recall: float | None
    false_positives_per_image: float
    face_free_images: int
    false_positives_per_face_free_image: float | None
    ms_per_image: float
    params: int | None
    bytes: int | None


def evaluate_faces(
    spec: str, data: Path, *, limit: int | None = None, progress: Progress = no_progress
) -> FaceFigures:
    """Every figure of a detector ("haar" or a YuNet-style ONNX file) on a folder in VOC layout.

    Raises:
        ModelError: no usable detector.
        ConfigError, PictureError: no usable data folder, naming the file.
    """
    check_limit(limit)
    if task_of(spec) != "face":
        raise ModelError(
            f"{spec}: without a detector's outputs it is no face detector: use FER+ data"
        )
    detector = open_detector(spec)
    threshold = detector.contract.score_threshold if isinstance(detector, OnnxDetector) else None
    photographs = read_photographs(data, limit)
    judged = _judge(_at_all_scores(spec), photographs, progress)
    wrong, hit_count = _mistakes(judged, threshold or 0.0)
    free = [number for number, picture in zip(wrong, judged, strict=True) if not len(picture.truth)]
    labels = {
        label: Question(label=label) for picture in judged for label in sorted(set(picture.labels))
    }
    n = count_faces(judged, _ALL)
    file = None if is_haar(spec) else Path(spec)
    return FaceFigures(
        task="face",
        model=detector.detector_id,
        images=len(judged),
        n=n,
        ap=_precision(judged, _ALL),
        ap_by_px={name: _precision(judged, band) for name, band in BANDS.items()},
        n_by_px={name: count_faces(judged, band) for name, band in BANDS.items()},
        ap_by_label={label: _precision(judged, labels[label]) for label in sorted(labels)},
        n_by_label={label: count_faces(judged, labels[label]) for label in sorted(labels)},
        score_threshold=threshold,
        recall=rounded(hit_count / n) if n else None,
        false_positives_per_image=rounded(np.mean(wrong)),
        face_free_images=len(free),
        false_positives_per_face_free_image=rounded(np.mean(free)) if free else None,
        ms_per_image=_milliseconds_per_image(detector, photographs),
        params=count_params(file) if file else None,
        bytes=file.stat().st_size if file else None,
    )


def _at_all_scores(spec: str) -> FaceDetector:
    return open_detector(spec, score_threshold=LOWEST_SCORE)


def _judge(
    detector: FaceDetector, photographs: Sequence[Photograph], progress: Progress
) -> list[Judged]:
    judged = []
    for place, photograph in enumerate(photographs):
        progress(place, len(photographs))
        picture = photograph.read()
        scale = min(1.0, DEFAULT_INPUT_SIZE / max(picture.shape[:2]))
        faces = detector.detect(picture)
        judged.append(
            Judged(
                boxes=_corners(faces) * np.float32(scale),
                scores=np.array([face.score for face in faces], np.float32),
                truth=photograph.faces.boxes * np.float32(scale),
                labels=photograph.faces.labels,
                difficult=photograph.faces.difficult,
            )
        )
    progress(len(photographs), len(photographs))
    return judged


def _corners(faces: Sequence[Detection]) -> Boxes:
    rows = [(face.x, face.y, face.x + face.width, face.y + face.height) for face in faces]
    return np.array(rows, np.float32).reshape(-1, 4)


def _precision(judged: Sequence[Judged], question: Question) -> float | None:
    precision = average_precision(judged, question)
    return None if precision is None else rounded(precision)


def _mistakes(judged: Sequence[Judged], threshold: float) -> tuple[list[int], int]:
    """At the threshold: the detections in each picture that find no face, and the faces found.

    Suppression of overlaps goes from the best score down, so a lower threshold adds detections
    and changes none.
    """
    wrong, hit_count = [], 0
    for picture in judged:
        hits, ignored = find_hits(picture, _ALL.counted(picture))
        above = picture.scores >= threshold
        wrong.append(int((above & ~hits & ~ignored).sum()))
        hit_count += int((above & hits).sum())
    return wrong, hit_count


def _milliseconds_per_image(detector: FaceDetector, photographs: Sequence[Photograph]) -> float:
    frames = [_framed(photograph.read()) for photograph in photographs[:_TIMED_PICTURES]]
    times = [milliseconds(lambda f=frame: detector.detect(f), _TIMED_RUNS) for frame in frames]  # type: ignore[misc]
    return rounded(np.median(times))


def _framed(picture: Picture) -> Picture:
    """The picture as large as it fits into a camera's 640x480, black around it."""
    height, width = picture.shape[:2]
    scale = min(_FRAME_HEIGHT / height, _FRAME_WIDTH / width)
    small = resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))
    frame = np.zeros((_FRAME_HEIGHT, _FRAME_WIDTH, 3), np.uint8)
    frame[: small.shape[0], : small.shape[1]] = small
    return frame
