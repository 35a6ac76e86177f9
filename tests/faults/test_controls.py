"""What the controls switch off exists; that it matters is shown by `make faults`."""

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import faults
from tests.faults.plant import AGGREGATOR, CAMERA, WORKER, strict


def preludes(component: str) -> Iterator[str]:
    """Those of all rows, but for the few that are completed when a row runs."""
    for module in pkgutil.iter_modules(faults.__path__, "tests.faults."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, dict) and isinstance(prelude := value.get(component), str):
                yield prelude


def run(prelude: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", strict(prelude)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("component", [CAMERA, WORKER, AGGREGATOR])
def test_every_name_that_a_control_replaces_exists(component: str) -> None:
    statements = list(dict.fromkeys(preludes(component)))
    assert len(statements) > 3
    done = run("\n".join(statements))
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_gone_is_found_out() -> None:
    done = run("import time\ntime.nothing_of_that_name = 1")
    assert "nothing_of_that_name" in done.stderr
