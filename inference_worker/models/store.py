"""Models by name: shipped with roommood, pulled into the cache, or known and not yet pulled."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

from roommood.inference_worker.models.download import Download, Progress, fetch, sha256_of
from roommood.inference_worker.models.registry import PINNED, PinnedModel, cached_file, find_pinned
from roommood.shared.errors import ConfigError, ModelError
from roommood.shared.process.atomic_file import atomic_file

_SHIPPED: Final = Path(__file__).parent

State = Literal["shipped", "cached", "available", "own"]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that has a name, or a file of one's own. `sha256` is None where none is recorded."""

    name: str
    task: str
    state: State
    path: Path
    size: int
    sha256: str | None
    about: str
    licence: str


def known_models() -> list[KnownModel]:
    """Shipped ones first, then the pinned ones."""
    return [*_shipped(), *map(_pinned, PINNED.values())]


def find_model(name: str) -> KnownModel:
    """By its name, or a file of one's own. Raises ConfigError, naming all there are, or ModelError
    for a file that is none."""
    models = {model.name: model for model in known_models()}
    if name in models:
        return models[name]
    if not Path(name).is_file():
        names = ", ".join(models)
        raise ConfigError(f"{name}: no such file, and no such model: there are {names}")
    return _own(Path(name))


def resolve(spec: str) -> Path:
    """The file that a path or a model's name means.

    Raises ModelError for a name that is not pulled yet, and for what is neither.
    """
    path = Path(spec)
    if path.is_file():
        return path
    for model in known_models():
        if model.name == spec and model.state == "available":
            raise ModelError(f"{spec} is not here yet: roommood models pull {spec}")
        if model.name == spec:
            return model.path
    names = ", ".join(model.name for model in known_models())
    raise ModelError(f"{spec}: no such file, and no such model: give a path or one of {names}")


def pull(name: str, progress: Progress) -> tuple[Path, bool]:
    """Have a pinned model and its sidecar in the cache; True where it had to be fetched.

    A cached file with another hash is replaced; a sidecar that is there is the user's and stays.
    Raises ConfigError for an unknown name, ModelError where it cannot be had.
    """
    model = find_pinned(name)
    path = cached_file(model)
    missing = not path.is_file() or sha256_of(path) != model.sha256
    if missing:
        fetch(Download(model.url, model.size, model.sha256, path), progress)
    _write_sidecar(model, path.with_suffix(".toml"))
    return path, missing


def verify(model: KnownModel) -> str:
    """What was found to be right about a model's file: its hash, contract and self-test.

    Raises ModelError for what is wrong.
    """
    if model.sha256 is not None and (digest := sha256_of(model.path)) != model.sha256:
        raise ModelError(
            f"{model.path}: its SHA-256 is {digest}, {model.sha256} is due: remove it and pull or "
            "install it again"
        )
    if model.state == "own":
        return _self_test(model)
    checked = "SHA-256 right" if model.sha256 else "no SHA-256 recorded (not an installed wheel)"
    return f"{checked}, {_self_test(model)}"


def _self_test(model: KnownModel) -> str:
    import numpy as np

    from roommood.inference_worker.models.files import load_expression
    from roommood.inference_worker.vision.detectors import open_onnx_detector
    from roommood.inference_worker.vision.emotions import ExpressionClassifier
    from roommood.inference_worker.vision.onnx_detector import OnnxDetector

    tested: OnnxDetector | ExpressionClassifier
    if model.task == "face":
        tested = open_onnx_detector(model.path)
        tested.detect(np.zeros((480, 640, 3), np.uint8))
    else:
        onnx, contract = load_expression(model.path)
        tested = ExpressionClassifier(onnx, contract, "tight" if contract.crop.tight else "haar")
        tested.try_out()
    tested.self_test()
    if tested.contract.selftest is None:
        return "does what its contract says, no outputs recorded for a self-test"
    return "self-test passed"


def _write_sidecar(model: PinnedModel, sidecar: Path) -> None:
    if sidecar.exists():
        return
    try:
        with atomic_file(sidecar) as file:
            file.write(model.sidecar)
    except ConfigError as error:
        raise ModelError(str(error)) from error


def _shipped() -> Iterator[KnownModel]:
    for path in sorted(_SHIPPED.glob("*.onnx")):
        task = "face" if path.stem.startswith("face") else "expression"
        size, due = path.stat().st_size, _installed_sha256(path)
        yield KnownModel(path.stem, task, "shipped", path, size, due, "our own", "Apache-2.0")


def _pinned(model: PinnedModel) -> KnownModel:
    path = cached_file(model)
    state: State = "cached" if path.is_file() else "available"
    about, licence = model.about, model.licence
    return KnownModel(model.name, model.task, state, path, model.size, model.sha256, about, licence)


def _own(path: Path) -> KnownModel:
    from roommood.inference_worker.evaluation.evaluate import task_of

    size = path.stat().st_size
    return KnownModel(path.name, task_of(str(path)), "own", path, size, None, "your own", "")


def _installed_sha256(path: Path) -> str | None:
    """As the wheel's RECORD has it, in hexadecimal; None in a checkout."""
    try:
        files: Any = metadata.files("roommood") or ()
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == path.name and file.hash and Path(file.locate()) == path:
            return base64.urlsafe_b64decode(file.hash.value + "=").hex()
    return None
