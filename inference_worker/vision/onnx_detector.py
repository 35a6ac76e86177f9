"""A face detector in an ONNX file: what is the same whether or not it decodes its own boxes."""

import logging
import math
from abc import ABC, abstractmethod
from typing import Final

import numpy as np

from roommood.inference_worker.models.contract import FaceContract
from roommood.inference_worker.vision.faces import DEFAULT_INPUT_SIZE, BoxStyle, Detection
from roommood.inference_worker.vision.letterbox import Letterbox
from roommood.inference_worker.vision.onnx_model import Input, OnnxModel, Tensor
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.errors import ModelError
from roommood.shared.process.logs import event

# Score, x, y, width and height of a box, x and y of five landmarks if there are any.
Row = list[float]

GRID: Final = 32
# Of each output's sum: other processors round differently.
SELF_TEST_TOLERANCE: Final = 1e-3
# Part of the smaller of two boxes that may lie in the other.
_MOST_NESTED: Final = 0.9

_log = logging.getLogger(__name__)


class OnnxDetector(ABC):
    """See `FaceDetector` for its use.

    Sessions and weights are shared by all threads; each thread keeps its own input tensor.
    """

    def __init__(
        self,
        model: OnnxModel,
        contract: FaceContract,
        input_size: int,
        score_threshold: float | None,
    ) -> None:
        """Raises ModelError where the model has not what its contract says."""
        self._model, self.contract = model, contract
        self.detector_id = contract.model_id
        self.box_style: BoxStyle = contract.box
        self.provider = model.provider
        self.reads_gray = contract.input.colour == "gray"
        self._threshold = score_threshold or contract.score_threshold
        self._letterbox = self._letterbox_of(input_size)
        self._note_fixed(input_size)

    @abstractmethod
    def _rows(self, tensor: Input) -> list[Row]:
        """The faces from the threshold on in pixels of the tensor, without those that a better one
        overlaps too far, best first. Raises ModelError for what is not a number."""

    @abstractmethod
    def _test_outputs(self, tensor: Input, names: list[str]) -> list[Tensor]:
        """The named outputs, of all cells."""

    def detect(self, picture: Picture) -> list[Detection]:
        """See `FaceDetector.detect`."""
        tensor, scale_x, scale_y = self._letterbox.fill(picture)
        height, width = picture.shape[:2]
        inside = _reaching_into(self._rows(tensor), width * scale_x, height * scale_y)
        rows = without_nested(inside, self.contract.score_threshold)
        return [self._detection(row, scale_x, scale_y) for row in rows]

    def _usable(self, rows: Tensor) -> Tensor:
        """(N, 5) or (N, 15) of score, place and size. Raises ModelError for what is not a number,
        or no box."""
        if not np.isfinite(rows).all():
            raise ModelError(
                f"{self._model.path}: its scores or boxes are not numbers: the file is damaged"
            )
        if (rows[:, 3:5] <= 0).any():
            raise ModelError(
                f"{self._model.path}: it gives boxes without width or height: the file is damaged, "
                "or gives something else in their place"
            )
        return rows

    def _detection(self, row: Row, scale_x: float, scale_y: float) -> Detection:
        score, *numbers = row
        xs = [x / scale_x for x in numbers[::2]]
        ys = [y / scale_y for y in numbers[1::2]]
        landmarks = tuple(zip(xs[2:], ys[2:], strict=True)) or None
        certain = score >= self.contract.sure_score
        return Detection(xs[0], ys[0], xs[1], ys[1], score, landmarks, certain)

    def self_test(self) -> None:
        """See `FaceDetector.self_test`."""
        recorded = self.contract.selftest
        if recorded is None:
            return
        size = (recorded.height, recorded.width)
        noise = np.random.default_rng(recorded.seed).integers(0, 256, size, dtype=np.uint8)
        tensor, *_ = self._letterbox_of(max(size)).fill(np.repeat(noise[:, :, None], 3, axis=2))
        outputs = self._test_outputs(tensor, list(recorded.sums))
        for name, output in zip(recorded.sums, outputs, strict=True):
            total = float(output.sum(dtype=np.float64))
            if not math.isclose(total, recorded.sums[name], rel_tol=SELF_TEST_TOLERANCE):
                raise ModelError(
                    f"{self._model.path}: the self-test gives {total:.6g} for {name}, "
                    f"{recorded.sums[name]:.6g} is due, on {self.provider}: the file is damaged, "
                    "or this provider computes it wrongly"
                )

    def _letterbox_of(self, input_size: int) -> Letterbox:
        contract = self.contract.input
        return Letterbox(contract, input_size, self._fixed_size(), as_bytes=self._model.takes_bytes)

    def _note_fixed(self, input_size: int) -> None:
        fixed = self._fixed_size()
        if fixed and input_size not in (DEFAULT_INPUT_SIZE, max(fixed)):
            height, width = fixed
            text = "the input size has no effect: this detector has one of its own"
            event(
                _log, logging.WARNING, text, input_size=input_size, model=self._model.path,
                fixed=f"{width}x{height}",
            )  # fmt: skip

    def _fixed_size(self) -> tuple[int, int] | None:
        """Height and width, where the file or its contract fixes them."""
        shape, due = self._model.input_shape, self.contract.input
        height, width = shape[2:] if due.layout == "NCHW" else shape[1:3]
        height, width = height or due.height, width or due.width
        if height is None and width is None:
            return None
        if height is None or width is None or height % GRID or width % GRID:
            raise ModelError(
                f"{self._model.path}: its input is {height or '?'} high and {width or '?'} wide; "
                "both must be free, or both fixed at multiples of 32"
            )
        return height, width


def _reaching_into(rows: list[Row], width: float, height: float) -> list[Row]:
    """Those that lie on the picture at least in part: in what is padded beside it is no face."""
    return [
        row
        for row in rows
        if row[1] < width and row[2] < height and row[1] + row[3] > 0 and row[2] + row[4] > 0
    ]


def without_nested(rows: list[Row], certain: float) -> list[Row]:
    """Drops boxes that lie mostly inside a better one, or around it: faces do not nest.

    Only a box whose score is at least `certain` speaks against others. Rows come best first.

    Overlap of the union, as suppression measures it, is small where one box is much larger.
    """
    sure = [row for row in rows if row[0] >= certain]
    return [
        row
        for place, row in enumerate(rows)
        if not any(_is_nested(row, better) for better in sure[:place])
    ]


def _is_nested(row: Row, other: Row) -> bool:
    _, x, y, width, height = row[:5]
    _, other_x, other_y, other_width, other_height = other[:5]
    across = min(x + width, other_x + other_width) - max(x, other_x)
    if across <= 0:
        return False
    down = min(y + height, other_y + other_height) - max(y, other_y)
    smaller = min(width * height, other_width * other_height)
    return down > 0 and across * down > _MOST_NESTED * smaller
