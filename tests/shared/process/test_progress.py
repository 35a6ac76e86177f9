"""A bar where a person looks on, and nothing where nobody does."""

import os
import pty
import subprocess
import sys

from tests.terminals import all_shown

_PROGRAM = """
from roommood.shared.process.progress import bar
with bar("counting") as progress:
    for done in range(1, 4):
        progress(done, 3)
print("a result")
"""


def test_a_terminal_shows_how_far_it_is_and_the_output_is_left_to_results() -> None:
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-c", _PROGRAM]
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=its_end, check=True, timeout=60, env=environment
    )
    os.close(its_end)
    shown = all_shown(terminal)
    assert b"counting" in shown
    assert b"100%" in shown
    assert done.stdout == b"a result\n"


def test_a_log_file_gets_no_bar() -> None:
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"a result\n", b"")
