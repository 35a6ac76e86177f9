"""What is asked before data goes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from roommood.deploy.cli import app

# Nobody listens there: whatever is asked of a machine fails at once.
SITE = """
[desktop]
host = "127.0.0.1"
address = "desk.lan"
ssh_port = 1

[[camera]]
name = "den-1"
room = "den"
host = "192.0.2.7"
user = "root"
"""


def ask(folder: Path, *options: str, typed: str = "") -> tuple[int, str]:
    (folder / "site.toml").write_text(SITE)
    result = CliRunner().invoke(
        app, ["deploy", str(folder / "site.toml"), *options], input=typed, env={"COLUMNS": "200"}
    )
    return result.exit_code, result.output


@pytest.mark.parametrize("typed", ["y\n", "desktop\n", ""])
def test_data_is_deleted_only_once_the_desktops_host_was_typed(tmp_path: Path, typed: str) -> None:
    options = ("--remove", "--purge", "--yes", "--only", "desktop")
    code, output = ask(tmp_path, *options, typed=typed)
    assert (code, "cannot reach" in output) == (1, False)

    code, output = ask(tmp_path, *options, typed="127.0.0.1\n")
    assert (code, "cannot reach" in output) == (1, True), "the control: it goes on to the machine"


def test_without_purge_a_plain_yes_is_enough(tmp_path: Path) -> None:
    assert "cannot reach" in ask(tmp_path, "--remove", "--only", "desktop", typed="y\n")[1]
    assert "cannot reach" not in ask(tmp_path, "--remove", "--only", "desktop", typed="n\n")[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--purge",), "only with --remove"),
        (("--remove", "--purge", "--only", "den-1"), "add --only desktop"),
        (("--remove", "--dry-run"), "not with --dry-run"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    code, output = ask(tmp_path, *options)
    assert code == 2
    assert message in output
