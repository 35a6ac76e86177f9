"""Model files: the shipped ones, and any other whose contract is known."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from roommood.inference_worker.models.contract import (
    PREFIX,
    CropTensor,
    ExpressionContract,
    FaceContract,
    PictureTensor,
    from_metadata,
    from_table,
)
from roommood.inference_worker.vision.onnx_model import OnnxModel, Shape
from roommood.shared.errors import ModelError
from roommood.shared.protocol.messages import ModelReport
from roommood.shared.text_file import read_text

_SHIPPED: Final = Path(__file__).parent
SHIPPED_EXPRESSION: Final = _SHIPPED / "expression.onnx"
SHIPPED_FACE: Final = _SHIPPED / "face.onnx"

SIDECAR_EXAMPLE: Final = """\
model_id = "my-model"
labels = ["neutral", "happiness"]   # in the order of the model's output
output = "logits"                   # or "probabilities"
[input]
width = 48
height = 48
channels = 1
colour = "gray"                     # or "bgr", "rgb" with 3 channels
mean = [0.0]                        # the tensor is (pixel - mean) / std
std = [255.0]
[crop]
of = "max"                          # of the box: "max" side, "sqrt" of its area, "width"
haar = { side = 1.0 }
tight = { side = 1.2 }"""

C = TypeVar("C", ExpressionContract, FaceContract)


def load_expression(path: Path, provider: str = "cpu") -> tuple[OnnxModel, ExpressionContract]:
    """A classifier and its contract, from the file's metadata or from `NAME.toml` beside it.

    Raises ModelError: missing, damaged, without contract, or not of the shape it promises.
    """
    model = OnnxModel(path, provider)
    contract = _read_contract(ExpressionContract, model)
    if contract is None:
        outputs = ", ".join(model.output_shapes)
        raise ModelError(
            f"{path}: its metadata has no {PREFIX}contract, and there is no {_sidecar(path).name} "
            f"beside it: if it tells expressions (its outputs are {outputs}), write one, for "
            f"example\n{SIDECAR_EXAMPLE}"
        )
    if model.takes_bytes:
        raise ModelError(f"{path}: its input is of uint8; a classifier's is due as float32")
    _refuse_more_inputs(model)
    _check_input(model, contract.input)
    _check_output(model, (None, len(contract.labels)))
    return model, contract


def load_face(path: Path, provider: str = "cpu") -> tuple[OnnxModel, FaceContract]:
    """A detector and its contract; a file without any is taken for a YuNet (BGR, 0..255).

    Raises ModelError: missing, damaged, or not of the shape that its contract promises.
    """
    model = OnnxModel(path, provider)
    contract = _read_contract(FaceContract, model)
    if contract is None:
        contract = FaceContract(model_id=_slug(path.stem))
    if contract.output != "faces":
        _refuse_more_inputs(model)
    _check_input(model, contract.input)
    scaled = any(contract.input.mean) or any(scale != 1 for scale in contract.input.std)
    if model.takes_bytes and scaled:
        raise ModelError(f"{path}: it takes bytes, which are not scaled: mean 0 and std 1 are due")
    return model, contract


def to_report(contract: ExpressionContract) -> ModelReport:
    """The contract as the reading side needs it, which has no ONNX."""
    confusion = {
        str(size): {"hard": matrices.hard, "soft": matrices.soft}
        for size, matrices in contract.confusion.items()
    }
    return ModelReport(contract.model_id, contract.labels, contract.temperature, confusion)


def _read_contract(kind: type[C], model: OnnxModel) -> C | None:
    sidecar = _sidecar(model.path)
    if PREFIX + "contract" in model.metadata:
        if sidecar.is_file():
            raise ModelError(
                f"{model.path}: its contract is in its own metadata, and {sidecar.name} beside it "
                "would count for nothing: remove it, or change the metadata"
            )
        return from_metadata(kind, model.metadata, str(model.path))
    if not sidecar.is_file():
        return None
    return from_table(kind, _read_toml(sidecar), str(sidecar))


def _sidecar(path: Path) -> Path:
    return path.with_suffix(".toml")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not a readable TOML file: {error}") from error


def _slug(text: str) -> str:
    """A name of the wire's alphabet: a model id crosses it."""
    plain = "".join(
        c if c in "abcdefghijklmnopqrstuvwxyz0123456789_-" else "-" for c in text.lower()
    )
    return plain.strip("-_")[:63] or "unnamed"


def _refuse_more_inputs(model: OnnxModel) -> None:
    if model.more_inputs:
        raise ModelError(
            f"{model.path}: beside its first input it has {', '.join(sorted(model.more_inputs))}: "
            "due is one float32 input of four dimensions: export the model that way"
        )


def _check_input(model: OnnxModel, due: CropTensor | PictureTensor) -> None:
    sides = (due.height, due.width)
    expected = (due.channels, *sides) if due.layout == "NCHW" else (*sides, due.channels)
    if model.input_shape[0] not in (None, 1) or not _fits(model.input_shape[1:], expected):
        raise ModelError(
            f"{model.path}: its input is {_shown(model.input_shape)}, but its contract says "
            f"{_shown((None, *expected))} ({due.layout}; ? is any size, the first is 1 or ?): "
            "correct the contract or the file"
        )


def _check_output(model: OnnxModel, due: Shape) -> None:
    name, shape = next(iter(model.output_shapes.items()))
    rows = without_ones(shape, model.input_shape[0])
    if len(rows) != len(due) or not _fits(rows, due):
        raise ModelError(
            f"{model.path}: its {'first ' * (len(model.output_shapes) > 1)}output {name} is "
            f"{_shown(shape) or 'one number'}, but {due[-1]} labels need {_shown(due)}: correct "
            "the labels, or export it with such an output"
        )


def without_ones(shape: Shape, batch: int | None) -> Shape:
    """An output's shape without dimensions of one beside the batch, as pooling leaves them; where
    the batch is one, that may be missing."""
    if len(shape) == 1 and batch == 1:
        return (1, *shape)
    return (*shape[:1], *(side for side in shape[1:] if side != 1))


def _fits(shape: Sequence[int | None], due: Sequence[int | None]) -> bool:
    pairs = zip(shape, due, strict=True)
    return all(have is None or want is None or have == want for have, want in pairs)


def _shown(shape: Shape) -> str:
    return "x".join("?" if side is None else str(side) for side in shape)
