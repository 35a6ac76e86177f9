"""What the shipped systemd units promise of a service that has gone wrong."""

import re
import shutil
import subprocess
from collections.abc import Iterator
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


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_camera_may_ask_whether_the_clock_is_set_and_nobody_may_set_it(unit: Path) -> None:
    """Until it is set a camera with quiet hours is closed."""
    allowed = allowed_calls(unit)
    assert not allowed & {"clock_settime", "clock_settime64", "settimeofday"}
    assert value(unit, "CapabilityBoundingSet") == ""
    asks = {"adjtimex", "clock_adjtime", "clock_adjtime64"}
    if unit.name.startswith("camera-node"):
        assert asks <= allowed
        assert "ProtectClock=yes" not in unit.read_text()  # which forbids the same calls anew
    else:
        assert not asks & allowed


def allowed_calls(unit: Path) -> set[str]:
    """What is left by a unit's filters, of which the first says what may be called."""
    allowed: set[str] = set()
    for names in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.MULTILINE):
        calls = {call for name in names.removeprefix("~").split() for call in calls_of(name)}
        allowed = allowed - calls if names.startswith("~") else allowed | calls
    return allowed


def calls_of(name: str) -> Iterator[str]:
    """A call, or those of a set such as @system-service, as systemd knows it."""
    if not name.startswith("@"):
        yield name
        return
    command = ["systemd-analyze", "--no-pager", "syscall-filter", name]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines()[1:]:
        if line.strip() and not line.strip().startswith("#"):
            yield from calls_of(line.strip())
