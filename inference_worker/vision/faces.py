"""Finding faces: what every detector offers, and which one a setting names."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal, Protocol

from roommood.inference_worker.models.files import SHIPPED_FACE
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.errors import ConfigError

BoxStyle = Literal["haar", "tight"]
Point = tuple[float, float]

DEFAULT_INPUT_SIZE: Final = 640
_HAAR_OPTIONS: Final = ("scale", "neighbours")


@dataclass(frozen=True, slots=True)
class Detection:
    """One face: its box in pixels of the picture, which it may overlap, and a score in 0..1.

    `certain` is False where its detector often takes something else for a face with such a
    score. `landmarks`, where the detector gives them: the eyes (that at the left of the picture
    first), the tip of the nose, the corners of the mouth (left first).
    """

    x: float
    y: float
    width: float
    height: float
    score: float
    landmarks: tuple[Point, ...] | None = None
    certain: bool = True

    @property
    def side(self) -> float:
        """The root of the box's area, in pixels."""
        return float((self.width * self.height) ** 0.5)


class FaceDetector(Protocol):
    """Finds faces. `detect` may be called from several threads at once.

    `box_style` says how its boxes lie on a face: "haar" squares from brow to chin, or boxes
    "tight" around the whole face. `detector_id` is a name of the wire's alphabet, `provider`
    what computes it. `reads_gray` is True where it makes nothing of colour: then it takes
    (H, W) gray pictures too.
    """

    @property
    def detector_id(self) -> str: ...

    @property
    def box_style(self) -> BoxStyle: ...

    @property
    def provider(self) -> str: ...

    @property
    def reads_gray(self) -> bool: ...

    def detect(self, picture: Picture) -> list[Detection]:
        """The faces in an upright (H, W, 3) BGR picture, in no particular order.

        Raises ModelError where the detector fails: that is never "no faces".
        """
        ...

    def self_test(self) -> None:
        """Raises ModelError where a model no longer gives the outputs recorded in its file."""
        ...


def open_detector(
    spec: str = "",
    *,
    input_size: int = DEFAULT_INPUT_SIZE,
    score_threshold: float | None = None,
    provider: str = "cpu",
) -> FaceDetector:
    """The detector that `spec` names.

    `haar` or `haar:scale=1.1,neighbours=3` is OpenCV's cascade; a path is a YuNet-style ONNX
    file; "" is the shipped detector, or Haar where none is shipped. Larger pictures are shrunk
    so that their longer side has `input_size` pixels. `score_threshold` in 0..1 overrides the
    detector's own.

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
    from roommood.inference_worker.vision.yunet import YuNetDetector

    path = Path(spec) if spec else SHIPPED_FACE
    return YuNetDetector(path, input_size, score_threshold, provider)


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
