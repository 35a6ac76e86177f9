"""The commands of docs/keys.md are run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roommood.deploy.keys.cli import app
from tests.test_docs import help_of

PAGE = (Path(__file__).parents[3] / "docs" / "keys.md").read_text()
LINES = re.findall(r"^    (\S.*)$", PAGE, re.MULTILINE)


def test_the_key_commands_of_the_page_work_in_its_order(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    commands = [shlex.split(line)[2:] for line in LINES if line.startswith("roommood keys ")]
    assert len(commands) == 9
    for words in commands:
        done = CliRunner().invoke(app, [*words, "--keys", str(folder)])
        assert done.exit_code == 0, (words, done.output, done.exception)
        if words[0] == "revoke" and "--old" not in words:
            CliRunner().invoke(app, ["add-camera", words[1], "--room", "x", "--keys", str(folder)])


@pytest.mark.parametrize(
    "line", [line for line in LINES if not line.startswith(("roommood keys", "scp"))]
)
def test_the_other_commands_of_the_page_exist_with_their_options(line: str) -> None:
    words = shlex.split(line)
    text = help_of(*(words[:2] if words[0] == "roommood" else words[:1]))
    for option in (word for word in words if word.startswith("--")):
        assert option in text


def test_the_metrics_of_the_page_exist() -> None:
    root = Path(__file__).parents[3]
    code = "".join((root / name).read_text() for name in (
        "shared/transport/connection_monitor.py", "shared/transport/listener.py",
        "inference_worker/serving/stats.py",
    ))  # fmt: skip
    for name in re.findall(r"`roommood_worker_(\w+)`", PAGE):
        assert re.search(rf"roommood_(worker|{{component}})_{name}", code), name
