"""Memory that is freed between two frames stays, and is not faulted in again."""

import mmap
import platform
import subprocess
import sys

import pytest

from roommood.shared.process.memory import resident_bytes

_FAULTS = """
import resource
import numpy as np
from roommood.shared.process.memory import keep_freed_memory
import cv2
if {kept}: keep_freed_memory()
_, jpeg = cv2.imencode(".jpg", np.full((480, 640, 3), 90, np.uint8))
for _ in range(5): cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50): cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 50)
"""


def faults_a_picture(kept: bool) -> float:
    code = _FAULTS.format(kept=kept)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_decoding_one_picture_after_the_other_faults_no_memory_in() -> None:
    assert faults_a_picture(kept=True) < 10
    assert faults_a_picture(kept=False) > 100


_KEPT = """
from pathlib import Path
import numpy as np
from roommood.shared.process.memory import give_back_large_messages
if {given_back}: give_back_large_messages()
def rss(): return int(Path("/proc/self/statm").read_text().split()[1])
del (first := [np.ones(4 << 20, np.uint8)])[:]
many = [np.ones(4 << 20, np.uint8) for _ in range(16)]
last = np.ones(1 << 16, np.uint8)
before = rss()
del many[:15]
print((before - rss()) / 1024)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
@pytest.mark.skipif(platform.system() != "Linux", reason="reads /proc")
def test_large_messages_go_back_to_the_system_as_they_are_freed() -> None:
    def given_back_of_15(given_back: bool) -> float:
        code = _KEPT.format(given_back=given_back)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        )
        return float(done.stdout)

    assert given_back_of_15(True) > 14
    assert given_back_of_15(False) < 2


@pytest.mark.skipif(platform.system() != "Linux", reason="reads /proc")
def test_the_memory_that_this_process_holds_is_told() -> None:
    """Of pages of their own: an array may lie where another was, which the process still holds."""
    size = 32 << 20
    with mmap.mmap(-1, size) as pages:
        before = resident_bytes()
        pages.write(b"x" * size)
        assert resident_bytes() - before >= size * 0.9
