"""Files that are no models: one line says so, and nothing advises to run what is in them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")

from roommood.shared.errors import ConfigError, ModelError
from roommood.training.cli import app
from roommood.training.expression.evaluate import Classifier
from roommood.training.face.teacher import Detector
from roommood.training.face.train import face_state
from roommood.training.opened import open_session, read_state

SHIPPED = Path(__file__).parents[2] / "inference_worker/models"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text("# no model\n")
    return path


def test_another_file_is_no_onnx_model(other: Path) -> None:
    for open_model in (open_session, Classifier, Detector.open):
        with pytest.raises(ModelError, match="not a usable ONNX model"):
            open_model(other)
        with pytest.raises(ModelError, match="no such model file"):
            open_model(other.with_name("nowhere.onnx"))


def test_a_detector_is_no_classifier() -> None:
    with pytest.raises(ModelError, match="no expression classifier"):
        Classifier(SHIPPED / "face.onnx")


def test_another_file_is_no_checkpoint(other: Path) -> None:
    with pytest.raises(ModelError) as refused:
        read_state(other, "train")
    assert str(refused.value) == f"{other} is not a checkpoint of `train`"
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        face_state(other.with_name("nowhere.pt"))


def test_a_folder_without_shards_is_told(other: Path) -> None:
    folder = other.parent
    paths = ("--shards", str(folder / "none"), "--checkpoint", str(folder / "face.pt"))
    done = CliRunner().invoke(app, ["face", "train", *paths, "--steps", "1"])
    assert isinstance(done.exception, ConfigError)
    assert "render some first" in str(done.exception)
