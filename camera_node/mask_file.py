"""Masks as lines of a settings file, and into one, with everything else in it left as it is."""

import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from roommood.shared.errors import ConfigError
from roommood.shared.process.atomic_file import atomic_file
from roommood.shared.text_file import read_text, why

Polygons = Sequence[Sequence[Sequence[float]]]
_TABLE: Final = re.compile(r"^[ \t]*\[[ \t]*camera[ \t]*\][ \t]*(?:#.*)?$", re.MULTILINE)
_MASKS: Final = re.compile(r"^[ \t]*masks[ \t]*=[ \t]*", re.MULTILINE)


def as_toml(polygons: Polygons) -> str:
    """`masks = [...]`, a line for each mask; fractions to a thousandth."""
    if not polygons:
        return "masks = []"
    lines = [f"  [{', '.join(f'[{x:.3f}, {y:.3f}]' for x, y in polygon)}]," for polygon in polygons]
    return "\n".join(["masks = [", *lines, "]"])


def save(path: Path, polygons: Polygons) -> None:
    """Put the masks into the table [camera] of a TOML file; it is replaced whole.

    Raises ConfigError where it cannot be read or written, or would not mean the same after.
    """
    target = Path(os.path.realpath(path))
    try:
        text = read_text(target)
        before = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {why(error)}") from error
    changed = _with_masks(text, as_toml(polygons))
    _check(path, before, changed, polygons)
    with atomic_file(target) as file:
        file.write(changed)


def _with_masks(text: str, line: str) -> str:
    table = _TABLE.search(text)
    if table is None:
        return f"{text.rstrip()}\n\n[camera]\n{line}\n".lstrip("\n")
    following = _next_table(text, table.end())
    old = _MASKS.search(text, table.end(), following)
    if old is None:
        return f"{text[: table.end()]}\n{line}{text[table.end() :]}"
    return text[: old.start()] + line + text[_end_of_array(text, old.end()) :]


def _next_table(text: str, start: int) -> int:
    """Where the next table begins: a line that begins with [ outside of an array."""
    depth = 0
    for match in re.finditer(
        r"\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|#.*|[\[\]]|\n[ \t]*\[", text[start:]
    ):
        mark = match[0]
        if mark.startswith("\n") and depth == 0:
            return start + match.start() + 1
        depth += mark.count("[") - mark.count("]") if mark[0] not in "\"'#" else 0
    return len(text)


def _end_of_array(text: str, start: int) -> int:
    depth = 0
    for match in re.finditer(r"\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|#.*|[\[\]]", text[start:]):
        depth += {"[": 1, "]": -1}.get(match[0], 0)
        if depth == 0:
            return start + match.end()
    return len(text)


def _check(path: Path, before: dict[str, Any], changed: str, polygons: Polygons) -> None:
    try:
        after = tomllib.loads(changed)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is written in a way that is not understood: {error}") from error
    masks = after.get("camera", {}).pop("masks", None)
    before.setdefault("camera", {}).pop("masks", None)
    if after != before or masks != tomllib.loads(as_toml(polygons))["masks"]:
        raise ConfigError(f"{path} is written in a way that is not understood: paste the lines")
