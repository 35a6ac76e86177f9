"""What a model file says about itself, gathered to be shown."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from roommood.inference_worker.evaluation.evaluate import Task, task_of
from roommood.inference_worker.models.contract import PREFIX
from roommood.inference_worker.models.download import sha256_of
from roommood.inference_worker.models.files import load_expression, load_face
from roommood.inference_worker.models.params import count_params
from roommood.inference_worker.vision.onnx_model import OnnxModel, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """`contract` is what counts in a worker; `metadata` what the file holds beside it. Shapes
    have None where any size will do."""

    path: Path
    task: Task
    bytes: int
    sha256: str
    params: int
    input_shape: Shape
    output_shapes: dict[str, Shape]
    contract: dict[str, Any]
    metadata: dict[str, Any]


def model_info(path: Path) -> ModelInfo:
    """Raises ModelError: no model, or without a valid contract."""
    task = task_of(str(path))
    model: OnnxModel
    contract: Any
    model, contract = load_face(path) if task == "face" else load_expression(path)
    known = {PREFIX + name for name in type(contract).__dataclass_fields__}
    return ModelInfo(
        path=path,
        task=task,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
        params=count_params(path),
        input_shape=model.input_shape,
        output_shapes=dict(model.output_shapes),
        contract=asdict(contract),
        metadata={k: _structured(v) for k, v in model.metadata.items() if k not in known},
    )


def _structured(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
