"""Many simulated cameras in one process, over real sockets; an answer as JSON at its end.

    python -m benchmarks.camera_swarm ADDRESS FIRST COUNT FOLDER idle|ready

Each camera is a DEALER of its own that says Hello every second, obeys its credit and always has
a fresh frame (`ready`), or never one (`idle`). SIGTERM ends it.
"""

import json
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import zmq

from roommood.camera_node.window import CreditWindow
from roommood.shared.clock import boot_ms
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import HELLO_EVERY_MS
from roommood.shared.protocol.messages import Frame, Hello

_INTERVAL_US = 100_000
# Cameras of a room: of more new ones at once the aggregator counts some later.
A_ROOM = 50


class SwarmCamera:
    """The protocol of a camera with one worker, and nothing else."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, number: int) -> None:
        self.name, self.room = f"cam-{number}", room_of(number)
        self.window = CreditWindow(boot_ms())
        self.window.connect(1, boot_ms())
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(f"tcp://{address}")

    def say_hello(self) -> None:
        now_ms, session = boot_ms(), f"b-{self.name}"
        sent = self.window.sent
        hello = Hello(self.name, self.room, session, 0, 1, sent, 10.0, 640, 480, 0, now_ms)
        self.socket.send(wire.encode_hello(hello), zmq.NOBLOCK)

    def tick(self, jpegs: Sequence[bytes]) -> None:
        """Takes in all credit, and spends it; until nothing more is to be read, since the
        file descriptor tells of news only once."""
        while int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self.window.take(wire.decode_credit(self.socket.recv()), boot_ms())
            self._send(jpegs)

    def _send(self, jpegs: Sequence[bytes]) -> None:
        while jpegs and self.window.available(boot_ms()):
            seq, now_ms = self.window.sent, boot_ms()
            jpeg, session = jpegs[seq % len(jpegs)], f"b-{self.name}"
            frame = Frame(
                self.name, self.room, session, seq, 640, 480, 0, 1.0, _INTERVAL_US, now_ms
            )
            self.socket.send_multipart([wire.encode_frame(frame), jpeg])
            self.window.spend()


def room_of(number: int) -> str:
    """The room of a camera by its number."""
    return f"room-{number // A_ROOM}"


def main() -> None:
    address, first, count, folder, what = sys.argv[1:]
    jpegs = [path.read_bytes() for path in sorted(Path(folder).glob("*.jpg"))]
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.max_sockets = int(count) + 16
    numbers = range(int(first), int(first) + int(count))
    cameras = [SwarmCamera(context, address, number) for number in numbers]
    run(cameras, jpegs if what == "ready" else [])
    print(json.dumps({camera.name: camera.window.sent for camera in cameras}))
    context.destroy(0)


def run(cameras: Sequence[SwarmCamera], jpegs: Sequence[bytes]) -> None:
    """Until SIGTERM; Hellos are spread over the second."""
    stopping: list[bool] = []

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.append(True)

    signal.signal(signal.SIGTERM, stop)
    # A poller of ZeroMQ asks every socket at each turn; epoll costs nothing for those at rest.
    news = select.epoll()
    by_descriptor = {int(camera.socket.getsockopt(zmq.FD)): camera for camera in cameras}
    for descriptor in by_descriptor:
        news.register(descriptor, select.EPOLLIN)
    start_ms, said = boot_ms(), 0
    while not stopping:
        due = int((boot_ms() - start_ms) / HELLO_EVERY_MS * len(cameras)) + 1
        for number in range(said, min(due, said + len(cameras))):
            camera = cameras[number % len(cameras)]
            camera.say_hello()
            camera.tick(jpegs)
        said = due
        for descriptor, _ in news.poll(0.01):
            by_descriptor[descriptor].tick(jpegs)


if __name__ == "__main__":
    main()
