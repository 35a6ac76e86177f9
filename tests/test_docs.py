"""The README and its fellows are held to what the code does."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.clock import wall_ms
from roommood.shared.process.settings import (
    AggregatorSettings,
    CameraSettings,
    WorkerSettings,
    load,
)
from tests.aggregator.made import delivery, face, result
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[1]
# Commands of `roommood` that have commands of their own.
GROUPS = ("keys", "models")
SHIPPED = {
    "aggregator",
    "camera_node",
    "deploy",
    "docs",
    "examples",
    "inference_worker",
    "shared",
    "training",
}
README = (ROOT / "README.md").read_text()
MODULES = {
    "roommood": "roommood.deploy.cli",
    "camera-node": "roommood.camera_node.cli",
    "inference-worker": "roommood.inference_worker.cli",
    "aggregator": "roommood.aggregator.cli",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    parsed = [shlex.split(line, comments=True) for line in lines]
    return [words for words in parsed if words and words[0] in MODULES]


@cache
def help_of(*words: str) -> str:
    code = f"from {MODULES[words[0]]} import main; main()"
    command = [sys.executable, "-c", code, *words[1:], "--help"]
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment, check=True
    ).stdout


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_of_the_readme_exists_with_its_options(words: list[str]) -> None:
    depth = 3 if words[1] in GROUPS else 2
    own = words[:depth] if words[0] == "roommood" and not words[1].startswith("-") else words[:1]
    text = help_of(*own)
    for option in (word for word in words if word.startswith("--")):
        assert option in text


def test_the_settings_of_the_readme_are_valid(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    path = tmp_path / "roommood.toml"
    path.write_text(block)
    camera = load(CameraSettings, path, {})
    assert camera.masks
    assert load(WorkerSettings, path, {}).threads == 2
    assert load(AggregatorSettings, path, {}).min_people == 2


def test_the_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("python")
    with RedisServer() as server:
        store = Store(server.url)
        now_ms = wall_ms()
        store.commit([delivery(result(0, face()), now_ms - 100)], now_ms)
        store.touch_rooms({"kitchen": now_ms})
        store.close()
        exec(block.replace("redis://127.0.0.1:6379/0", server.url), {})
    assert capsys.readouterr().out.strip()


def test_the_keys_of_the_readme_are_those_of_the_code() -> None:
    table = re.findall(r"^\| (`roommood:.*?) \|", README, re.MULTILINE)
    named = {key for cell in table for key in re.findall(r"`(roommood:[^`]+)`", cell)}
    documented = redis_keys.__doc__ or ""
    for key in named:
        assert key.replace("<name>", "<id>") in documented, key


PAGES = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "PRIVACY.md",
    "SECURITY.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "PRIVACY.md", "SECURITY.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    for name in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (ROOT / name).exists(), name


def test_every_file_and_target_that_contributing_names_exists() -> None:
    text = read("CONTRIBUTING.md")
    for name in re.findall(r"`([\w.]+/[\w/.]*)`", text):
        assert (ROOT / name).exists(), name
    targets = set(re.findall(r"^([\w ]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {word for target in targets for word in target.split()}
    assert set(re.findall(r"`make (\w+)`", text)) <= known
    for line in re.findall(r"^\.venv/bin/python -m pytest (\S+)", text, re.MULTILINE):
        assert (ROOT / line).exists(), line


@pytest.mark.parametrize("page", ["PRIVACY.md", "SECURITY.md"])
def test_every_row_of_a_table_of_promises_names_a_test(page: str) -> None:
    (table,) = re.findall(r"\| Promise \| Test \|\n\| --- \| --- \|\n((?:\|.*\n)+)", read(page))
    for row in table.splitlines():
        assert "`tests/" in row, row


def test_what_privacy_says_of_retention_is_what_the_code_keeps() -> None:
    days = [round(span.keep_s / 86400, 2) for span in redis_keys.RESOLUTIONS]
    assert days == [0.25, 7, 400]
    text = read("PRIVACY.md")
    assert text.count("6 h, 7 days, 400 days") == 1
    assert "10 seconds for 6 hours" in text or "ten seconds for 6 hours" in text
    assert redis_keys.FORGOTTEN_TTL_S == 6 * 3600
    assert redis_keys.HEALTH_TTL_S == redis_keys.LIVE_TTL_S == 10


def read(page: str) -> str:
    return (ROOT / page).read_text()


def test_the_map_names_every_folder_and_no_other() -> None:
    (section,) = re.findall(r"## Map\n(.*?)\nEach", read("ARCHITECTURE.md"), re.DOTALL)
    mapped: dict[str, set[str]] = {}
    for line in section.splitlines():
        if top := re.match(r"    (\w+)/ ", line):
            folder = top[1]
        if line.startswith("    "):
            mapped.setdefault(folder, set()).update(re.findall(r"\b(\w+)/", line[20:]))
            for name in re.findall(r"\b\w+\.py\b", line):
                assert (ROOT / folder / name).exists(), f"{folder}/{name}"

    for package in sorted(mapped.keys() - {"roommood", "benchmarks"}):
        homes = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert mapped[package] == homes, package


def test_nothing_asks_a_package_index_for_roommood() -> None:
    """Nobody of ours owns the name there: whoever took it would be root on such machines."""
    asks = re.compile(
        r"pip\S* (?:install|download|wheel)\b[^\n`#]*[ \"']roommood(?:[\[\"'=><~]|\s|$)"
    )
    assert asks.search('pip install --upgrade "roommood[camera]"')
    assert not asks.search('pip install "./roommood-0.1.0-py3-none-any.whl[camera]"')
    kinds = ("*.py", "*.md", "*.sh", "*.service", "Makefile", "Dockerfile")
    files = (
        file for folder in ROOT.iterdir() if folder.name in SHIPPED for file in folder.rglob("*")
    )
    for file in [*files, *ROOT.glob("*.md"), ROOT / "Makefile"]:
        if any(file.match(kind) for kind in kinds):
            assert not asks.search(file.read_text()), file
