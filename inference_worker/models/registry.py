"""Public models that `roommood models pull` knows, and where they lie once pulled.

Each is pinned: an address that names a commit, the size, and the SHA-256 that whoever publishes
it gives (Git LFS pointers, the manifest of the ONNX model zoo) or that was taken from the file
itself. A model whose hash is not known has no place here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal

from roommood.shared.errors import ConfigError

_HUGGING_FACE: Final = "https://huggingface.co"
_LFS: Final = "https://media.githubusercontent.com/media"
_RAW: Final = "https://raw.githubusercontent.com"

_YUNET_SIDECAR: Final = """\
model_id = "{name}"
score_threshold = 0.6
nms_iou = 0.45
box = "tight"
licence = "{licence}"
training_data = "WIDER FACE (Yang et al. 2016): the pictures are for non-commercial research"
[input]   # (pixel - mean) / std
channels = 3
colour = "bgr"
mean = [0.0]
std = [1.0]
"""

# The crop is that of faces in FER2013, on which the model was trained.
_FERPLUS_SIDECAR: Final = """\
model_id = "{name}"
labels = [
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
]
output = "logits"
licence = "{licence}"
training_data = "FER2013 (Goodfellow et al. 2013) with FER+ votes (Barsoum et al. 2016)"
[input]   # (pixel - mean) / std
width = 64
height = 64
channels = 1
colour = "gray"
mean = [0.0]
std = [1.0]
[crop]
of = "sqrt"
haar = {{ side = 1.0 }}
tight = {{ side = 1.13 }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedModel:
    """A public model: where it is, how large, its SHA-256, and the contract that it lacks."""

    name: str
    task: Literal["face", "expression"]
    about: str
    licence: str
    url: str
    size: int
    sha256: str
    contract: str

    @property
    def sidecar(self) -> str:
        """The TOML file that belongs beside the model."""
        return self.contract.format(name=self.name, licence=self.licence)


_MODELS: Final = (
    PinnedModel(
        name="yunet-n",
        task="face",
        about="YuNet, any size",
        licence="Apache-2.0",
        url=f"{_RAW}/ShiqiYu/libfacedetection.train/dca340aa082c71081a68d17db8e58b33a58a914b"
        "/onnx/yunet_n_dynamic.onnx",
        size=322_906,
        sha256="104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
        contract=_YUNET_SIDECAR,
    ),
    PinnedModel(
        name="yunet-s",
        task="face",
        about="the smaller YuNet",
        licence="Apache-2.0",
        url=f"{_RAW}/ShiqiYu/libfacedetection.train/dca340aa082c71081a68d17db8e58b33a58a914b"
        "/onnx/yunet_s_dynamic.onnx",
        size=237_823,
        sha256="daede24002cc8590f457998cc5e6c9e8b82f45f6bd969506a8913cd4ed10a2d3",
        contract=_YUNET_SIDECAR,
    ),
    PinnedModel(
        name="yunet-2023mar",
        task="face",
        about="OpenCV's, 640x640",
        licence="MIT",
        url=f"{_LFS}/opencv/opencv_zoo/82b38c8f98e7b52aa171400f3e4c722352d0669f"
        "/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        size=232_589,
        sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        contract=_YUNET_SIDECAR,
    ),
    PinnedModel(
        name="ferplus-8",
        task="expression",
        about="FER+'s VGG13",
        licence="MIT",
        url=f"{_HUGGING_FACE}/onnxmodelzoo/emotion-ferplus-8/resolve"
        "/4d016bfebdb4122b1f37511c5a9d40b5c87054a8/emotion-ferplus-8.onnx",
        size=35_040_571,
        sha256="a2a2ba6a335a3b29c21acb6272f962bd3d47f84952aaffa03b60986e04efa61c",
        contract=_FERPLUS_SIDECAR,
    ),
)
PINNED: Final[Mapping[str, PinnedModel]] = {model.name: model for model in _MODELS}


def find_pinned(name: str) -> PinnedModel:
    """The model of that name. Raises ConfigError, naming the nearest."""
    if name not in PINNED:
        nearest = get_close_matches(name, PINNED, 1, 0) or list(PINNED)
        raise ConfigError(
            f"no model {name!r} is known: did you mean {nearest[0]!r}? "
            f"There are {', '.join(PINNED)}"
        )
    return PINNED[name]


def named_model(spec: str) -> Path:
    """The file that a setting names: a path, or a model that is shipped or was pulled.

    Raises ConfigError for one that was not, with the command that does, and for what is neither.
    """
    path = Path(spec).expanduser()
    if path.is_file():
        return path
    if spec in PINNED:
        if not cached_file(PINNED[spec]).is_file():
            raise ConfigError(f"model {spec} is not here yet: roommood models pull {spec}")
        return cached_file(PINNED[spec])
    shipped = {file.stem: file for file in Path(__file__).parent.glob("*.onnx")}
    if not (path.suffix or "/" in spec or spec in shipped or path.exists()):
        names = ", ".join([*shipped, *PINNED])
        raise ConfigError(f"{spec}: no such file, and no such model: give a path or one of {names}")
    return shipped.get(spec, path)


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where pulled models lie: $ROOMMOOD_CACHE/models, else the user's cache."""
    own = environ.get("ROOMMOOD_CACHE")
    if own:
        return Path(own).expanduser() / "models"
    user = environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "roommood" / "models"


def cached_file(model: PinnedModel) -> Path:
    """Where a pulled model lies, whether it is there or not."""
    return cache_folder() / f"{model.name}.onnx"
