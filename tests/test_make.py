"""What the Makefile promises beyond the commands that it runs."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.site import until

ROOT = Path(__file__).parents[1]
# A make that runs these tests would have this one say where it is.
WITHOUT_MAKE = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
COMMAND = [
    "make", "--assume-old=.venv/dev.stamp", "busy", "PYTEST=sh -c 'echo begun; exec sleep 60'",
]  # fmt: skip


def those_of(session: int) -> list[str]:
    """The processes of a session that still run."""
    pids = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            state, _, _, of = (process / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            pids.append(process.name)
    return pids


def heed_hangups() -> None:
    """Under nohup a shell could not trap what it was told to ignore."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_loops_that_keep_a_machine_busy_end_with_the_tests_however_these_end(sent: int) -> None:
    made = subprocess.Popen(
        COMMAND, cwd=ROOT, env=WITHOUT_MAKE, stdout=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=heed_hangups,  # noqa: PLW1509
    )  # fmt: skip
    assert made.stdout is not None
    try:
        assert made.stdout.readline() == "begun\n"
        assert len(those_of(made.pid)) >= 6, "make, what stands for the tests, and four loops"
        os.killpg(made.pid, sent)
        until(lambda: not those_of(made.pid), "nothing of it runs any more")
    finally:
        for pid in those_of(made.pid):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        made.wait(10)
        made.stdout.close()
