"""A supervisor and its workers, as real processes that die, hang and refuse to start."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roommood.inference_worker.supervisor import (
    BUDGET,
    MOST_PROCESSES,
    Supervisor,
    one_of,
    with_count,
)
from roommood.shared.errors import ConfigError, ModelError
from roommood.shared.process.settings import WorkerSettings, load
from tests.end_to_end.site import Component, until

SUPERVISOR = """
import sys
from roommood.inference_worker import supervisor
from roommood.shared.process import logs
from roommood.shared.process.settings import WorkerSettings
from roommood.shared.process.command import run_app
from tests.inference_worker import supervised
logs.setup("json", "debug", "workers")
supervisor.HUNG_AFTER_S = float({hung_after_s})
# A busy machine starts fewer in a minute than may be replaced in one.
supervisor.BUDGET_S = 600.0
settings = WorkerSettings(processes={processes}, drain_s=2.0)
run_app(lambda: sys.exit(supervisor.Supervisor(settings, supervised.{target}).run()))
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Component]]:
    components: list[Component] = []
    yield components
    for component in components:
        if component.process.poll() is None:
            component.kill()


def start(
    started: list[Component], folder: Path, target: str, processes: int = 2, hung_after_s: float = 2
) -> Component:
    code = SUPERVISOR.format(target=target, processes=processes, hung_after_s=hung_after_s)
    script, log = folder / "supervisor.py", folder / "log"
    script.write_text(code)
    command = [sys.executable, "-c", code]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=Path.cwd())
    started.append(Component("supervisor", command, log, process))
    return started[-1]


def pids(supervisor: Component) -> list[int]:
    return [int(line["pid"]) for line in supervisor.lines("worker started")]


def turning(supervisor: Component, count: int) -> list[int]:
    """Process ids of the workers that said that they turn, once there are `count`."""

    def pids() -> list[int] | None:
        turned = [int(line["pid"]) for line in supervisor.lines("turning")]
        return turned if len(turned) >= count else None

    result: list[int] = until(pids, f"{count} workers turn\n{supervisor.tail()}")
    return result


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_killed_worker_is_replaced_and_the_others_are_left_alone(
    started: list[Component], tmp_path: Path
) -> None:
    supervisor = start(started, tmp_path, "turns", hung_after_s=60)
    first = turning(supervisor, 2)
    os.kill(first[0], signal.SIGKILL)
    now = turning(supervisor, 3)
    assert gone(first[0])
    assert not gone(first[1])
    assert supervisor.stop() == 0
    assert all(gone(pid) for pid in now)


def test_a_hung_worker_is_replaced(started: list[Component], tmp_path: Path) -> None:
    supervisor = start(started, tmp_path, "turns", processes=1)
    first = turning(supervisor, 1)[0]
    os.kill(first, signal.SIGSTOP)
    assert turning(supervisor, 2)[1] != first
    assert supervisor.lines("worker hung, is replaced")
    assert supervisor.stop() == 0
    assert gone(first)


def test_a_worker_that_cannot_go_on_is_replaced_only_so_often(
    started: list[Component], tmp_path: Path
) -> None:
    supervisor = start(started, tmp_path, "ends", processes=1)
    assert supervisor.wait(150) == 1
    assert len(pids(supervisor)) == BUDGET + 1
    assert "replacing them does not help" in supervisor.tail()


def test_a_wrong_setting_ends_all_of_them_at_once(started: list[Component], tmp_path: Path) -> None:
    supervisor = start(started, tmp_path, "refuses")
    assert supervisor.wait(60) == ConfigError.exit_code
    assert len(pids(supervisor)) == 2
    assert "no such model" in supervisor.tail()


def test_a_model_that_is_refused_ends_all_of_them_at_once(
    started: list[Component], tmp_path: Path
) -> None:
    supervisor = start(started, tmp_path, "has_no_model")
    assert supervisor.wait(60) == ModelError.exit_code
    assert len(pids(supervisor)) == 2
    assert "error: this is no model" in supervisor.tail()
    assert not supervisor.lines("is replaced")


def test_a_drain_that_takes_too_long_is_told_by_the_exit_code(
    started: list[Component], tmp_path: Path
) -> None:
    supervisor = start(started, tmp_path, "never_ends", processes=1, hung_after_s=60)
    turning(supervisor, 1)
    assert supervisor.stop() == 3


def test_workers_end_with_a_killed_supervisor(started: list[Component], tmp_path: Path) -> None:
    supervisor = start(started, tmp_path, "turns", hung_after_s=60)
    now = turning(supervisor, 2)
    supervisor.kill()
    assert until(lambda: all(gone(pid) for pid in now), "the workers end too")


def settings_with(**values: Any) -> WorkerSettings:
    return load(WorkerSettings, None, values)


def test_a_system_that_does_not_tell_who_speaks_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "SO_PASSCRED")  # as on macOS
    supervisor = Supervisor(WorkerSettings(processes=2), lambda _: 0)
    with pytest.raises(ConfigError, match="--instance"):
        supervisor.run()


def test_each_instance_has_ports_of_its_own() -> None:
    settings = settings_with(
        bind="127.0.0.1:5701", advertise="desk:5701", metrics_port=9101, processes=3
    )
    third = one_of(settings, 3)
    assert (third.bind, third.advertise) == ("tcp://127.0.0.1:5703", "tcp://desk:5703")
    assert (third.metrics_port, third.processes) == (9103, 1)
    assert one_of(settings, 1).bind == "tcp://127.0.0.1:5701"


@pytest.mark.parametrize("ports", [{"bind": "127.0.0.1:65535"}, {"metrics_port": 65_535}])
def test_an_instance_without_a_port_left_is_an_error(ports: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no port for instance 2"):
        one_of(settings_with(**ports), 2)


def test_no_number_of_processes_means_one_for_each_core_that_it_may_use() -> None:
    cores = len(os.sched_getaffinity(0))
    assert with_count(WorkerSettings(processes=0)).processes == min(cores, MOST_PROCESSES)
    assert with_count(WorkerSettings(processes=3)).processes == 3
