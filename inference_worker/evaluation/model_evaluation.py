"""Which measurement fits a model and a data folder."""

import sys
from pathlib import Path

from roommood.inference_worker.evaluation.evaluate import is_haar, task_of
from roommood.inference_worker.evaluation.expression import ExpressionFigures, evaluate_expression
from roommood.inference_worker.evaluation.faces import FaceFigures, evaluate_faces
from roommood.inference_worker.evaluation.ferplus import SPLITS
from roommood.inference_worker.evaluation.photographs import (
    PhotographFigures,
    evaluate_photographs,
    has_photographs,
)
from roommood.inference_worker.evaluation.voc import is_voc
from roommood.inference_worker.models.store import resolve
from roommood.shared.errors import ConfigError
from roommood.shared.process.progress import Progress, no_progress

Figures = ExpressionFigures | FaceFigures | PhotographFigures


def evaluate_model(
    spec: str,
    data: Path,
    split: str | None = None,
    *,
    limit: int | None = None,
    progress: Progress = no_progress,
) -> Figures:
    """Measure what `spec` names (a path, a known model's name, or haar) on a data folder.

    Raises:
        ConfigError: the folder's layout is none of those known, or not what the model needs.
        ModelError, PictureError: as the evaluations do.
    """
    if split is not None and split not in SPLITS:
        raise ConfigError(f"--split is {split!r}: use {', '.join(SPLITS)}")
    file = spec if is_haar(spec) else str(resolve(spec))
    if task_of(file) == "face":
        _check_layout(spec, data, voc=True)
        _note_no_splits(data, split)
        return evaluate_faces(file, data, limit=limit, progress=progress)
    if has_photographs(data):
        _note_no_splits(data, split)
        return evaluate_photographs(Path(file), data, limit=limit, progress=progress)
    _check_layout(spec, data, voc=False)
    return evaluate_expression(Path(file), data, split, limit=limit, progress=progress)


def _note_no_splits(data: Path, split: str | None) -> None:
    if split is not None:
        sys.stderr.write(f"note: {data} has no splits: all of it is used\n")


def _check_layout(spec: str, data: Path, *, voc: bool) -> None:
    ferplus = any((data / folder).is_dir() for folder in SPLITS.values())
    if voc and not is_voc(data):
        raise ConfigError(f"{spec} finds faces: {data} needs images/ and annotations/ (VOC XML)")
    if not voc and not ferplus:
        folders = ", ".join(f"{folder}/" for folder in SPLITS.values())
        raise ConfigError(
            f"{spec} tells expressions: {data} needs one of {folders} (FER+), "
            "or images/ and labels.csv"
        )
