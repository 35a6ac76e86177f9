"""An ONNX file as a callable: the only place that imports onnxruntime.

`ORT_DISABLE_TELEMETRY` counts only if it is set before the import. Threads are explicit and
never spin: the worker's compute threads each run one session call at a time, on their own core.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from roommood.shared.errors import ConfigError, ModelError

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

Tensor = NDArray[np.float32]
# A whole number where the file fixes the dimension, else None.
Shape = tuple[int | None, ...]

_FLOAT: Final = "tensor(float)"
# Errors reach the caller as exceptions; only what is fatal is worth a line on stderr.
_LOG_FATAL: Final = 4


class OnnxModel:
    """A loaded model with one float32 input of four dimensions. Calls may come from any thread.

    Attributes:
        path: the file.
        metadata: its `metadata_props`.
        provider: the execution provider that was really loaded, for the log.
        input_shape: of its one input.
        output_shapes: by output name, in the file's order.
    """

    def __init__(self, path: Path, provider: str = "cpu", threads: int = 1) -> None:
        """Load `path` onto `provider` ("cpu", "cuda", ... or onnxruntime's full name).

        Raises:
            ModelError: no such file, not an ONNX model, or not of one float32 input.
            ConfigError: this onnxruntime has no such provider.
        """
        self.path = path
        self._session = _open_session(path, find_provider(provider), threads)
        self.provider = str(self._session.get_providers()[0])
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._input_name, self.input_shape = self._only_input()
        self.output_shapes = {out.name: _shape(out.shape) for out in self._session.get_outputs()}

    def __call__(self, tensor: Tensor, outputs: Sequence[str]) -> list[Tensor]:
        """The named outputs. Raises ModelError where the model fails on this input."""
        try:
            results: list[Tensor] = self._session.run(outputs, {self._input_name: tensor})
        except Exception as error:  # onnxruntime's exceptions share no public base
            raise ModelError(
                f"{self.path}: the model failed on an input of {_words(tensor.shape)}: {error}"
            ) from error
        return results

    def _only_input(self) -> tuple[str, Shape]:
        inputs = self._session.get_inputs()
        found = ", ".join(f"{i.name} {i.type} {_words(i.shape)}" for i in inputs)
        if len(inputs) != 1 or inputs[0].type != _FLOAT or len(inputs[0].shape) != 4:
            raise ModelError(
                f"{self.path}: its inputs are {found or 'none'}; "
                "due is one float32 input of four dimensions: export the model that way"
            )
        return str(inputs[0].name), _shape(inputs[0].shape)


def find_provider(name: str) -> str:
    """onnxruntime's name of a provider: "cuda" gives "CUDAExecutionProvider"."""
    available: list[str] = ort.get_available_providers()
    wanted = name.lower().removesuffix("executionprovider")
    for provider in available:
        if provider.lower().removesuffix("executionprovider") == wanted:
            return provider
    short = ", ".join(sorted(p.lower().removesuffix("executionprovider") for p in available))
    raise ConfigError(
        f"this onnxruntime has no provider {name!r}; it has {short}: "
        "choose one of these, or install the onnxruntime package made for your device"
    )


def _open_session(path: Path, provider: str, threads: int) -> Any:
    if not path.is_file():
        raise ModelError(f"{path}: no such model file: give the path of an ONNX file")
    providers = list(dict.fromkeys([provider, "CPUExecutionProvider"]))
    try:
        return ort.InferenceSession(path, _options(threads), providers=providers)
    except Exception as error:  # onnxruntime's exceptions share no public base
        raise ModelError(
            f"{path}: not a usable ONNX model ({path.stat().st_size} bytes): {error}: "
            "fetch or export it again"
        ) from error


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _LOG_FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _shape(dimensions: Sequence[object]) -> Shape:
    return tuple(d if isinstance(d, int) and d > 0 else None for d in dimensions)


def _words(dimensions: Sequence[object]) -> str:
    return "x".join(str(d) if d is not None else "?" for d in dimensions) or "no dimensions"
