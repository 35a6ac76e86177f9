"""Detectors that decode their boxes by themselves: bytes of a picture go in, faces come out.

Beside the picture they take `score_threshold` (1) and `nms_iou` (1). Their output `faces`, (S, 15)
or (S, 5), holds in pixels of the tensor and best first the score, the box's centre, width and
height, and five landmarks; where any number that led there is none, all of them are none. Rows
below the threshold are no faces: a file may give one so that its tensors are never empty.
"""

from typing import Final

import numpy as np

from roommood.inference_worker.models.contract import FaceContract
from roommood.inference_worker.vision.onnx_detector import OnnxDetector, Row
from roommood.inference_worker.vision.onnx_model import Input, OnnxModel, Tensor
from roommood.shared.errors import ModelError

FACES: Final = "faces"
THRESHOLD, OVERLAP = "score_threshold", "nms_iou"
_WIDTHS: Final = (5, 15)
_DUE: Final = (
    f"it has no output {FACES} of two dimensions and 15 columns, or 5: score, the box's centre, "
    "width and height, five landmarks"
)
# Rounding apart.
_HIGHEST: Final = 1.01
# Rows that are compared with each other, best first: its cost is their square.
_MOST: Final = 1000


class EndToEndDetector(OnnxDetector):
    """See the module, and `OnnxDetector`."""

    def __init__(
        self,
        model: OnnxModel,
        contract: FaceContract,
        input_size: int = 640,
        score_threshold: float | None = None,
    ) -> None:
        """Raises ModelError: other inputs or outputs than the module says."""
        super().__init__(model, contract, input_size, score_threshold)
        if not model.takes_bytes or model.more_inputs != {THRESHOLD, OVERLAP}:
            raise ModelError(
                f"{model.path}: with output {FACES!r} it takes uint8 pixels, and has the inputs "
                f"{THRESHOLD} and {OVERLAP} beside: correct its contract or the file"
            )
        shape = model.output_shapes.get(FACES)
        if shape is None or (shape and (len(shape) != 2 or shape[1] not in (*_WIDTHS, None))):
            raise ModelError(f"{model.path}: {_DUE}")
        self._bounds = self._bounds_from(self._threshold)

    def _bounds_from(self, threshold: float) -> dict[str, Tensor]:
        overlap = np.array([self.contract.nms_iou], np.float32)
        return {THRESHOLD: np.array([threshold], np.float32), OVERLAP: overlap}

    def _rows(self, tensor: Input) -> list[Row]:
        (faces,) = self._model(tensor, [FACES], self._bounds)
        if faces.ndim != 2 or faces.shape[1] not in _WIDTHS:
            raise ModelError(f"{self._model.path}: {_DUE}")
        faces = self._usable(faces[~(faces[:, 0] < self._threshold)][:_MOST])
        if faces.size and (faces[:, 0].max() > _HIGHEST or faces[:, 3:5].max() < 1):
            raise ModelError(
                f"{self._model.path}: it gives a score of {faces[0, 0]:.3g} and a box of "
                f"{faces[0, 3]:.3g}x{faces[0, 4]:.3g}: due are probabilities, and boxes in pixels "
                "of its input"
            )
        faces[:, 1:3] -= faces[:, 3:5] / 2
        rows: list[Row] = faces.tolist()
        return rows

    def _test_outputs(self, tensor: Input, names: list[str]) -> list[Tensor]:
        return self._model(tensor, names, self._bounds_from(0.0))
