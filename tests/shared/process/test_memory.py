"""Memory that is freed between two frames stays, and is not faulted in again."""

import platform
import subprocess
import sys

import pytest

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
