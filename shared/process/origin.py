"""Where the roommood that runs was installed from, so that more of it comes from there as well.

Nobody of ours owns the name `roommood` on the package index, so that nothing may be fetched by it.
"""

import json
import os
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
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
    notes = (
        distribution.read_text("direct_url.json") for distribution in distributions(name="roommood")
    )
    document: dict[str, Any] = next((json.loads(note) for note in notes if note), {})
    url = urlsplit(document.get("url", ""))
    path = Path(unquote(url.path))
    if url.scheme != "file" or not path.exists():
        return None
    return Origin(path, bool(document.get("dir_info", {}).get("editable")))


def how_to_install(extra: str) -> str:
    """The command that adds an extra to the environment that runs."""
    source = origin()
    python, path = _as_typed(Path(sys.executable)), _as_typed(source.path) if source else _UNKNOWN
    flag = "--editable " if source and source.editable else ""
    command = f'{python} -m pip install {flag}"{path}[{extra}]"'
    return command if source else f"{command}, the wheel or the clone that roommood came from"


def _as_typed(path: Path) -> str:
    """As a person names it from where they are, with `./` before a file there."""
    here = Path.cwd()
    if here == here.parent or not path.is_relative_to(here):
        return str(path)
    near = str(path.relative_to(here))
    return near if os.sep in near or near == "." else f".{os.sep}{near}"
