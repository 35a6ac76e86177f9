"""What is private is replaced in one module, so that a rename breaks there and loudly."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import ROOT, name_of

# Their controls run in processes of their own, and say there what they replace.
ELSEWHERE = ("tests/hooks.py", "tests/faults/", "tests/hostile/")
TESTS = [
    path
    for path in sorted((ROOT / "tests").rglob("*.py"))
    if not name_of(path).startswith(ELSEWHERE)
]


def is_private(name: str) -> bool:
    return name.rpartition(".")[2].startswith("_") and not name.endswith("__")


def replaced(text: str) -> Iterator[str]:
    """What is private of others and set, by `setattr` or by an assignment."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            for argument in node.args[:2]:
                if isinstance(argument, ast.Constant) and is_private(str(argument.value)):
                    yield f"line {node.lineno}: {argument.value!r}"
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            is_own = ast.unparse(node.value) in ("self", "cls")
            if is_private(node.attr) and not is_own:
                yield f"line {node.lineno}: {node.attr}"


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_a_test_replaces_nothing_private(path: Path) -> None:
    assert list(replaced(path.read_text())) == []


@pytest.mark.parametrize(
    "text",
    ['monkeypatch.setattr(zap, "_LOOK_MS", 20)', 'p.setattr("a.b._C", 1)', "guard._clock = slow"],
)
def test_each_way_of_replacing_is_seen(text: str) -> None:
    assert list(replaced(text))


def test_what_is_a_tests_own_is_left_alone() -> None:
    assert not list(replaced("self._seen = 1\np.setattr(module, 'PUBLIC', 2)"))
