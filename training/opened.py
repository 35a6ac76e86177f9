"""Model files and checkpoints that somebody names, opened: another file is a clear error."""

import os
import pickle
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from roommood.shared.errors import ModelError

_ERRORS_ALONE: Final = 3


def open_session(path: Path, threads: int = 1) -> Any:
    """An ONNX file on the processor. Raises ModelError for what is none."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    if not path.is_file():
        raise ModelError(f"{path}: no such model file: give the path of an ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ALONE
    try:
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base
        raise ModelError(f"{path}: not a usable ONNX model: {error}") from error


def read_state(
    path: Path, of: str, safe: AbstractContextManager[None] | None = None, device: Any = "cpu"
) -> dict[str, Any]:
    """What `of` (a command) saved; code in a file is never run. Raises ModelError for another
    file. torch's own words advise to run it, and are not passed on."""
    import torch

    try:
        with safe or nullcontext():
            state = torch.load(path, map_location=device, weights_only=True)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} is not a checkpoint of `{of}`") from error
    if not isinstance(state, dict):
        raise ModelError(f"{path} is not a checkpoint of `{of}`: it lacks the network")
    return state
