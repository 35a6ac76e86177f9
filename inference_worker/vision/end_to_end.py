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
        if model.output_shapes.get(FACES, (None,))[-1] not in _WIDTHS:
            raise ModelError(f"{model.path}: it has no output {FACES} of 15 columns, or of 5")
        self._bounds = self._bounds_from(self._threshold)

    def _bounds_from(self, threshold: float) -> dict[str, Tensor]:
        overlap = np.array([self.contract.nms_iou], np.float32)
        return {THRESHOLD: np.array([threshold], np.float32), OVERLAP: overlap}

    def _rows(self, tensor: Input) -> list[Row]:
        (faces,) = self._model(tensor, [FACES], self._bounds)
        rows: list[Row] = [row for row in faces.tolist() if not row[0] < self._threshold]
        for row in rows:
            if row[0] != row[0]:
                raise ModelError(
                    f"{self._model.path}: its scores or boxes are not numbers: the file is damaged"
                )
            row[1] -= row[3] / 2
            row[2] -= row[4] / 2
        return rows

    def _test_outputs(self, tensor: Input, names: list[str]) -> list[Tensor]:
        return self._model(tensor, names, self._bounds_from(0.0))
