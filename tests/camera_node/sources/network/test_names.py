"""A network camera by a name that leads nowhere: told within seconds, and SIGTERM is obeyed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.site import until
from tests.faults.names import Names
from tests.rows import Skipped

# The system's resolver takes 10 s for each look at a name server that is silent, and there are two.
_WITHIN_S = 9.0
_CODE = "from roommood.camera_node.cli import main; main()"
_WHO = ["--name", "a", "--room", "den", "--worker", "127.0.0.1:1"]


@pytest.mark.parametrize("source", ["rtsp://cam.lan/live", "http://cam.lan/snap.jpg"])
@pytest.mark.parametrize("told_to_end", [False, True])
def test_a_name_that_no_server_answers_is_told_as_that(
    source: str, told_to_end: bool, tmp_path: Path
) -> None:
    try:
        names = Names(tmp_path)
    except Skipped as why:
        pytest.skip(str(why))
    with names:
        command = [*names.wrap, sys.executable, "-c", _CODE, *_WHO, "--source", source]
        camera = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        until(lambda: names.questions, "it has asked for the name")
        asked = time.monotonic()
        if told_to_end:
            camera.send_signal(signal.SIGTERM)
        output = camera.communicate(timeout=60)[1]
        took_s = time.monotonic() - asked
    assert took_s < _WITHIN_S
    if not told_to_end:
        place = source.rpartition("/")[0]
        assert f"{place} is not found: no name server answered for cam.lan within 4 s" in output
