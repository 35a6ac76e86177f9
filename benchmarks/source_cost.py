"""What a camera node costs by where its pictures come from, and by how often it is asked.

    python -m benchmarks.source_cost [--quick]

Real camera nodes, each with a worker of its own that reads luma and asks 0, 2 (an empty room, as it
says) or 5 times a second. The camera gives 30 pictures a second of 640x480: a webcam by the device
that the tests put before the C library, RTSP by GStreamer, JPEGs over HTTP, a file. Beside them, in
the same seconds, a program that only grabs what comes, through OpenCV or from the socket, and the
capture thread alone; after them a program that decodes and compresses each picture.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from benchmarks.asking_worker import AskingWorker
from benchmarks.pictures import encoded, scenes
from benchmarks.processes import answer, cpu_s, end, start
from benchmarks.rows import Options, Row, run_alone
from tests.camera_node.sources.network.http_cameras import HttpCamera

NAMES: Final = ["webcam, YUYV", "webcam, MJPG", "RTSP, H.264", "JPEGs over HTTP", "file, MPEG-4"]
_EMPTY_HZ: Final = 2
_RATES_HZ: Final = (0, _EMPTY_HZ, 5)
_RATE_HZ: Final = 30
_ALONE: Final = {"grab": "only grabbed", "capture": "capture alone"}
_SETTLE_S: Final = 4.0
_MOST_MORE: Final = 3.0
_TESTS: Final = Path(__file__).parents[1] / "tests" / "camera_node" / "sources"
# Looks for a frozen camera come 30 to 32 pictures after each other. Of this many none meets one of
# the eight before it; else the node finds its camera frozen.
_PICTURES: Final = 29
_chance: Final = np.random.default_rng(1)


def source_cost(options: Options) -> Iterator[Row]:
    seconds = options.length(20, 6)
    with tempfile.TemporaryDirectory() as name:
        for camera in (_webcam_yuyv, _webcam_mjpg, _rtsp, _http, _file):
            with contextlib.ExitStack() as stack:
                what, spec, environment = camera(Path(name), stack)
                yield from _rows(what, spec, environment, seconds)


def _rows(what: str, spec: str, environment: Mapping[str, str], seconds: float) -> Iterator[Row]:
    with contextlib.ExitStack() as stack, _environment(environment):
        workers = [
            stack.enter_context(AskingWorker(rate_hz, is_empty=rate_hz == _EMPTY_HZ))
            for rate_hz in _RATES_HZ
        ]
        nodes = [stack.enter_context(_node(spec, worker.address)) for worker in workers]
        length = str(seconds + _SETTLE_S)
        alone = [start(["-m", "benchmarks.grabbing", how, spec, length]) for how in _ALONE]
        time.sleep(_SETTLE_S)
        used_s = [-cpu_s(node.pid) for node in nodes]
        time.sleep(seconds)
        used_s = [used + cpu_s(node.pid) for used, node in zip(used_s, nodes, strict=True)]
        beside = {
            what: answer(program, 60)["ms_per_s"]
            for what, program in zip(_ALONE.values(), alone, strict=True)
        }
    with _environment(environment):
        again = answer(start(["-m", "benchmarks.grabbing", "encode", spec, str(seconds)]), 120)
    most = beside["capture alone"] + _MOST_MORE
    beside["decoded and compressed, each"] = again["ms_per_s"]
    for rate_hz, used in zip(_RATES_HZ, used_s, strict=True):
        cost = used * 1000 / seconds
        name = f"{what}: node asked {rate_hz} times a second"
        if rate_hz == _EMPTY_HZ and what.startswith("webcam"):
            bar = f"<= capture + {_MOST_MORE:g}"
            yield Row(name, cost, "ms CPU/s", bar, cost <= most, beside)
        else:
            yield Row(name, cost, "ms CPU/s", beside=beside)


@contextlib.contextmanager
def _node(spec: str, address: str) -> Iterator[subprocess.Popen[str]]:
    who = ("--name", "cam", "--room", "room", "--worker", address, "--insecure")
    program = "from roommood.camera_node.cli import main; main()"
    command = [sys.executable, "-c", program, *who, "--source", spec]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "camera ready" in line:
                break
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


@contextlib.contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    """For the programs that are started inside; a library to preload is not for this one."""
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


Camera = tuple[str, str, Mapping[str, str]]


def _noisy() -> list[Any]:
    """A room that lives: a scene with a sensor's noise, never twice the same."""
    scene = scenes(1, 3)[0].astype(np.float32)
    noisy = (scene + _chance.normal(0, 2, scene.shape) for _ in range(_PICTURES))
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in noisy]


def _webcam_yuyv(folder: Path, _: contextlib.ExitStack) -> Camera:
    frames = [cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_YUYV).tobytes() for picture in _noisy()]
    return NAMES[0], "0", _device(folder / "yuyv", frames, "YUYV")


def _webcam_mjpg(folder: Path, _: contextlib.ExitStack) -> Camera:
    frames = [encoded(picture) for picture in _noisy()]
    return NAMES[1], "0", _device(folder / "mjpg", frames, "MJPG")


def _device(folder: Path, frames: list[bytes], form: str) -> Mapping[str, str]:
    folder.mkdir()
    for number, frame in enumerate(frames):
        (folder / f"{number:03d}").write_bytes(frame)
    library = folder.parent / f"{form}.so"
    source = _TESTS / "fake_v4l2.c"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return {
        "LD_PRELOAD": str(library),
        "FAKE_V4L2_FRAMES": str(folder),
        "FAKE_V4L2_FORMATS": form,
        "FAKE_V4L2_MODE": f"640x480@{_RATE_HZ}",
    }


def _rtsp(_: Path, stack: contextlib.ExitStack) -> Camera:
    script = _TESTS / "network" / "rtsp_server.py"
    command = ["/usr/bin/python3", str(script), "640", "480", str(_RATE_HZ)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(end, server)
    assert server.stdout is not None
    return NAMES[2], f"rtsp://127.0.0.1:{server.stdout.readline().split()[0]}/h264", {}


def _http(_: Path, stack: contextlib.ExitStack) -> Camera:
    camera = HttpCamera()
    camera.pictures, camera.pause_s = [encoded(picture) for picture in _noisy()], 1 / _RATE_HZ
    threading.Thread(target=camera.serve_forever, daemon=True).start()
    stack.callback(camera.server_close)
    stack.callback(camera.shutdown)
    stack.callback(camera.stopping.set)
    return NAMES[3], camera.url, {}


def _file(folder: Path, _: contextlib.ExitStack) -> Camera:
    path = folder / "room.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), _RATE_HZ, (640, 480))
    for picture in _noisy() * 40:
        writer.write(picture)
    writer.release()
    return NAMES[4], str(path), {}


if __name__ == "__main__":
    run_alone(source_cost, __doc__)
