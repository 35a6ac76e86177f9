"""The pages are held to what the code does: their commands exist, with these options."""

import json
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from roommood.camera_node import cli as camera_cli
from roommood.deploy.cli import app

ROOT = Path(__file__).parents[1]
# Pages of commands; those of training are held to in its own tests, since they need PyTorch.
PAGES = (
    "aiming", "coming-from", "containers", "dashboard", "first-pi", "home-assistant", "keys",
    "models", "notify", "prometheus", "python", "redis", "scale", "site", "sources", "statistics",
    "upgrading",
)  # fmt: skip
FENCED = re.compile(r"```(\w*)[^\n]*\n(.*?)```", re.DOTALL)
# Commands of `roommood` that have commands of their own.
GROUPS = ("camera", "keys", "models")
# As they are called by themselves, and under the one command.
OWN_NAMES = {
    "roommood": [],
    "camera-node": ["camera"],
    "inference-worker": ["worker"],
    "aggregator": ["aggregator"],
}


def text_of(page: str) -> str:
    return (ROOT / "docs" / f"{page}.md").read_text()


def without_code(page: str) -> str:
    """Without what others' calls are set beside: comments in Python, and names of functions."""
    return re.sub(r"(?m)# .*$|`\w[^`\n]*\(\)?[^`\n]*`", "", text_of(page))


def commands(page: str) -> list[list[str]]:
    text = text_of(page)
    fenced = [block for language, block in FENCED.findall(text) if language == "sh"]
    indented = re.findall(r"^    (\S.*)$", FENCED.sub("", text), re.MULTILINE)
    inline = [
        quoted
        for quoted in re.findall(r"`([^`\n]+ [^`\n]+)`", FENCED.sub("", text))
        if "'" not in quoted
    ]
    lines = "\n".join([*fenced, *indented, *inline]).replace("\\\n", " ").splitlines()
    parsed = [shlex.split(line, comments=True) for line in lines]
    named = [[Path(words[0]).name, *words[1:]] for words in parsed if words]
    return [words for words in named if words[0] in OWN_NAMES]


@cache
def help_of(*words: str) -> str:
    wide = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    done = CliRunner().invoke(app, [*words, "--help"], env=wide)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    "words", [words for page in PAGES for words in commands(page)], ids=" ".join
)
def test_every_command_of_a_page_exists_with_its_options(words: list[str]) -> None:
    path = [*OWN_NAMES[words[0]]]
    for word in words[1:]:
        if word.startswith("-") or len(path) == 2 or (path and path[0] not in GROUPS):
            break
        path.append(word)
    shown = help_of(*path)
    for option in (word for word in words if word.startswith("--")):
        assert option in shown


def test_pages_name_commands() -> None:
    """The control of the test above."""
    assert all(commands(page) for page in PAGES)
    assert "--no-such-option" not in help_of("camera", "preview")
    assert isinstance(camera_cli.app, typer.Typer)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_exists(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text_of(page)):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_pages_speak_of_expressions_shown(page: str) -> None:
    """Names of files and columns aside, and what others call their functions."""
    assert not re.search(r"(?<![`/])emotion", without_code(page).lower())


def test_the_list_of_pages_names_each_and_no_other() -> None:
    named = set(re.findall(r"\]\(([\w-]+\.md)\)", text_of("README")))
    assert named == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_pictures_of_pages_are_small() -> None:
    for name in ("aiming.png", "plot_day.png"):
        assert (ROOT / "docs/screenshots" / name).stat().st_size < 200_000


def test_a_time_of_the_classifier_is_one_figure_wherever_it_stands() -> None:
    figures = json.loads((ROOT / "docs/expression/evaluation.json").read_text())
    time, numbers = f"{figures['ms_per_face']:.2f}", f"{figures['params']:,}"
    card = ROOT / "inference_worker/models/expression.MODEL_CARD.md"
    assert f"| Time | {time} ms a face" in card.read_text()
    assert f" | {time} | {numbers} |" in text_of("models")


def test_the_readme_has_the_classifiers_figures() -> None:
    figures = json.loads((ROOT / "docs/expression/evaluation.json").read_text())
    percents = re.findall(
        r"(\d\d?\.\d) %", (ROOT / "README.md").read_text().split("shipped expression")[1]
    )
    shares = (figures["accuracy"], figures["accuracy_by_px"]["24"], figures["ece"])
    assert percents[:3] == [f"{100 * share:.1f}" for share in shares]
