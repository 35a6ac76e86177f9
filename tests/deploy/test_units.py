"""What the shipped systemd units promise of a service that has gone wrong."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.rows import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
OURS = [unit for unit in UNITS if unit.name != "roommood-redis.service"]


def value(unit: Path, name: str) -> str:
    """A setting that stands in a unit once."""
    (setting,) = re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)
    return str(setting)


@pytest.mark.parametrize("unit", OURS, ids=lambda unit: unit.name)
def test_what_takes_all_memory_ends_itself_and_not_its_machine(unit: Path) -> None:
    assert re.fullmatch(r"\d+[MG]", value(unit, "MemoryMax"))
    assert value(unit, "Restart") == "always"
    assert value(unit, "LimitCORE") == "0"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_knows_every_setting(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.M))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    assert not re.findall(rf"{re.escape(copy.name)}:\d+: .*", done.stderr)
