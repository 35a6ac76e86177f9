"""Wheels for machines without internet: those of other packages once, ours of each release."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
LOCKED: Final = ROOT / "locked/site.txt"
_OURS: Final = (
    "roommood", "shared", "camera_node", "inference_worker", "aggregator", "deploy", "training",
    "pyproject.toml", "setup.py", "README.md", "LICENSE",
)  # fmt: skip
# Python 3.11.2 of Debian 12 needs what 3.11.3 does not.
_FOR_OLDER: Final = "async-timeout"


def fill(folder: Path, python: str) -> None:
    """Fetches the wheels of other packages for that version of Python, once."""
    made_for, needed = folder / "complete", LOCKED.read_text()
    if made_for.exists() and made_for.read_text() == needed:
        return
    folder.mkdir(parents=True, exist_ok=True)
    download = (
        "download", "--only-binary", ":all:", "--python-version", python, "--dest", str(folder),
    )  # fmt: skip
    pip(*download, "--require-hashes", "--requirement", str(LOCKED))
    pip(*download, "--no-deps", *locked_at(_FOR_OLDER))
    made_for.write_text(needed)


def locked_at(name: str) -> list[str]:
    """The requirement of a package at the version that is locked."""
    pins = re.findall(rf"^({re.escape(name)}==\S+)", LOCKED.read_text(), re.MULTILINE)
    return pins[:1]


def make_wheel(folder: Path, scratch: Path, version: str, broken: str = "") -> Path:
    """A wheel of this tree as `version`; `broken` names a module that is to fail at import."""
    source = scratch / f"source-{version}"
    source.mkdir(parents=True)
    for name in _OURS:
        origin = ROOT / name
        (shutil.copytree if origin.is_dir() else shutil.copy)(origin, source / name)
    project = (source / "pyproject.toml").read_text()
    lines = [f'version = "{version}"' if line.startswith("version = ") else line
             for line in project.splitlines()]  # fmt: skip
    (source / "pyproject.toml").write_text("\n".join(lines))
    if broken:
        (source / broken).write_text("raise RuntimeError('this release is broken')\n")
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    return next(folder.glob(f"roommood-{version}-*.whl"))


def pip(*arguments: str) -> None:
    """Runs pip with these arguments; it must end well."""
    command = [sys.executable, "-m", "pip", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
