"""Where the roommood that runs was installed from, so that more of it comes from there as well.

Nobody of ours owns the name `roommood` on the package index, so that nothing may be fetched by it.
"""

import json
import os
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_UNKNOWN: Final = "FILE-OR-FOLDER"


@dataclass(frozen=True, slots=True)
class Origin:
    """A wheel, or the folder of a clone; `editable` where the clone is what runs."""

    path: Path
    editable: bool = False


def origin() -> Origin | None:
    """What pip noted of a file or folder that is still there (PEP 610); else None."""
    # In a clone, what its build left beside the sources is found first, and has no such note.
    notes = map(_note, distributions(name="roommood"))
    note = next((note for note in notes if note), {})
    path, folder = _path(note.get("url")), note.get("dir_info")
    if path is None:
        return None
    return Origin(path, isinstance(folder, dict) and bool(folder.get("editable")))


def _note(distribution: Distribution) -> dict[str, Any]:
    """Empty where there is none, or what is there is damaged."""
    try:
        note = json.loads(distribution.read_text("direct_url.json") or "{}")
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _path(url: object) -> Path | None:
    """What a file URL names, if it is there."""
    try:
        parts = urlsplit(str(url))
        path = Path(unquote(parts.path))
        return path if parts.scheme == "file" and path.exists() else None
    except (OSError, ValueError):
        return None


def how_to_install(extra: str) -> str:
    """The command that adds an extra to the environment that runs."""
    source = origin()
    python, path = _as_typed(Path(sys.executable)), _as_typed(source.path) if source else _UNKNOWN
    flag = "--editable " if source and source.editable else ""
    command = f'{shlex.quote(python)} -m pip install {flag}"{path}[{extra}]"'
    return command if source else f"{command}, the wheel or the clone that roommood came from"


def _as_typed(path: Path) -> str:
    """As a person names it from where they are, with `./` before a file there."""
    here = Path.cwd()
    if here == here.parent or not path.is_relative_to(here):
        return str(path)
    near = str(path.relative_to(here))
    return near if os.sep in near or near == "." else f".{os.sep}{near}"
