import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roommood.deploy.demo.processes import Child, ComponentEnded, Processes, Program, python_command
from roommood.shared.process.runtime import Shutdown, shutdown_on_signals

READY_THEN_WAITS = "import signal; print('ready', flush=True); signal.pause()"
PATIENCE_S = 30.0


@pytest.fixture
def shutdown() -> Iterator[Shutdown]:
    with shutdown_on_signals() as shutdown:
        yield shutdown


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


def python(code: str, name: str = "a program") -> Program:
    return Program(name, (sys.executable, "-c", code), lambda log: "ready" in log)


def is_running(pid: int) -> bool:
    """False for a process that is gone, or that is only waited for by a parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_is_ready_when_its_log_says_so(processes: Processes, shutdown: Shutdown) -> None:
    child = processes.start(python(READY_THEN_WAITS))

    assert list(processes.wait_until_ready([child], shutdown, PATIENCE_S)) == [child]
    processes.check()


def test_a_program_that_ends_is_told_with_the_end_of_its_log(
    processes: Processes, shutdown: Shutdown
) -> None:
    child = processes.start(python("import sys; print('the reason'); sys.exit(4)"))

    with pytest.raises(ComponentEnded, match=r"(?s)a program ended with exit code 4.*the reason"):
        list(processes.wait_until_ready([child], shutdown, PATIENCE_S))


def test_a_program_that_is_killed_is_told_by_its_signal(
    processes: Processes, shutdown: Shutdown
) -> None:
    child = processes.start(python(READY_THEN_WAITS))
    list(processes.wait_until_ready([child], shutdown, PATIENCE_S))
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    with pytest.raises(ComponentEnded, match="was ended by SIGKILL"):
        processes.check()


def test_a_program_that_never_gets_ready_is_given_up(
    processes: Processes, shutdown: Shutdown
) -> None:
    child = processes.start(python("import signal; signal.pause()"))

    with pytest.raises(ComponentEnded, match=r"not ready after 0\.1 s"):
        list(processes.wait_until_ready([child], shutdown, 0.1))


def test_waiting_ends_when_a_shutdown_is_requested(
    processes: Processes, shutdown: Shutdown
) -> None:
    child = processes.start(python("import signal; signal.pause()"))
    shutdown.request()

    assert list(processes.wait_until_ready([child], shutdown, PATIENCE_S)) == []


def test_what_does_not_obey_is_killed(tmp_path: Path, shutdown: Shutdown) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY_THEN_WAITS
    with Processes(tmp_path, stop_s=0.1) as processes:
        child = processes.start(python(deaf))
        list(processes.wait_until_ready([child], shutdown, PATIENCE_S))

        with pytest.raises(ComponentEnded, match="SIGKILL when it was told to end"):
            processes.stop([child])


def test_all_end_with_the_block_even_when_it_fails(tmp_path: Path, shutdown: Shutdown) -> None:
    children: list[Child] = []

    def fails() -> None:
        with Processes(tmp_path) as processes:
            children.extend(processes.start(python(READY_THEN_WAITS, name)) for name in "ab")
            list(processes.wait_until_ready(children, shutdown, PATIENCE_S))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [child.exit_code is not None for child in children] == [True, True]


def test_settings_of_this_machine_do_not_reach_them(
    processes: Processes, shutdown: Shutdown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMMOOD_CONFIG", "/nowhere.toml")
    look = "import os; print(os.environ.get('ROOMMOOD_CONFIG')); print('ready', flush=True)"
    child = processes.start(python(look + "; import signal; signal.pause()"))
    list(processes.wait_until_ready([child], shutdown, PATIENCE_S))

    assert child.log().startswith("None\n")


def test_a_folder_of_the_same_name_does_not_shadow_a_component(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    done = subprocess.run(
        python_command("roommood.deploy.cli", "--version"),
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert done.stdout.startswith("roommood ")


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not end children with a parent")
def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, signal; from pathlib import Path\n"
        "from roommood.deploy.demo.processes import Processes, Program\n"
        f"said = Program('child', (sys.executable, '-c', {READY_THEN_WAITS!r}), bool)\n"
        f"child = Processes(Path({str(tmp_path)!r})).start(said)\n"
        "while not child.is_ready(): pass\n"
        "print(child.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        end = os.pidfd_open(pid)
        parent.kill()

    wait_readable(end)
    assert not is_running(pid)


def wait_readable(pidfd: int) -> None:
    """A pidfd becomes readable when its process has ended."""
    import select

    try:
        assert select.select([pidfd], [], [], PATIENCE_S)[0], "it did not end"
    finally:
        os.close(pidfd)
