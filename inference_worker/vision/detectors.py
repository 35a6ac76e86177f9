"""Which detector a setting names."""

from difflib import get_close_matches
from pathlib import Path
from typing import Final

from roommood.inference_worker.models.files import SHIPPED_FACE, load_face
from roommood.inference_worker.models.registry import named_model
from roommood.inference_worker.vision.faces import DEFAULT_INPUT_SIZE, FaceDetector
from roommood.inference_worker.vision.onnx_detector import OnnxDetector
from roommood.shared.errors import ConfigError

_HAAR_OPTIONS: Final = ("scale", "neighbours")


def open_detector(
    spec: str = "",
    *,
    input_size: int = DEFAULT_INPUT_SIZE,
    score_threshold: float | None = None,
    provider: str = "cpu",
) -> FaceDetector:
    """The detector that `spec` names.

    `haar` or `haar:scale=1.1,neighbours=3` is OpenCV's cascade; a path is an ONNX file (see
    `open_onnx_detector`); "" is the shipped detector, or Haar where none is shipped. Larger
    pictures are shrunk so that their longer side has `input_size` pixels. `score_threshold` in
    0..1 overrides the detector's own.

    Raises:
        ConfigError: a setting is unknown or out of range.
        ModelError: the file is missing, damaged or of the wrong shape.
    """
    _check_range("the detector's input size", input_size, 32, 4096)
    if score_threshold is not None:
        _check_range("the score threshold", score_threshold, 0.01, 0.99)
    name, _, options = spec.partition(":")
    if name == "haar" or not (spec or SHIPPED_FACE.is_file()):
        from roommood.inference_worker.vision.haar import HaarDetector

        return HaarDetector(**_haar_options(options), input_size=input_size)
    path = named_model(spec) if spec else SHIPPED_FACE
    return open_onnx_detector(path, input_size, score_threshold, provider)


def open_onnx_detector(
    path: Path,
    input_size: int = DEFAULT_INPUT_SIZE,
    score_threshold: float | None = None,
    provider: str = "cpu",
) -> OnnxDetector:
    """The detector in an ONNX file: with YuNet's outputs, or one that decodes by itself.

    Raises ModelError: missing, damaged, or with other outputs than its contract says.
    """
    model, contract = load_face(path, provider)
    if contract.output == "faces":
        from roommood.inference_worker.vision.end_to_end import EndToEndDetector

        return EndToEndDetector(model, contract, input_size, score_threshold)
    from roommood.inference_worker.vision.yunet import YuNetDetector

    return YuNetDetector(model, contract, input_size, score_threshold)


def _check_range(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{what} is {value}: use {low} to {high}")


def _haar_options(text: str) -> dict[str, float]:
    options = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in _HAAR_OPTIONS:
            nearest = get_close_matches(key, _HAAR_OPTIONS, 1, 0) or _HAAR_OPTIONS
            raise ConfigError(f"haar has no option {key!r}: did you mean {nearest[0]!r}?")
        options[key] = _number(key, value)
    return options


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"haar's {key} is {text!r}: use a number, as in haar:{key}=1") from None
