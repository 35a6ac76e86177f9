import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roommood.deploy.cli import app, main
from roommood.shared.process.runtime import release

COMMANDS = (
    "demo", "doctor", "camera", "worker", "aggregator",
    "rooms", "stats", "export", "watch", "pause", "resume", "views", "forget",
    "exporter", "mqtt", "notify", "dashboard",
)  # fmt: skip
HEAVY = ("cv2", "numpy", "onnxruntime", "redis", "zmq", "pydantic", "prometheus_client", "skimage")


def test_help_names_every_command_and_its_panels() -> None:
    result = CliRunner().invoke(app, ["--help"])

    assert result.exit_code == 0
    for word in (*COMMANDS, "Start here", "Run a component", "Look at rooms"):
        assert word in result.output


def test_without_a_command_it_shows_its_help() -> None:
    assert "Start here" in CliRunner().invoke(app, []).output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])

    assert result.exit_code == 0
    assert "Example:" in result.output
    assert command in result.output


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import json, sys; from roommood.deploy.cli import app;"
        "app(['--help'], standalone_mode=False);"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(json.loads(done.stderr.splitlines()[-1]))

    assert loaded.isdisjoint(HEAVY)


def test_it_tells_its_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"roommood {release()}\n"


def test_bash_can_complete_its_commands() -> None:
    asked = {"_ROOMMOOD_COMPLETE": "complete_bash", "COMP_WORDS": "roommood d", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'roommood';"
         "from roommood.deploy.cli import main; main()"],
        env={**os.environ, **asked}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert set(done.stdout.split()) == {"dashboard", "demo", "deploy", "doctor"}


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["demo", "--camera", "0", "--video", __file__], "choose one"),
        (["stats", "No Such Room"], "No Such Room"),
        (["stats", "kitchen", "--last", "soon"], "'soon' is not a time"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(
    arguments: list[str],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["roommood", *arguments])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code in (1, 2)
    output = capfd.readouterr().err
    assert output.startswith("error: ")
    assert what in output
    assert "Traceback" not in output


SECRET = "let'me in"


@pytest.mark.parametrize(
    "words",
    [
        ["aggregator", "redis://user:{}@desk:6379/0"],
        ["redis://user:{}@desk"],
        ["demo", "--seconds", "redis://user:{}@desk"],
        ["stats", "kitchen", "--by=rtsp://user:{}@desk/cam", "--last", "1h"],
        ["models", "evaluate", "expression", "--data", "https://user:{}@desk/pictures"],
        ["models", "evaluate", "expression", "--data", ".", "--limit", "https://user:{}@desk/x"],
        ["dashboard", "--bind", "redis://user:{}@desk"],
        ["mqtt", "--broker", "mqtt://user:{}@desk", "--every-s", "mqtt://user:{}@desk"],
        ["camera", "preview", "rtsp://user:{}@desk/cam"],
        ["keys", "init", "--keys", "https://user:{}@desk/keys"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
@pytest.mark.parametrize("secret", [SECRET, "letmein"])
def test_a_word_that_is_refused_is_told_without_its_password(words: list[str], secret: str) -> None:
    """A person may see it, and so may whoever reads a log."""
    given = [word.format(secret) for word in words]
    done = subprocess.run(
        [sys.executable, "-c", "from roommood.deploy.cli import main; main()", *given],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert not any(part in done.stderr + done.stdout for part in ("let", "me in"))


@pytest.mark.parametrize(
    "words",
    [
        ["keys", "init", "--keys", "http://desk/keys"],
        ["keys", "redis", "--dir", "https://desk/redis"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_no_folder_is_made_that_has_the_name_of_an_address(
    words: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from roommood.deploy.cli import main; main()", *words],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "is an address: give a path on this machine" in done.stderr
    assert not any(tmp_path.iterdir())
