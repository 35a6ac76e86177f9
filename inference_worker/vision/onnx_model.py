"""An ONNX file as a callable: the only place that imports onnxruntime.

`ORT_DISABLE_TELEMETRY` counts only if it is set before the import. Threads are explicit and
never spin: the worker's compute threads each run one session call at a time, on their own core.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.vision.fitted_sessions import FittedSessions
from roommood.inference_worker.vision.unusable import why_unusable
from roommood.shared.errors import ConfigError, ModelError

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

Tensor = NDArray[np.float32]
Input = NDArray[np.float32] | NDArray[np.uint8]
# A whole number where the file fixes the dimension, else None.
Shape = tuple[int | None, ...]

_FLOAT, _BYTES = "tensor(float)", "tensor(uint8)"
# Errors reach the caller as exceptions; only what is fatal is worth a line on stderr.
_LOG_FATAL: Final = 4
_CPU: Final = "CPUExecutionProvider"
_WEIGHTS_AT: Final = "session.model_external_initializers_file_folder_path"
# TensorProto.external_data of onnx.proto: the key under which a weight names its file.
_BESIDE: Final = b"\x0a\x08location"
_MOST_FITTED_BYTES: Final = 32 * 2**20
# A protocol buffer's.
_MOST_BYTES: Final = 2**31 - 1
_OPENVINO_DEVICES: Final = ("cpu", "gpu", "npu")


class OnnxModel:
    """A loaded model whose first input has four dimensions, of float32 or of bytes; further ones
    are numbers. Calls may come from any thread.

    Attributes:
        path: the file.
        metadata: its `metadata_props`.
        provider: the execution provider that was really loaded, for the log.
        input_shape: of its first input.
        takes_bytes: whether that is of uint8.
        more_inputs: the names of the others.
        output_shapes: by output name, in the file's order.
    """

    def __init__(self, path: Path, provider: str = "cpu", threads: int = 1) -> None:
        """Load `path` onto `provider`: see `find_provider`.

        Raises:
            ModelError: no such file, not an ONNX model, or not of one such input.
            ConfigError: this onnxruntime has no such provider, or could not load it.
        """
        self.path = path
        due = find_provider(provider)
        # A file may be replaced while its model is in use: all sessions are of these bytes.
        content = _read(path)
        self._session = _open_session(path, content, due, threads)
        self.provider = str(self._session.get_providers()[0])
        if self.provider != due.name:
            raise ConfigError(
                f"{provider} was asked for and onnxruntime could not load it, so that all would "
                f"be computed by {self.provider}: install what {provider} needs "
                "(docs/accelerators.md), or ask for cpu"
            )
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._input_name, self.input_shape, self.takes_bytes = self._first_input()
        self.more_inputs = frozenset(str(more.name) for more in self._session.get_inputs()[1:])
        self.output_shapes = {out.name: _shape(out.shape) for out in self._session.get_outputs()}
        # Each session has weights of its own; what lies beside the file is read again for each, and
        # may be another's by then.
        is_fitted = len(content) <= _MOST_FITTED_BYTES and _BESIDE not in content
        sides = self._session.get_inputs()[0].shape if is_fitted else []
        self._fitted = FittedSessions(
            self._session,
            sides,
            partial(_open_session, path, content, due, threads),
        )

    def __call__(
        self, tensor: Input, outputs: Sequence[str], more: Mapping[str, Tensor] | None = None
    ) -> list[Tensor]:
        """The named outputs; `more` are the further inputs.

        Raises ModelError where the model fails on this input, or gives other than floats.
        """
        session = self._fitted.session(tensor.shape)
        try:
            results = session.run(outputs, {self._input_name: tensor, **(more or {})})
        except Exception as error:  # onnxruntime's exceptions share no public base
            raise ModelError(
                f"{self.path}: the model failed on an input of {_words(tensor.shape)}: {error}"
            ) from error
        return list(map(self._as_floats, outputs, results))

    def _as_floats(self, name: str, result: Any) -> Tensor:
        """A tensor of floats, of whatever size; whole numbers, words and maps are no scores."""
        if not isinstance(result, np.ndarray) or result.dtype.kind != "f":
            kinds = {out.name: out.type for out in self._session.get_outputs()}
            raise ModelError(
                f"{self.path}: its output {name} is {kinds[name]}, not of floats: export the model "
                "so that it gives its scores as they are"
            )
        return result.astype(np.float32, copy=False)

    def _first_input(self) -> tuple[str, Shape, bool]:
        inputs = self._session.get_inputs()
        described = ", ".join(f"{i.name} {i.type} {_words(i.shape)}" for i in inputs)
        kinds = [first.type for first in inputs[:1]]
        if kinds not in ([_FLOAT], [_BYTES]) or len(inputs[0].shape) != 4:
            raise ModelError(
                f"{self.path}: its inputs are {described or 'none'}; "
                "due is one float32 input of four dimensions: export the model that way"
            )
        return str(inputs[0].name), _shape(inputs[0].shape), kinds == [_BYTES]


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider by onnxruntime's name, and its options."""

    name: str
    options: Mapping[str, str]


def find_provider(spec: str) -> Provider:
    """The provider that a setting names, as in "cuda", "openvino:gpu" or "CUDAExecutionProvider".

    What follows a colon is the device: of OpenVINO cpu (the default), gpu or npu, of others a
    number. Raises ConfigError where this onnxruntime has no such provider.
    """
    short, _, device = spec.lower().partition(":")
    short = short.removesuffix("executionprovider")
    by_short = _providers_by_short_name()
    if short not in by_short:
        raise ConfigError(
            f"this onnxruntime has no provider {spec!r}; "
            f"it has {', '.join(installed_providers())}: choose one of these, "
            "or install the onnxruntime made for your device (docs/accelerators.md)"
        )
    return Provider(by_short[short], _provider_options(spec, short, device))


def installed_providers() -> list[str]:
    """What this onnxruntime was built with, by the names that a setting uses."""
    return sorted(_providers_by_short_name())


def _providers_by_short_name() -> dict[str, str]:
    """Without the one that computes elsewhere, over the network."""
    available: list[str] = ort.get_available_providers()
    names = {name.lower().removesuffix("executionprovider"): name for name in available}
    return {short: name for short, name in names.items() if short != "azure"}


def _provider_options(spec: str, short: str, device: str) -> Mapping[str, str]:
    if short == "openvino":
        device = device or "cpu"
        if device not in _OPENVINO_DEVICES:
            raise ConfigError(
                f"no such device of OpenVINO: {spec!r}: openvino:cpu, openvino:gpu or openvino:npu"
            )
        return {"device_type": device.upper(), "num_of_threads": "1"}
    if not device:
        return {}
    if short == "cpu" or not device.isdecimal():
        raise ConfigError(f"no such device: {spec!r}: give its number, as in cuda:0, or none")
    return {"device_id": device}


def _read(path: Path) -> bytes:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file" if path.exists() else "no such model file"
        raise ModelError(f"{path}: {what}: give the path of an ONNX file")
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ModelError(
                f"{path}: {size / 2**30:.1f} GiB are more than one ONNX file can hold (2): export "
                "it with its weights in a file beside it"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _open_session(
    path: Path,
    content: bytes,
    provider: Provider,
    threads: int,
    sides: Mapping[str, int] | None = None,
) -> Any:
    providers = [(provider.name, dict(provider.options))]
    if provider.name != _CPU:
        providers.append((_CPU, {}))
    if provider.name == "CUDAExecutionProvider":
        ort.preload_dlls()  # those of NVIDIA that lie beside it, installed by pip
    try:
        options = _options(path.parent, threads, sides or {})
        return ort.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime's exceptions share no public base
        why = why_unusable(content, error, f"onnxruntime {ort.__version__}")
        raise ModelError(f"{path}: not a usable ONNX model: {why}") from error


def _options(folder: Path, threads: int, sides: Mapping[str, int]) -> Any:
    options = ort.SessionOptions()
    for name, side in sides.items():
        options.add_free_dimension_override_by_name(name, side)
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _LOG_FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Where large weights lie beside the file; onnxruntime takes no name that is not UTF-8.
    with suppress(TypeError):
        options.add_session_config_entry(_WEIGHTS_AT, str(folder.absolute()))
    return options


def _shape(dimensions: Sequence[object]) -> Shape:
    return tuple(d if isinstance(d, int) and d > 0 else None for d in dimensions)


def _words(dimensions: Sequence[object]) -> str:
    return "x".join(str(d) if d is not None else "?" for d in dimensions) or "no dimensions"
