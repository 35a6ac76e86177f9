"""What a camera node costs the Pi, per frame and while nobody asks for frames.

    python -m benchmarks.camera_cost [--quick]

Real camera nodes. A video file of JPEG frames stands for a webcam that gives MJPG: the node passes
the bytes on, the peers' way decodes and compresses them again.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import zmq

from benchmarks.pictures import write_jpegs, write_mjpeg
from benchmarks.plant import ROOM, Plant
from benchmarks.processes import answer, cpu_s, rss_mb, start
from benchmarks.rows import Options, Row, run_alone
from tests.end_to_end.site import select_for
from tests.ports import free_port

_RATE_HZ: Final = 30
_MJPEG_HZ: Final = 100.0


def camera_cost(options: Options) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, Plant() as plant:
        folder = Path(name)
        video = write_mjpeg(folder / "camera.avi", 30, 3, _MJPEG_HZ, 100)
        yield from _mjpeg(plant, video, options)
        pictures = folder / "pictures"
        pictures.mkdir()
        write_jpegs(pictures, 12, 3)
        yield from _unasked(plant, pictures, options)


def _mjpeg(plant: Plant, video: Path, options: Options) -> Iterator[Row]:
    frames = int(options.length(1500, 300))
    address = f"tcp://127.0.0.1:{free_port()}"
    how = ["receive", address, str(video), str(frames), "0", "raw"]
    receiver = start(["-m", "benchmarks.own_link", *how])
    who = ("--name", "cam", "--room", ROOM, "--worker", address)
    camera = plant.site.start("roommood.camera_node.cli", *who, "--source", str(video))
    camera.wait_for("camera ready")
    select_for(1.0)
    used, began_s = cpu_s(camera.process.pid), time.monotonic()
    answer(receiver, 240)
    used, took_s = cpu_s(camera.process.pid) - used, time.monotonic() - began_s
    memory = rss_mb(camera.process.pid)
    camera.stop()
    sent = took_s * _MJPEG_HZ
    bare = _capture_and_push(video, took_s)
    beside = {"capture + bare PUSH": bare, "decode + compress": _decode_and_compress(video, frames)}
    cost = used * 1000 / sent
    note = f"whole process, capture included, {sent / took_s:.0f} frames/s, {memory:.0f} MB"
    bar = "<= 2 x (capture + bare PUSH)"
    yield Row(
        "camera node, MJPEG source", cost, "ms CPU/frame", bar, cost <= 2 * bare, beside, note
    )


def _capture_and_push(video: Path, seconds: float) -> float:
    address = f"127.0.0.1:{free_port()}"
    pull: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
    pull.bind(f"tcp://{address}")
    how = ["-m", "benchmarks.bare", "push", str(video), address, f"{seconds:.1f}"]
    pushing = start(how)
    try:
        while pushing.poll() is None:
            if pull.poll(100):
                pull.recv_multipart()
    finally:
        pull.close(0)
    cost: float = answer(pushing, 10)["cpu_ms"]
    return cost


def _decode_and_compress(video: Path, frames: int) -> float:
    """What every program does that reads a webcam by `VideoCapture.read` and sends JPEG, at the
    same rate: a core that rests between two frames is slower than one that does not."""
    capture: Any = cv2.VideoCapture(str(video))
    began_s, due_s = time.process_time(), time.monotonic()
    for _ in range(frames):
        due_s += 1 / _MJPEG_HZ
        time.sleep(max(0.0, due_s - time.monotonic()))
        read, picture = capture.read()
        if not read:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            read, picture = capture.read()
        cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    used_s = time.process_time() - began_s
    capture.release()
    return used_s * 1000 / frames


def _unasked(plant: Plant, pictures: Path, options: Options) -> Iterator[Row]:
    """A camera whose worker grants nothing, beside one that only captures."""
    seconds = options.length(20, 5)
    address = f"127.0.0.1:{free_port()}"
    listener = _deaf_worker(address)
    who = ("--name", "cam", "--room", ROOM, "--worker", address)
    source = ("--source", f"{pictures}?pixels", "--rate-hz", str(_RATE_HZ))
    camera = plant.program("benchmarks.memory_camera", *who, *source)
    camera.wait_for("camera ready")
    select_for(1.0)
    used = cpu_s(camera.process.pid)
    program = ["-m", "benchmarks.memory_camera", "capture", f"{pictures}?pixels"]
    alone = answer(start([*program, str(_RATE_HZ), str(seconds)]), 120)["cpu_ms_per_s"]
    cost = (cpu_s(camera.process.pid) - used) * 1000 / (seconds + 1.0)
    camera.stop()
    listener.close(0)
    ended = camera.lines("camera ended")[-1]
    note = f"{ended['captured']} pictures captured, {ended['sent']} compressed and sent"
    name = "camera node that nobody asks, 30 pictures/s"
    yield Row(
        name, cost, "ms CPU/s", "no JPEG; <= capture + 5",
        ended["sent"] == 0 and cost <= alone + 5, {"capture alone": alone}, note,
    )  # fmt: skip


def _deaf_worker(address: str) -> zmq.Socket[bytes]:
    """Takes connections and never says a word."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    socket.bind(f"tcp://{address}")
    return socket


if __name__ == "__main__":
    run_alone(camera_cost, __doc__)
