"""The training commands start without their heavy libraries."""

import subprocess
import sys

from typer.testing import CliRunner

from training.cli import app


def test_help_needs_neither_torch_nor_opencv() -> None:
    check = "import sys, training.cli; print({'torch', 'cv2', 'onnx'} & set(sys.modules))"
    shown = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "set()"


def test_every_command_explains_itself() -> None:
    for command in ("train", "evaluate", "export", "measure-crop"):
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
