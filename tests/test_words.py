"""The glossary of ARCHITECTURE.md holds: a replaced word names nothing and is logged nowhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import MODULES, ROOT, name_of

TESTS = sorted((ROOT / "tests").rglob("*.py"))

# What somebody reads in a log: the message of these calls.
LOGGED = {"event", "debug", "info", "warning", "error", "exception"}
# The doctor's report has a key of this name.
FIELDS = {"found"}


def replaced(glossary: str) -> set[str]:
    """The last column of the table of words; `turn()` is a name of functions only."""
    table = glossary.partition("\n## Words\n")[2].splitlines()
    cells = [line.rstrip("|").rpartition("|")[2] for line in table if line.startswith("| ")]
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


WORDS = replaced((ROOT / "ARCHITECTURE.md").read_text())


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a module gives, and its line; functions with `()`."""
    fields = {id(field.target) for kind in ast.walk(tree) if isinstance(kind, ast.ClassDef)
              for field in kind.body if isinstance(field, ast.AnnAssign)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{node.name}()", node.lineno
        elif isinstance(node, ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield ("" if id(node) in fields and node.id in FIELDS else node.id), node.lineno


def log_lines(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The text of every message that is logged, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
            called = called.id if isinstance(called, ast.Name) else called
            for argument in node.args if called in LOGGED else ():
                for part in ast.walk(argument):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value, node.lineno


def plain_of(name: str) -> str:
    plain = name.strip("_").removesuffix("()")
    return plain if plain[:1].isupper() and not plain.isupper() else plain.lower()


def is_replaced(name: str) -> bool:
    plain = plain_of(name)
    return plain in WORDS or (f"{plain}()" in WORDS and name.endswith("()"))


def replaced_in(text: str) -> list[str]:
    """Those of the words that a module still uses, with their lines."""
    tree = ast.parse(text)
    wrong = [f"line {line}: {name}" for name, line in names(tree) if is_replaced(name)]
    for message, line in log_lines(tree):
        spoken = {
            word for word in WORDS if word.islower() and re.search(rf"\b{word}\b", message.lower())
        }
        wrong += [f"line {line}: {word!r} is logged" for word in sorted(spoken)]
    return wrong


def test_the_glossary_names_the_words_that_were_replaced() -> None:
    assert {"Entrance", "turn()", "let in", "boot_id", "found"} <= WORDS


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_replaced_word_stands_in_code_or_log_lines(path: Path) -> None:
    assert replaced_in(path.read_text()) == []


def test_nor_does_one_stand_in_a_test() -> None:
    wrong = {name_of(path): replaced_in(path.read_text()) for path in TESTS}
    assert {path: lines for path, lines in wrong.items() if lines} == {}


@pytest.mark.parametrize(
    "text",
    [
        "class Door: pass",
        "def turn(): pass",
        "for one in []: pass",
        "def _said(): pass",
        "self._news = 1",
        "_SLACK = 2",
        "def f(told): pass",
        "class A:\n    hungry: int",
        "event(_log, level, 'camera put out')",
        "_log.warning(f'{who} is let in')",
    ],
)
def test_each_kind_of_use_is_seen(text: str) -> None:
    assert replaced_in(text)


@pytest.mark.parametrize(
    "text", ["turn = 1", "class A:\n    found: str", "x.found", "say('found one')", "link = 1"]
)
def test_what_only_reads_alike_is_left_alone(text: str) -> None:
    assert replaced_in(text) == []
