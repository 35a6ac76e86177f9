"""One end of roommood's frame transport, with nothing behind it; an answer as JSON at its end.

    python -m benchmarks.own_link send|receive ADDRESS JPEG COUNT RATE raw|codec|luma

The camera's `Publisher` and the worker's `Intake` over a real socket. `raw` passes the JPEG's
bytes on; `codec` compresses each frame from pixels and decodes it on arrival, as the peers do;
`luma` decodes its luma alone, as for models that read gray.
"""

import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

import zmq

from benchmarks.pictures import encoded
from roommood.camera_node.frames import Outgoing
from roommood.camera_node.publisher import Publisher
from roommood.inference_worker.serving.intake import Intake
from roommood.inference_worker.serving.job import Job
from roommood.inference_worker.serving.ledger import Outcome
from roommood.inference_worker.vision.decode import decode
from roommood.shared.clock import boot_ms
from roommood.shared.protocol.messages import Hello
from roommood.shared.transport.sockets import bind_frames

# Frames before the measurement begins.
WARM_UP: Final = 100


def main() -> None:
    role, address, picture, count, rate, mode = sys.argv[1:]
    jpeg = Path(picture).read_bytes()
    if role == "send":
        used_s = send(address, jpeg, int(count), float(rate), mode != "raw")
    else:
        used_s = receive(address, int(count), mode)
    print(json.dumps({"cpu_ms": used_s * 1000 / int(count)}), flush=True)


def send(address: str, jpeg: bytes, count: int, rate_hz: float, codec: bool) -> float:
    """Processor seconds for `count` frames."""
    pixels = decode(jpeg)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller = zmq.Poller()
    publisher = Publisher(context, poller, [address], _hello, lambda: "ok", round(1e6 / rate_hz))
    due_s, began_s, credit_waits = time.monotonic(), 0.0, False
    while publisher.sent < WARM_UP + count:
        # As a camera node does: where credit came before its frame, the next frame ends the wait.
        ready = None
        if credit_waits:
            time.sleep(max(0.0, due_s - time.monotonic()))
        else:
            ready = {one for one, _ in poller.poll(250)}
        publisher.tick(ready)
        may_send, is_due = publisher.may_send(), time.monotonic() >= due_s
        credit_waits = may_send and (credit_waits or not is_due)
        if not (may_send and is_due):
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


def receive(address: str, count: int, mode: str) -> float:
    """Processor seconds for `count` frames; each is settled at once, as if analysed in no time."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = bind_frames(context, address, insecure=False)
    poller = zmq.Poller()
    poller.register(router, zmq.POLLIN)
    jobs: deque[Job] = deque()
    intake = Intake(router, "w0rker", 1, jobs.append)
    done, began_s = 0, 0.0
    while done < WARM_UP + count:
        ready = poller.poll(max(1, min(250, int(intake.next_look_ms() + 0.999))))
        intake.tick(bool(ready))
        while jobs:
            _finish(intake, jobs.popleft(), mode)
            done += 1
            if done == WARM_UP:
                began_s = time.process_time()
    return time.process_time() - began_s


def _finish(intake: Intake, job: Job, mode: str) -> None:
    now_ms = boot_ms()
    intake.started(job, now_ms)
    if mode != "raw":
        decode(job.frame.jpeg, as_gray=mode == "luma")
    intake.finished(job, boot_ms(), Outcome.ANALYSED)
    intake.tick(is_readable=False)


if __name__ == "__main__":
    main()
