"""YuNet and detectors with its outputs, through onnxruntime.

Wu, Peng & Yu (2023), "YuNet: a tiny millisecond-level face detector", Machine Intelligence
Research 20, 656-665. For each stride s of 8, 16 and 32 the outputs `cls_s`, `bbox_s` and,
where present, `obj_s` and `kps_s` have the shape (1, H/s * W/s, k), cells row by row:

    score      sqrt(cls * obj), or cls where there is no obj
    centre     ((column + b0) * s, (row + b1) * s)
    size       (exp(b2) * s, exp(b3) * s)
    landmark   ((column + k0) * s, (row + k1) * s), five times
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from roommood.inference_worker.models.files import load_face
from roommood.inference_worker.vision.faces import BoxStyle, Detection
from roommood.inference_worker.vision.letterbox import Letterbox
from roommood.inference_worker.vision.onnx_model import OnnxModel, Tensor
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.errors import ModelError

_STRIDES: Final = (8, 16, 32)
_CHANNELS: Final = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
_REQUIRED: Final = ("cls", "bbox")
# Candidates that enter the suppression of overlaps, best first: its cost is their square.
_TOP_K: Final = 1000
# Part of the smaller of two boxes that may lie in the other.
_MOST_NESTED: Final = 0.9
# exp of this times the stride is far beyond any picture.
_MAX_LOG_SIZE: Final = 8.0
# Of each output's sum: other processors round differently.
SELF_TEST_TOLERANCE: Final = 1e-3


class YuNetDetector:
    """A YuNet-style model; see the module for its outputs and `FaceDetector` for its use.

    Sessions and weights are shared by all threads; each thread keeps its own input tensor.
    """

    def __init__(
        self,
        path: Path,
        input_size: int = 640,
        score_threshold: float | None = None,
        provider: str = "cpu",
    ) -> None:
        """Raises ModelError: missing, damaged, or without YuNet's outputs."""
        self._model, self.contract = load_face(path, provider)
        self.detector_id = self.contract.model_id
        self.box_style: BoxStyle = self.contract.box
        self.provider = self._model.provider
        self.reads_gray = self.contract.input.colour == "gray"
        self._kinds = _kinds_of_output(self._model)
        self._outputs = [f"{kind}_{stride}" for stride in _STRIDES for kind in self._kinds]
        self._letterbox = Letterbox(self.contract.input, input_size, self._fixed_size())
        self._threshold = score_threshold or self.contract.score_threshold

    def detect(self, picture: Picture) -> list[Detection]:
        """See `FaceDetector.detect`."""
        tensor, scale_x, scale_y = self._letterbox.fill(picture)
        outputs = self._model(tensor, self._outputs)
        candidates = list(self._candidates(outputs, *self._letterbox.size_of(tensor)))
        if not candidates:
            return []
        rows = self._best(np.concatenate(candidates))
        rows[:, 1::2] /= scale_x
        rows[:, 2::2] /= scale_y
        return [_detection(row, self.contract.sure_score) for row in rows.tolist()]

    def self_test(self) -> None:
        """See `FaceDetector.self_test`."""
        recorded = self.contract.selftest
        if recorded is None:
            return
        size = (recorded.height, recorded.width)
        noise = np.random.default_rng(recorded.seed).integers(0, 256, size, dtype=np.uint8)
        box = Letterbox(self.contract.input, max(size), self._fixed_size())
        tensor, *_ = box.fill(np.repeat(noise[:, :, None], 3, axis=2))
        for name, output in zip(
            recorded.sums, self._model(tensor, list(recorded.sums)), strict=True
        ):
            total = float(output.sum(dtype=np.float64))
            if not math.isclose(total, recorded.sums[name], rel_tol=SELF_TEST_TOLERANCE):
                raise ModelError(
                    f"{self._model.path}: the self-test gives {total:.6g} for {name}, "
                    f"{recorded.sums[name]:.6g} is due, on {self.provider}: the file is damaged, "
                    "or this provider computes it wrongly"
                )

    def _candidates(self, outputs: list[Tensor], height: int, width: int) -> Iterator[Tensor]:
        """Rows of score, x, y, width, height and landmarks, in pixels of the input tensor."""
        each = len(self._kinds)
        for number, stride in enumerate(_STRIDES):
            cells = (height // stride) * (width // stride)
            level = {
                kind: self._checked(kind, stride, outputs[number * each + place], cells)
                for place, kind in enumerate(self._kinds)
            }
            likely = self._likely_cells(level)
            if likely.size:
                yield self._rows(level, likely, stride, width // stride)

    def _checked(self, kind: str, stride: int, output: Tensor, cells: int) -> Tensor:
        """The output as (cells, k)."""
        if output.shape != (1, cells, _CHANNELS[kind]):
            raise ModelError(
                f"{self._model.path}: its output {kind}_{stride} is of shape {output.shape}; "
                f"(1, {cells}, {_CHANNELS[kind]}) is due: this is not a YuNet-style detector"
            )
        level: Tensor = output[0]
        return level

    def _likely_cells(self, level: dict[str, Tensor]) -> Any:
        """Indices of the cells above the threshold, which are few: the rest is never decoded."""
        scores, bar = level["cls"][:, 0], self._threshold
        if "obj" in level:
            scores, bar = scores * level["obj"][:, 0], bar**2
        if np.isnan(scores.max()):
            raise ModelError(f"{self._model.path}: its scores are not numbers: the file is damaged")
        return np.flatnonzero(scores >= bar)

    def _rows(self, level: dict[str, Tensor], cells: Any, stride: int, columns: int) -> Tensor:
        row, column = np.divmod(cells, columns)
        corner = np.stack([column, row], 1, dtype=np.float32)
        box = level["bbox"][cells]
        size = np.exp(np.minimum(box[:, 2:], _MAX_LOG_SIZE))
        parts = [_score(level, cells), corner + box[:, :2] - size / 2, size]
        if "kps" in level:
            parts.append(level["kps"][cells] + np.tile(corner, 5))
        rows: Tensor = np.concatenate(parts, 1, dtype=np.float32)
        rows[:, 1:] *= stride
        if not np.isfinite(rows).all():
            raise ModelError(f"{self._model.path}: its boxes are not numbers: the file is damaged")
        return rows

    def _best(self, rows: Tensor) -> Tensor:
        """What is left after greedy suppression of overlaps, best first."""
        kept = cv2.dnn.NMSBoxes(
            rows[:, 1:5],  # type: ignore[arg-type]
            rows[:, 0],  # type: ignore[arg-type]
            score_threshold=self._threshold,
            nms_threshold=self.contract.nms_iou,
            top_k=_TOP_K,
        )
        best: Tensor = rows[np.asarray(kept, dtype=np.intp).reshape(-1)]
        return _without_nested(best, self.contract.score_threshold)

    def _fixed_size(self) -> tuple[int, int] | None:
        """Height and width, where the file fixes them."""
        shape = self._model.input_shape
        sides = shape[2:] if self.contract.input.layout == "NCHW" else shape[1:3]
        height, width = sides
        if height is None and width is None:
            return None
        if height is None or width is None or height % _STRIDES[-1] or width % _STRIDES[-1]:
            raise ModelError(
                f"{self._model.path}: its input is {height or '?'} high and {width or '?'} wide; "
                "both must be free, or both fixed at multiples of 32"
            )
        return height, width


def _kinds_of_output(model: OnnxModel) -> list[str]:
    """Which of cls, obj, bbox and kps the model has, at all three strides."""
    names = model.output_shapes
    kinds = [kind for kind in _CHANNELS if all(f"{kind}_{s}" in names for s in _STRIDES)]
    if not set(_REQUIRED) <= set(kinds):
        raise ModelError(
            f"{model.path}: its outputs are {', '.join(names)}; a YuNet-style detector has "
            "cls_8, cls_16, cls_32, bbox_8, bbox_16 and bbox_32 (and obj_*, kps_*)"
        )
    return kinds


def _without_nested(best: Tensor, certain: float) -> Tensor:
    """Drops boxes that lie mostly inside a better one, or around it: faces do not nest.

    Only a box whose score is at least `certain` speaks against others.

    Overlap of the union, as suppression measures it, is small where one box is much larger.
    """
    if len(best) < 2:
        return best
    corner, size = best[:, None, 1:3], best[:, None, 3:5]
    overlap = np.minimum(corner + size, (corner + size).swapaxes(0, 1))
    overlap = overlap - np.maximum(corner, corner.swapaxes(0, 1))
    shared = np.maximum(overlap, 0).prod(2)
    area = size.prod(2)
    nested = np.tril(shared > _MOST_NESTED * np.minimum(area, area.T), -1)
    nested &= best[:, 0] >= certain
    kept: Tensor = best[~nested.any(1)]
    return kept


def _score(level: dict[str, Tensor], cells: Any) -> Tensor:
    score: Tensor = np.clip(level["cls"][cells], 0, 1)
    if "obj" in level:
        score = np.sqrt(score * np.clip(level["obj"][cells], 0, 1))
    return score


def _detection(row: list[float], sure_score: float) -> Detection:
    score, x, y, width, height, *points = row
    landmarks = tuple(zip(points[::2], points[1::2], strict=True)) if points else None
    return Detection(x, y, width, height, score, landmarks, score >= sure_score)
