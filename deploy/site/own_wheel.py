"""The wheel of the roommood that runs, for the machines of its site."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.process.origin import origin

_BUILD_S: Final = 600
# So that the same sources give the same bytes, and a machine that has them is left alone.
_SAME_TIME: Final = {"SOURCE_DATE_EPOCH": "1700000000"}


@cache
def own_wheel() -> Path:
    """The file that it was installed from, or one that is built of its clone, once.

    Raises ConfigError where neither is there any more, or the clone does not build.
    """
    source = origin()
    if source is None:
        raise ConfigError(
            "the wheel or the clone that this roommood was installed from is not there any more: "
            "give a folder with its wheel as --wheelhouse DIR (docs/site.md)"
        )
    return source.path if source.path.is_file() else _build(source.path)


def _build(clone: Path) -> Path:
    folder = tempfile.mkdtemp(prefix="roommood-wheel-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder]
    done = subprocess.run(
        [*command, str(clone)],
        env={**os.environ, **_SAME_TIME},
        capture_output=True, text=True, check=False, timeout=_BUILD_S,
    )  # fmt: skip
    built = list(Path(folder).glob("roommood-*.whl"))
    if done.returncode or len(built) != 1:
        raise ConfigError(f"{clone} cannot be built as a wheel:\n{done.stderr.strip()}")
    return built[0]
