"""Wheels for machines without internet: those of other packages once, ours of each release."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_EXTRAS: Final = "camera,worker,aggregator,dashboard,mqtt"
_OURS: Final = (
    "roommood", "shared", "camera_node", "inference_worker", "aggregator", "deploy", "training",
    "pyproject.toml", "setup.py", "README.md", "LICENSE",
)  # fmt: skip
# Python 3.11.2 of Debian 12 needs what 3.11.3 does not.
_FOR_OLDER: Final = "async-timeout"


def fill(folder: Path, scratch: Path) -> None:
    """Fetches the wheels of other packages, once."""
    made_for = folder / "complete"
    if made_for.exists() and made_for.read_text() == _EXTRAS:
        return
    folder.mkdir(parents=True, exist_ok=True)
    wheel = make_wheel(scratch / "first", scratch, "0.0.0")
    wanted = [f"{wheel}[{_EXTRAS}]", _FOR_OLDER]
    _pip("download", "--only-binary", ":all:", "--dest", str(folder), *wanted)
    for ours in folder.glob("roommood-*.whl"):
        ours.unlink()
    made_for.write_text(_EXTRAS)


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
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    return next(folder.glob(f"roommood-{version}-*.whl"))


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
