"""The demo as a user runs it: real processes, a real Redis, the shipped models."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import pytest

from roommood.aggregator.stats.room_stats import RoomStats
from roommood.deploy.demo.plan import DemoOptions, choose_cameras, free_ports, make_plan
from roommood.deploy.demo.private_redis import NoRedisServer, find_server
from roommood.deploy.demo.processes import python_command
from roommood.shared.errors import ConfigError
from tests.inference_worker.tiny_models import expression_model
from tests.needs import missing

PATIENCE_S = 100.0


class RunningDemo:
    """`roommood demo` in a process of its own, with what it says."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            python_command("roommood.deploy.cli", "demo", *arguments),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.output = ""

    def __enter__(self) -> "RunningDemo":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Reads on until it says so."""
        deadline = time.monotonic() + PATIENCE_S
        while not (match := re.search(pattern, self.output)):
            assert self._read(deadline), f"{pattern!r} was not said in:\n{self.output}"
        return match

    def wait(self) -> int:
        """Its exit code, after all that it says."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        return self._process.wait(max(1.0, deadline - time.monotonic()))

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def children(self) -> dict[str, int]:
        """Process ids by command line."""
        pid = self._process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {_command_line(int(child)): int(child) for child in listed}

    def _read(self, deadline: float) -> bool:
        assert self._process.stdout is not None
        left_s = max(0.0, deadline - time.monotonic())
        assert select.select([self._process.stdout], [], [], left_s)[0], f"hangs:\n{self.output}"
        data = os.read(self._process.stdout.fileno(), 65536)
        self.output += data.decode(errors="replace")
        return bool(data)


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@pytest.fixture(autouse=True)
def redis_is_there() -> None:
    try:
        find_server()
    except NoRedisServer as error:
        missing(str(error))


@pytest.fixture
def classifier(tmp_path: Path) -> str:
    return str(expression_model(tmp_path / "tiny.onnx", brightness=(-1, *[0] * 7)))


@pytest.fixture
def blank_pictures(tmp_path: Path) -> Path:
    """A folder in whose only picture no detector finds a face."""
    folder = tmp_path / "blank"
    folder.mkdir()
    cv2.imwrite(str(folder / "wall.png"), np.full((240, 320, 3), 128, np.uint8))
    return folder


def test_it_shows_two_rooms_and_how_to_ask_for_them() -> None:
    with RunningDemo("--seconds", "4") as demo:
        redis_url = demo.wait_for(r"stats kitchen --last 1m --redis (unix://\S+)")[1]
        names = " ".join(demo.children())
        demo.wait_for("kitchen: people")
        # A program of its own would take as long to start as the demo goes on, on a busy machine.
        with RoomStats(redis_url) as stats:
            rooms = [room.room for room in stats.rooms()]

        assert demo.wait() == 0, demo.output

    for component in (
        "redis",
        "roommood.aggregator.cli",
        "roommood.inference_worker.cli",
        "--name living-room-2",
    ):
        assert component in names
    assert "kitchen" in rooms
    for room in ("kitchen", "living-room"):
        assert re.search(rf"stats {room} --last \d+s --redis unix://", demo.output)
        assert re.search(rf"\n  {room}, .*\n +Coverage .* frames", demo.output)
    assert "Expression shown" in demo.output
    if shutil.which("redis-cli"):
        assert "redis-cli -s" in demo.output
        assert 'HGETALL "roommood:{kitchen}:live"' in demo.output
    assert not Path(redis_url.removeprefix("unix://")).exists()


def _ask(redis_url: str, *command: str) -> str:
    asked = python_command("roommood.deploy.cli", *command, "--redis", redis_url)
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout


def test_kept_it_answers_until_ctrl_c(classifier: str) -> None:
    with RunningDemo("--seconds", "1", "--keep", "--classifier", classifier) as demo:
        redis_url = demo.wait_for(r"--redis (unix://\S+)")[1]
        demo.wait_for("until Ctrl")
        demo.wait_for(r"(?s)until Ctrl.*kitchen: people")
        answer = json.loads(_ask(redis_url, "stats", "kitchen", "--json"))
        demo.interrupt()

        assert demo.wait() == 0, demo.output
    assert answer["summary"]["frames"] > 0


def test_ctrl_c_ends_it_and_all_its_processes(classifier: str) -> None:
    with RunningDemo("--seconds", "600", "--classifier", classifier) as demo:
        demo.wait_for("ask its Redis")
        children = demo.children()
        demo.interrupt()

        assert demo.wait() == 130, demo.output
    assert len(children) == 6
    assert [line for line, pid in children.items() if _still(line, pid)] == []
    assert "Traceback" not in demo.output


def _still(line: str, pid: int) -> bool:
    try:
        return _command_line(pid) == line
    except OSError:
        return False


def test_without_its_classifier_it_says_so() -> None:
    with RunningDemo("--classifier", "/no/such.onnx") as demo:
        assert demo.wait() == 1

    assert "error: inference worker ended with exit code 1" in demo.output
    assert "/no/such.onnx" in demo.output
    assert "Traceback" not in demo.output


@pytest.mark.parametrize("component", ["roommood.inference_worker.cli", "redis.sock"])
def test_a_component_that_dies_ends_it_with_the_reason(component: str, classifier: str) -> None:
    with RunningDemo("--seconds", "600", "--classifier", classifier) as demo:
        demo.wait_for("ask its Redis")
        victim = next(pid for line, pid in demo.children().items() if f"{component} " in line)
        os.kill(victim, signal.SIGKILL)

        assert demo.wait() == 1

    assert re.search(r"error: [\w -]+ was ended by SIGKILL; the end of its log:\n    ", demo.output)
    assert "Traceback" not in demo.output


def test_a_room_without_a_face_fails_it(blank_pictures: Path, classifier: str) -> None:
    chosen = ("--pictures", str(blank_pictures), "--classifier", classifier)
    with RunningDemo("--seconds", "3", *chosen) as demo:
        assert demo.wait() == 1, demo.output

    assert re.search(r"kitchen stayed empty: no face was found in its \d+ frames", demo.output)
    assert re.search(r"living-room stayed empty: no face was found in its \d+", demo.output)


def test_a_camera_that_gives_nothing_that_can_be_sent_is_named_with_the_reason(
    tmp_path: Path, classifier: str
) -> None:
    (tmp_path / "tiny.png").write_bytes(
        cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    )
    chosen = ("--camera", str(tmp_path / "tiny.png"), "--classifier", classifier)
    with RunningDemo("--seconds", "3", *chosen) as demo:
        assert demo.wait() == 1, demo.output

    assert "here stayed empty: no frame of it was analysed" in demo.output
    assert re.search(r"camera here-1; the end of its log:\n    .*at least 16x16", demo.output, re.S)


def test_a_source_that_cannot_be_read_fails_it(tmp_path: Path, classifier: str) -> None:
    (tmp_path / "party.mp4").write_bytes(b"not a film")
    chosen = ("--video", str(tmp_path / "party.mp4"), "--classifier", classifier)
    with RunningDemo(*chosen) as demo:
        assert demo.wait() == 1

    assert "error: camera video-1 ended with exit code 1" in demo.output
    assert "party.mp4" in demo.output


def test_no_component_listens_where_a_real_one_would() -> None:
    plan = make_plan(DemoOptions(), "unix:///nowhere")
    words = " ".join(word for program in plan.programs for word in program.command)

    assert plan.rooms == ("kitchen", "living-room")
    assert not {":5701", ":5700"} & set(re.findall(r":\d+", words))


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def test_ones_own_camera_is_in_the_room_here() -> None:
    (camera,) = choose_cameras(DemoOptions(camera="0"))

    assert (camera.room, camera.source, camera.rate_hz) == ("here", "0", None)


def test_only_one_kind_of_input_is_taken() -> None:
    with pytest.raises(ConfigError, match="choose one"):
        DemoOptions(camera="0", pictures=Path("portraits"))


def test_the_program_is_this_python() -> None:
    assert python_command("a.b", "--c")[0] == sys.executable


def test_it_outlasts_a_redis_that_hangs() -> None:
    """As a laptop's sleep makes it: longer than any answer is waited for."""
    with RunningDemo("--seconds", "1", "--keep") as demo:
        demo.wait_for("until Ctrl")
        (server,) = [pid for line, pid in demo.children().items() if "unixsocket" in line]
        os.kill(server, signal.SIGSTOP)
        demo.wait_for("kitchen: unknown: Redis .* does not answer")
        os.kill(server, signal.SIGCONT)
        before = len(demo.output)
        demo.wait_for(rf"(?s)^.{{{before}}}.*kitchen: people")
        assert len(demo.children()) == 6
        demo.interrupt()
        assert demo.wait() == 0, demo.output
