"""Commands that are interrupted while they load, or on a system that they do not run on."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "roommood": ["models", "list"],
    "camera-node": ["--help"],
    "inference-worker": ["--help"],
    "aggregator": ["--help"],
}
BEGUN = re.compile(rb"\| +roommood\.deploy\.commands$")
IGNORED = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "


def interrupted(program: list[str], imports_later: int) -> tuple[int, bytes]:
    """The exit code, and what it wrote beside the imports it tells of, when it is interrupted so
    many imports after its own module."""
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", *program],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, b"")
        assert any(BEGUN.search(line.rstrip()) for line in lines)
        for _ in range(imports_later):
            next(lines)
        process.send_signal(signal.SIGINT)
        rest = [line for line in lines if not line.startswith(b"import time:")]
        return process.wait(60), b"".join(rest)


@pytest.mark.parametrize("imports_later", [3, 40, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_still_loads_ends_at_once(name: str, imports_later: int) -> None:
    script = Path(sys.executable).with_name(name)
    code, output = interrupted([str(script), *COMMANDS[name]], imports_later)
    assert code in (-signal.SIGINT, 130)
    assert output == b""


def test_the_same_module_by_itself_tells_where_it_was() -> None:
    """What the commands would do without: the control of the test above."""
    program = "import roommood.deploy.commands, roommood.deploy.cli"
    code, output = interrupted(["-c", program], 40)
    assert code == -signal.SIGINT
    assert b"Traceback" in output


def test_who_starts_a_command_may_have_it_ignore_interrupts() -> None:
    program = f"{IGNORED}from roommood.deploy.commands import roommood; roommood()"
    code, output = interrupted(["-c", program, "models", "list"], 40)
    assert (code, output) == (0, b"")


def test_on_windows_a_command_and_the_installation_say_where_to() -> None:
    command = "from roommood.deploy.commands import roommood as run; run()"
    setup = "import runpy; runpy.run_path('setup.py')"
    for program in (command, setup):
        pretended = f"import setuptools, sys; sys.platform = 'win32'; {program}"
        done = subprocess.run(
            [sys.executable, "-c", pretended, "--version"],
            capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.startswith("error: roommood runs on Linux and macOS: on Windows")
