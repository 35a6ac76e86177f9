"""One end of roommood's frame transport, with nothing behind it; an answer as JSON at its end.

    python -m benchmarks.own_link send|receive ADDRESS JPEG COUNT RATE raw|codec

The camera's `Publisher` and the worker's `Intake` over a real socket. `raw` passes the JPEG's
bytes on; `codec` compresses each frame from pixels and decodes its luma on arrival, as for models
that read gray.
"""

import json
import math
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

import zmq

from benchmarks.pictures import encoded
from camera_node.publisher import Outgoing, Publisher
from inference_worker.decode import decode
from inference_worker.intake import Intake, Job
from shared.clock import boot_ms
from shared.messages import Hello
from shared.sockets import bind_frames

# Frames before the measurement begins.
WARM_UP: Final = 100


def main() -> None:
    role, address, picture, count, rate, mode = sys.argv[1:]
    run = send if role == "send" else receive
    jpeg = Path(picture).read_bytes()
    used_s = run(address, jpeg, int(count), float(rate), mode == "codec")
    print(json.dumps({"cpu_ms": used_s * 1000 / int(count)}), flush=True)


def send(address: str, jpeg: bytes, count: int, rate_hz: float, codec: bool) -> float:
    """Processor seconds for `count` frames."""
    pixels = decode(jpeg)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller = zmq.Poller()
    publisher = Publisher(context, poller, [address], _hello, round(1e6 / rate_hz))
    due_s, began_s = time.monotonic(), 0.0
    while publisher.sent < WARM_UP + count:
        left_s = max(0.0, due_s - time.monotonic()) if publisher.may_send() else 0.25
        poller.poll(math.ceil(left_s * 1000))
        publisher.turn()
        if time.monotonic() < due_s or not publisher.may_send():
            continue
        due_s = max(due_s + 1 / rate_hz, time.monotonic())
        data = encoded(pixels) if codec else jpeg
        publisher.send(Outgoing(data, 640, 480, boot_ms()))
        if publisher.sent == WARM_UP:
            began_s = time.process_time()
    used_s = time.process_time() - began_s
    publisher.close()
    context.term()
    return used_s


def _hello() -> Hello:
    return Hello("cam", "room", "b00t", 0, 0, 0, 30.0, 640, 480, 0, boot_ms())


def receive(address: str, jpeg: bytes, count: int, rate_hz: float, codec: bool) -> float:
    """Processor seconds for `count` frames; each is settled at once, as if analysed in no time."""
    del jpeg, rate_hz
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = bind_frames(context, address, insecure=False)
    poller = zmq.Poller()
    poller.register(router, zmq.POLLIN)
    jobs: deque[Job] = deque()
    intake = Intake(router, "w0rker", 1, jobs.append)
    done, began_s = 0, 0.0
    while done < WARM_UP + count:
        poller.poll(max(1, min(250, int(intake.next_look_ms() + 0.999))))
        intake.turn()
        while jobs:
            _finish(intake, jobs.popleft(), codec)
            done += 1
            if done == WARM_UP:
                began_s = time.process_time()
    return time.process_time() - began_s


def _finish(intake: Intake, job: Job, codec: bool) -> None:
    now_ms = boot_ms()
    intake.started(job, now_ms)
    if codec:
        decode(job.frame.jpeg, as_gray=True)
    intake.finished(job, boot_ms(), "analysed")
    intake.turn()


if __name__ == "__main__":
    main()
