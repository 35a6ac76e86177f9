"""What is in the source is meant to be there: no test or trial may leave something behind."""

import re
import subprocess

import pytest

from tests.rows import ROOT


@pytest.fixture(scope="module")
def names() -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no clone")
    return listed.split("\0")[:-1]


def test_every_name_can_be_checked_out_on_windows(names: list[str]) -> None:
    """Where a clone lies beside WSL 2."""
    assert [name for name in names if re.search(r'[<>:"|?*\\\0-\x1f]|[ .](/|$)', name)] == []


def test_no_key_is_published(names: list[str]) -> None:
    assert [name for name in names if name.endswith((".key", ".password", ".pem"))] == []
