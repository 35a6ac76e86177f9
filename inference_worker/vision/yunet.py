"""YuNet and detectors with its outputs, through onnxruntime.

Wu, Peng & Yu (2023), "YuNet: a tiny millisecond-level face detector", Machine Intelligence
Research 20, 656-665. For each stride s of 8, 16 and 32 the outputs `cls_s`, `bbox_s` and,
where present, `obj_s` and `kps_s` have the shape (1, H/s * W/s, k), cells row by row:

    score      sqrt(cls * obj), or cls where there is no obj
    centre     ((column + b0) * s, (row + b1) * s)
    size       (exp(b2) * s, exp(b3) * s)
    landmark   ((column + k0) * s, (row + k1) * s), five times
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from roommood.inference_worker.models.contract import FaceContract
from roommood.inference_worker.vision.onnx_detector import OnnxDetector, Row
from roommood.inference_worker.vision.onnx_model import Input, OnnxModel, Tensor
from roommood.inference_worker.vision.opencv import cv2
from roommood.shared.errors import ModelError

_STRIDES: Final = (8, 16, 32)
_CHANNELS: Final = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
_SCORES: Final = ("cls", "obj")
# How far they may lie beyond 0..1; logits lie farther.
_BEYOND: Final = 0.5
_REQUIRED: Final = ("cls", "bbox")
# Candidates that enter the suppression of overlaps, best first: its cost is their square.
_TOP_K: Final = 1000
# exp of this times the stride is far beyond any picture.
_MAX_LOG_SIZE: Final = 8.0


class YuNetDetector(OnnxDetector):
    """A YuNet-style model; see the module for its outputs, and `OnnxDetector`."""

    def __init__(
        self,
        model: OnnxModel,
        contract: FaceContract,
        input_size: int = 640,
        score_threshold: float | None = None,
    ) -> None:
        """Raises ModelError where it has not YuNet's outputs."""
        self._kinds = _kinds_of_output(model)
        super().__init__(model, contract, input_size, score_threshold)
        self._outputs = [f"{kind}_{stride}" for stride in _STRIDES for kind in self._kinds]

    def _rows(self, tensor: Input) -> list[Row]:
        outputs = self._model(tensor, self._outputs)
        candidates = list(self._candidates(outputs, *self._letterbox.size_of(tensor)))
        return self._best(np.concatenate(candidates)) if candidates else []

    def _test_outputs(self, tensor: Input, names: list[str]) -> list[Tensor]:
        return self._model(tensor, names)

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
                yield self._decoded(level, likely, stride, width // stride)

    def _checked(self, kind: str, stride: int, output: Tensor, cells: int) -> Tensor:
        """The output as (cells, k)."""
        if output.shape != (1, cells, _CHANNELS[kind]):
            raise ModelError(
                f"{self._model.path}: its output {kind}_{stride} is of shape {output.shape}; "
                f"(1, {cells}, {_CHANNELS[kind]}) is due: this is not a YuNet-style detector"
            )
        level: Tensor = output[0]
        if kind in _SCORES and not (level.min() > -_BEYOND and level.max() < 1 + _BEYOND):
            raise ModelError(
                f"{self._model.path}: its output {kind}_{stride} is {level.min():.3g} to "
                f"{level.max():.3g}: due are probabilities: export it with its sigmoids, or the "
                "file is damaged"
            )
        return level

    def _likely_cells(self, level: dict[str, Tensor]) -> Any:
        """Indices of the cells above the threshold, which are few: the rest is never decoded."""
        scores, bar = level["cls"][:, 0], self._threshold
        if "obj" in level:
            scores, bar = scores * level["obj"][:, 0], bar**2
        return np.flatnonzero(scores >= bar)

    def _decoded(self, level: dict[str, Tensor], cells: Any, stride: int, columns: int) -> Tensor:
        row, column = np.divmod(cells, columns)
        corner = np.stack([column, row], 1, dtype=np.float32)
        box = level["bbox"][cells]
        size = np.exp(np.minimum(box[:, 2:], _MAX_LOG_SIZE))
        parts = [_score(level, cells), corner + box[:, :2] - size / 2, size]
        if "kps" in level:
            parts.append(level["kps"][cells] + np.tile(corner, 5))
        rows: Tensor = np.concatenate(parts, 1, dtype=np.float32)
        rows[:, 1:] *= stride
        return self._usable(rows)

    def _best(self, rows: Tensor) -> list[Row]:
        """What is left after greedy suppression of overlaps, best first."""
        kept = cv2.dnn.NMSBoxes(
            rows[:, 1:5],  # type: ignore[arg-type]
            rows[:, 0],  # type: ignore[arg-type]
            score_threshold=self._threshold,
            nms_threshold=self.contract.nms_iou,
            top_k=_TOP_K,
        )
        best: list[Row] = rows[np.asarray(kept, dtype=np.intp).reshape(-1)].tolist()
        return best


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


def _score(level: dict[str, Tensor], cells: Any) -> Tensor:
    score: Tensor = np.clip(level["cls"][cells], 0, 1)
    if "obj" in level:
        score = np.sqrt(score * np.clip(level["obj"][cells], 0, 1))
    return score
