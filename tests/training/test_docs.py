"""The commands of docs/training.md exist with their options."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roommood.training.cli import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for line in re.findall(r"^ {4}(roommood-train .*)$", PAGE, re.MULTILINE)
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_of_the_page_knows_its_options(words: list[str]) -> None:
    path = words[:2] if words[0] in ("import", "face") else words[:1]
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output


def test_every_picture_and_page_that_it_links_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
