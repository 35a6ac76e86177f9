"""What a model file says about itself, as typed and checked values.

A contract stands in the ONNX file's metadata under `roommood.<key>` (structured values as
JSON), or in a TOML file beside it under the same keys without the prefix.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from roommood.shared.errors import ModelError
from roommood.shared.process.advice import advice
from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES
from roommood.shared.protocol.names import is_name

PREFIX: Final = "roommood."
# A class with no face in the evaluation has a row of zeros.
_ROW_SUM_TOLERANCE: Final = 0.02
_STRICT: Final = ConfigDict(extra="forbid")
_TEXT_KEYS: Final = frozenset(
    {"contract", "task", "model_id", "output", "box", "licence", "training_data"}
)


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("use 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit")
    return text


def _expressions(labels: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [label for label in labels if label not in EXPRESSIONS]
    if unknown or len(set(labels)) != len(labels) or len(labels) < _FEWEST:
        raise ValueError(
            f"use two or more of {', '.join(EXPRESSIONS)}, each once"
            + "".join(f"; not {label[:20]!r}{_meant(label)}" for label in unknown[:8])
        )
    return labels


def _meant(label: str) -> str:
    nearest = get_close_matches(label.lower(), EXPRESSIONS, 1, 0.5)
    return f" but {nearest[0]}" if nearest else ""


def _rows_of_shares(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    if any(sum(row) > 1 + _ROW_SUM_TOLERANCE for row in matrix):
        raise ValueError(
            "the sum of each row is the part of its faces that is sure, at most 1, or 0 where the "
            "class was never seen"
        )
    return matrix


_OPTIONS: Final = {"face": "--detector", "expression": "--classifier"}
# One alone would be shown by every face.
_FEWEST: Final = 2
_EIGHT: Final = Field(min_length=len(EXPRESSIONS), max_length=len(EXPRESSIONS))
Share = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[FiniteFloat, Field(gt=0)]
Row = Annotated[tuple[Share, ...], _EIGHT]
Matrix = Annotated[tuple[Row, ...], _EIGHT, AfterValidator(_rows_of_shares)]
ModelId = Annotated[str, AfterValidator(_name)]
Labels = Annotated[tuple[str, ...], AfterValidator(_expressions)]
Side = Annotated[int, Field(ge=8, le=4096)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorContract:
    """The input: (pixel 0..255 - mean) / std, per channel or one number for all."""

    __pydantic_config__ = _STRICT

    channels: Literal[1, 3]
    colour: Literal["gray", "bgr", "rgb"]
    mean: tuple[FiniteFloat, ...]
    std: tuple[Scale, ...]
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    def __post_init__(self) -> None:
        if (self.colour == "gray") != (self.channels == 1):
            raise ValueError("colour is gray with 1 channel, bgr or rgb with 3")
        if not {len(self.mean), len(self.std)} <= {1, self.channels}:
            raise ValueError(f"mean and std have 1 number or {self.channels}, one per channel")


@dataclass(frozen=True, slots=True, kw_only=True)
class CropTensor(TensorContract):
    """A classifier's input: crops of one size in pixels."""

    width: Side
    height: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureTensor(TensorContract):
    """A detector's input: pictures of one size in pixels, or of any whose sides are a multiple
    of the coarsest stride."""

    width: Side | None = None
    height: Side | None = None
    multiple: Literal[32] = 32


@dataclass(frozen=True, slots=True)
class Placement:
    """The square crop of a detector's box: its side is `side` times the box's measure, its
    centre the box's centre moved by (`dx`, `dy`) times the crop's side."""

    __pydantic_config__ = _STRICT

    side: Annotated[FiniteFloat, Field(gt=0, le=10)]
    dx: Annotated[FiniteFloat, Field(ge=-2, le=2)] = 0.0
    dy: Annotated[FiniteFloat, Field(ge=-2, le=2)] = 0.0


@dataclass(frozen=True, slots=True)
class CropContract:
    """How the face is cut out, by the style of the detector's boxes.

    `of` is the box's measure: the longer side, the root of its area, or its width.
    """

    __pydantic_config__ = _STRICT

    of: Literal["max", "sqrt", "width"]
    haar: Placement | None = None
    tight: Placement | None = None


@dataclass(frozen=True, slots=True)
class Confusion:
    """Two 8x8 matrices, rows: true expression, both in wire order: the share of each winning
    label, and the mean probability of each expression, among all faces; those that are not sure
    add nothing, so that a row adds up to the part that is."""

    __pydantic_config__ = _STRICT

    hard: Matrix
    soft: Matrix


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Two gray pictures of noise drawn with `seed`, and the probabilities due, in wire order."""

    __pydantic_config__ = _STRICT

    seed: Annotated[int, Field(ge=0)]
    probabilities: Annotated[tuple[Row, ...], Field(min_length=2, max_length=2)]


@dataclass(frozen=True, slots=True)
class FaceSelfTest:
    """One gray picture of noise drawn with `seed`, and the sum of each output due for it."""

    __pydantic_config__ = _STRICT

    seed: Annotated[int, Field(ge=0)]
    height: Side
    width: Side
    sums: dict[str, FiniteFloat]


@dataclass(frozen=True, slots=True)
class ExpressionContract:
    """A classifier of expressions. `labels` are in the order of the model's output.

    A face whose largest probability (after `temperature`) is below `sure_threshold` is unsure.
    """

    model_id: ModelId
    labels: Labels
    input: CropTensor
    crop: CropContract
    output: Literal["logits", "probabilities"]
    contract: Literal["1"] = "1"
    task: Literal["expression"] = "expression"
    temperature: Annotated[FiniteFloat, Field(gt=0, le=1000)] = 1.0
    sure_threshold: Share = 0.0
    confusion: dict[Literal[SIZE_CLASSES], Confusion] = field(default_factory=dict)  # type: ignore[valid-type]
    selftest: SelfTest | None = None
    licence: str = ""
    training_data: str = ""


@dataclass(frozen=True, slots=True)
class FaceContract:
    """A face detector whose scores are probabilities: with YuNet's outputs, or as `output` "faces"
    says with boxes that it decodes by itself (`vision/end_to_end.py`).

    Of two boxes that overlap by more than `nms_iou` (intersection over union) the better one
    stays; `box` is how they lie on a face. Below `sure_score` a box may be no face: what it shows
    is unsure, whatever the classifier makes of it.
    """

    model_id: ModelId
    input: PictureTensor = PictureTensor(channels=3, colour="bgr", mean=(0.0,), std=(1.0,))
    contract: Literal["1"] = "1"
    task: Literal["face"] = "face"
    output: Literal["probabilities", "faces"] = "probabilities"
    score_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.6
    sure_score: Share = 0.0
    nms_iou: Annotated[float, Field(gt=0, lt=1)] = 0.45
    box: Literal["haar", "tight"] = "tight"
    selftest: FaceSelfTest | None = None
    licence: str = ""
    training_data: str = ""


C = TypeVar("C", ExpressionContract, FaceContract)


def from_metadata(kind: type[C], metadata: Mapping[str, str], source: str) -> C:
    """The contract in an ONNX file's metadata. Keys it does not know are left for others.

    Raises ModelError, naming source, key, value and what is allowed.
    """
    task, due = metadata.get(PREFIX + "task"), kind.__dataclass_fields__["task"].default
    if task != due and task in _OPTIONS:
        raise ModelError(
            f"{source}: its task is {task!r}, not {due!r}: give it to {_OPTIONS[task]}"
        )
    known = {PREFIX + name: name for name in _names(kind)}
    texts = {known[key]: text for key, text in metadata.items() if key in known}
    values = {name: _from_text(name, text, source) for name, text in texts.items()}
    return _validate(kind, values, source, PREFIX)


def from_table(kind: type[C], table: Mapping[str, Any], source: str) -> C:
    """The contract in a sidecar's TOML table; an unknown key is an error."""
    names = _names(kind)
    for key in table:
        if key not in names:
            nearest = get_close_matches(key, names, 1)
            todo = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(names)}"
            raise ModelError(f"{source}: {key} is not a key: {todo}")
    return _validate(kind, {**table, "contract": str(table.get("contract", "1"))}, source, "")


def _names(kind: type[C]) -> list[str]:
    return list(kind.__dataclass_fields__)


def _from_text(name: str, text: str, source: str) -> Any:
    if name in _TEXT_KEYS:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{source}: {PREFIX}{name} is {text[:60]!r}, not JSON: {error}") from error


def _validate(kind: type[C], values: Mapping[str, Any], source: str, prefix: str) -> C:
    try:
        if key := next((key for key, value in values.items() if _holds_switch(value)), ""):
            raise ModelError(f"{source}: {prefix}{key} holds true or false: give numbers or text")
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        faults = _faults(error, prefix)
        raise ModelError(f"{source}: {faults}") from error
    except RecursionError as error:
        raise ModelError(f"{source}: its contract is nested too deeply to be one") from error


def _holds_switch(value: Any) -> bool:
    """To Python true is 1, and no contract has a switch."""
    if isinstance(value, Mapping):
        return any(map(_holds_switch, value.values()))
    return any(map(_holds_switch, value)) if isinstance(value, list) else isinstance(value, bool)


def _faults(error: ValidationError, prefix: str) -> str:
    try:
        return "; ".join(_fault(fault, prefix) for fault in error.errors()[:4])
    except RecursionError:  # of what is nested so deeply that it can be read but not shown
        return f"{error.error_count()} wrong values, nested too deeply to be shown"


def _fault(error: Any, prefix: str) -> str:
    key = prefix + ".".join(str(part) for part in error["loc"])
    if error["type"].startswith("missing"):
        return f"{key} is missing"
    return f"{key} is {str(error['input'])[:60]!r}: {advice(error)}"
