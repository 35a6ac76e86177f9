"""From faces to expressions: cut, one batch, calibrated probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from roommood.inference_worker.models.contract import ExpressionContract
from roommood.inference_worker.models.files import (
    SHIPPED_EXPRESSION,
    load_expression,
    without_ones,
)
from roommood.inference_worker.models.registry import named_model
from roommood.inference_worker.vision.crops import cut_into, square_of
from roommood.inference_worker.vision.faces import BoxStyle, Detection
from roommood.inference_worker.vision.onnx_model import OnnxModel, Tensor
from roommood.inference_worker.vision.opencv import Picture
from roommood.inference_worker.vision.pose import bent
from roommood.inference_worker.vision.sharpness import least_sure
from roommood.inference_worker.vision.trial import (
    check_alone,
    check_logits,
    check_probabilities,
    check_varied,
    trial_crops,
)
from roommood.shared.errors import ModelError
from roommood.shared.protocol.emotions import EXPRESSIONS

# A smaller face holds too few pixels for any classifier: it is always unsure.
MIN_SURE_SIDE_PX: Final = 16
SELF_TEST_TOLERANCE: Final = 0.02
# Others than onnxruntime's own round a network in eight bits elsewhere: OpenVINO is off by 0.025
# in the self-test, and names another expression for 5 of 1,000 faces.
_TOLERANCE_ELSEWHERE: Final = 0.05
_SMALLEST: Final = 1e-9
_WARM_UP_BATCHES: Final = (1, 2, 4)
# Of an output: faces and labels.
_DIMENSIONS: Final = 2
_IN_WIRE_ORDER: Final = list(range(len(EXPRESSIONS)))


@dataclass(frozen=True, slots=True)
class Expression:
    """What a face shows: a probability in 0..1 for each of `EXPRESSIONS`, in that order.

    `sure` is False where the face is too small, too blurred, bent too far or perhaps none, or no
    expression stands out.
    """

    probabilities: tuple[float, ...]
    sure: bool


class ExpressionClassifier:
    """A classifier for the boxes of one detector. Calls may come from several threads.

    Attributes:
        contract: what the model says about itself.
        provider: the execution provider that was really loaded.
        reads_gray: True where it makes nothing of colour, and takes (H, W) pictures too.
    """

    def __init__(self, model: OnnxModel, contract: ExpressionContract, box_style: BoxStyle) -> None:
        """Raises ModelError where the contract has no crop for such boxes."""
        placement = getattr(contract.crop, box_style)
        if placement is None:
            raise ModelError(
                f"{model.path}: its contract has no crop for {box_style!r} boxes: "
                "add crop." + box_style + ", or choose another detector"
            )
        self.contract = contract
        self.provider = model.provider
        self.reads_gray = contract.input.channels == 1
        self._model = model
        self._placement = placement
        self._one_by_one = model.input_shape[0] == 1
        self._outputs = list(model.output_shapes)[:1]
        self._size = (contract.input.height, contract.input.width)
        self._columns = [EXPRESSIONS.index(label) for label in contract.labels]
        self._sharpening = np.float32(1 / contract.temperature)
        self._mean = np.asarray(contract.input.mean, np.float32)
        self._std = np.asarray(contract.input.std, np.float32)

    def classify(self, picture: Picture, detections: Sequence[Detection]) -> list[Expression]:
        """One expression per detection, in their order, for an upright (H, W, 3) BGR picture.

        All faces go through the model in one batch, unless the file fixes the batch at one.
        Raises ModelError where the model fails or its output is not what its contract says.
        """
        if not detections:
            return []
        crops = self._crops(picture, detections)
        due = least_sure(crops, self.contract.sure_threshold)
        answers = self.answers(crops)
        clear = answers.max(1) >= due
        return [
            Expression(tuple(row), is_clear and _readable(face))
            for face, row, is_clear in zip(
                detections, answers.tolist(), clear.tolist(), strict=True
            )
        ]

    def warm_up(self) -> None:
        """Run small batches, so that the first frame finds memory allotted and code loaded."""
        crops = self._in_channels(trial_crops(*self._size))
        for faces in _WARM_UP_BATCHES:
            self.answers(crops[:faces])

    def try_out(self) -> None:
        """Raises ModelError where it does not do what its contract says (`vision/trial.py`).

        A model whose batch is free by name alone is given one face at a time from then on.
        """
        crops = self._in_channels(trial_crops(*self._size))
        alone = self.answers(crops[:1])
        together = self._answers_together(crops)
        scores = self._scores(self._tensor(crops))
        check_varied(self._model.path, scores)
        if self.contract.output == "logits":
            check_logits(self._model.path, scores)
        check_alone(self._model.path, alone, together)

    def _answers_together(self, crops: Picture) -> Tensor:
        try:
            return self.answers(crops)
        except ModelError:
            if self._one_by_one:
                raise
            self._one_by_one = True  # exported with a reshape to the one face that it was shown
            return self.answers(crops)

    def self_test(self) -> None:
        """Raises ModelError where the model no longer gives the outputs recorded in its file.

        A model without recorded outputs passes.
        """
        recorded = self.contract.selftest
        if recorded is None:
            return
        size = (2, *self._size)
        noise = np.random.default_rng(recorded.seed).integers(0, 256, size, dtype=np.uint8)
        answers = self.answers(self._in_channels(noise))
        deviation = float(np.abs(answers - np.array(recorded.probabilities)).max())
        own = self.provider == "CPUExecutionProvider"
        allowed = SELF_TEST_TOLERANCE if own else _TOLERANCE_ELSEWHERE
        if deviation > allowed:
            raise ModelError(
                f"{self._model.path}: the self-test is off by {deviation:.4f} "
                f"(at most {allowed}) on {self.provider}: the file is damaged, "
                "or this provider computes it wrongly"
            )

    def _crops(self, picture: Picture, detections: Sequence[Detection]) -> Picture:
        """(N, H, W) gray, or (N, H, W, 3): the faces as the model sees them."""
        contract = self.contract
        crops = self._in_channels(np.empty((len(detections), *self._size), np.uint8))
        for face, crop in zip(detections, crops, strict=True):
            cut_into(crop, picture, square_of(face, contract.crop, self._placement))
        return crops[..., ::-1] if contract.input.colour == "rgb" else crops

    def _in_channels(self, crops: Picture) -> Picture:
        if self.contract.input.channels == 1:
            return crops
        return np.repeat(crops[..., None], 3, axis=3)

    def answers(self, crops: Picture) -> Tensor:
        """Of N crops that are the model's input as they are, (N, H, W) or (N, H, W, 3) of bytes:
        (N, 8) in wire order, rows summing to 1; 0 for what the model does not tell apart."""
        scores = self._scores(self._tensor(crops))
        if scores.shape != (len(crops), len(self._columns)):
            raise ModelError(
                f"{self._model.path}: it gave outputs of shape {scores.shape} for {len(crops)} "
                f"faces and {len(self._columns)} labels: correct the labels, or export it again"
            )
        if not np.isfinite(scores).all():
            raise ModelError(
                f"{self._model.path}: what it gave is not a number: the file is damaged, or mean "
                "and std of its contract are wrong"
            )
        if self._columns == _IN_WIRE_ORDER:
            return self._calibrated(scores)
        probabilities = np.zeros((len(crops), len(EXPRESSIONS)), np.float32)
        probabilities[:, self._columns] = self._calibrated(scores)
        return probabilities

    def _scores(self, tensor: Tensor) -> Tensor:
        if not self._one_by_one:
            return self._rows(tensor)
        return np.concatenate([self._rows(batch) for batch in np.split(tensor, len(tensor))])

    def _rows(self, tensor: Tensor) -> Tensor:
        scores = self._model(tensor, self._outputs)[0]
        if scores.ndim == _DIMENSIONS:
            return scores
        return scores.reshape([int(side or 0) for side in without_ones(scores.shape, len(tensor))])

    def _tensor(self, crops: Picture) -> Tensor:
        """The crops as the contract's float32 tensor."""
        pixels = crops[..., None] if crops.ndim == 3 else crops
        tensor: Tensor = np.subtract(pixels, self._mean)
        tensor /= self._std
        if self.contract.input.layout == "NCHW":
            tensor = np.ascontiguousarray(tensor.transpose(0, 3, 1, 2))
        return tensor

    def _calibrated(self, scores: Tensor) -> Tensor:
        """Softmax of the logits over the temperature (Guo et al. 2017, arXiv 1706.04599)."""
        if self.contract.output == "probabilities":
            check_probabilities(self._model.path, scores)
            scores = np.log(np.maximum(scores, _SMALLEST))
        scores = scores * self._sharpening
        powers: Tensor = np.exp(scores - scores.max(1, keepdims=True))
        powers /= powers.sum(1, keepdims=True)
        return powers


def _readable(face: Detection) -> bool:
    return face.certain and face.side >= MIN_SURE_SIDE_PX and not bent(face.landmarks)


def open_classifier(
    spec: str = "", *, box_style: BoxStyle, provider: str = "cpu"
) -> ExpressionClassifier:
    """The classifier that `spec` names (see `named_model`), or the shipped one, for such boxes.

    Raises ModelError: missing, damaged, without contract, or of the wrong shape; ConfigError for a
    model that was not pulled.
    """
    path = named_model(spec) if spec else SHIPPED_EXPRESSION
    return ExpressionClassifier(*load_expression(path, provider), box_style)
