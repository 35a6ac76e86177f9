from pathlib import Path

import pytest

from roommood.deploy.doctor.findings import Level
from roommood.deploy.doctor.memory_bound import memory_bound_findings


@pytest.mark.parametrize(
    ("names", "level", "message"),
    [
        ("cpuset cpu io memory pids\n", Level.OK, "MemoryMax of systemd's units holds"),
        ("cpuset cpu io pids\n", Level.WARN, "MemoryMax of systemd's units does nothing"),
        ("", Level.WARN, "no memory cgroup"),
    ],
)
def test_a_kernel_that_bounds_no_memory_is_told_with_what_changes_it(
    tmp_path: Path, names: str, level: Level, message: str
) -> None:
    controllers = tmp_path / "cgroup.controllers"
    controllers.write_text(names)
    (finding,) = memory_bound_findings(controllers)
    assert finding.level is level
    assert message in finding.found
    assert ("cgroup_enable=memory" in finding.todo) == (level is Level.WARN)


def test_where_the_kernel_does_not_tell_nothing_is_claimed(tmp_path: Path) -> None:
    (finding,) = memory_bound_findings(tmp_path / "cgroup.controllers")
    assert finding.level is Level.SKIPPED
