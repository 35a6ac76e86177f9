"""Wheels for machines without internet: those of other packages once, ours of each release."""

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_EXTRAS: Final = ("camera", "worker", "aggregator", "dashboard", "mqtt")
_OURS: Final = (
    "roommood", "shared", "camera_node", "inference_worker", "aggregator", "deploy", "training",
    "pyproject.toml", "setup.py", "README.md", "LICENSE",
)  # fmt: skip
# Python 3.11.2 of Debian 12 needs what 3.11.3 does not.
_FOR_OLDER: Final = "async-timeout"


def fill(folder: Path, scratch: Path) -> None:
    """Fetches the wheels of other packages, once."""
    made_for, needed = folder / "complete", needs(_EXTRAS)
    if made_for.exists() and made_for.read_text() == needed:
        return
    folder.mkdir(parents=True, exist_ok=True)
    wheel = make_wheel(scratch / "first", scratch, "0.0.0")
    wanted = [f"{wheel}[{','.join(_EXTRAS)}]", _FOR_OLDER]
    pip("download", "--only-binary", ":all:", "--dest", str(folder), *wanted)
    for ours in folder.glob("roommood-*.whl"):
        ours.unlink()
    made_for.write_text(needed)


def needs(extras: Iterable[str]) -> str:
    """What this tree says that it needs: another folder of wheels where that changes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    of_extras = project["optional-dependencies"]
    return json.dumps([project["dependencies"], {one: of_extras[one] for one in extras}])


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
