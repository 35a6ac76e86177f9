"""The training commands start without their heavy libraries."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roommood.shared.errors import ConfigError
from roommood.training.cli import app

COMMANDS = (
    ["collect"], ["import", "fer2013"], ["import", "folders"], ["train"], ["fine-tune"],
    ["distil"], ["evaluate"], ["export"], ["face", "train"],
)  # fmt: skip


def test_help_needs_none_of_the_heavy_libraries() -> None:
    heavy = "{'torch', 'cv2', 'numpy', 'onnx', 'onnxruntime', 'matplotlib'}"
    check = f"import sys, roommood.training.cli; print({heavy} & set(sys.modules))"
    shown = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "set()"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0


def test_folders_are_imported_by_command(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from tests.training.collecting import write_pictures

    write_pictures(tmp_path / "mine" / "happy", [f"{n}.png" for n in range(12)])
    source, out = str(tmp_path / "mine"), str(tmp_path / "out")
    done = CliRunner().invoke(app, ["import", "folders", source, "--out", out])
    assert done.exit_code == 0
    assert "FER2013Train" in done.stdout


def test_a_label_that_is_no_expression_is_an_error_before_the_camera_opens() -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("onnxruntime")
    done = CliRunner().invoke(app, ["collect", "nowhere", "--label", "hapy"])
    assert isinstance(done.exception, ConfigError)


def test_a_variable_that_is_no_setting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMMOOD_CAMERA_ROOMM", "kitchen")
    done = CliRunner().invoke(app, ["evaluate", "--split", "nowhere", "--model", "none.onnx"])
    assert isinstance(done.exception, ConfigError)
    assert "did you mean ROOMMOOD_CAMERA_ROOM?" in str(done.exception)


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--data", "x", "--checkpoint", "{}"],
        ["fine-tune", "x", "--checkpoint", "{}", "--model", "x.onnx"],
        ["fine-tune", "x", "--checkpoint", "x.pt", "--model", "{}"],
        ["export", "--data", "x", "--checkpoint", "x.pt", "--model", "{}"],
        ["face", "train", "--shards", "x", "--checkpoint", "{}"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    ("place", "why"),
    [("/dev/null", "a device"), ("/tmp", "it is a folder"), ("http://desk/x", "is an address")],
)
def test_what_cannot_be_written_is_refused_before_hours_of_work(
    words: list[str], place: str, why: str
) -> None:
    done = CliRunner().invoke(app, [word.format(place) for word in words])
    assert isinstance(done.exception, ConfigError)
    assert why in str(done.exception)


@pytest.mark.parametrize(
    "words",
    [["collect", "{}"], ["import", "folders", "x", "--out", "{}"], ["distil", "--folder", "{}"]],
    ids=" ".join,
)
def test_no_folder_is_made_that_has_the_name_of_an_address(words: list[str]) -> None:
    done = CliRunner().invoke(app, [word.format("https://desk/x") for word in words])
    assert isinstance(done.exception, ConfigError)
