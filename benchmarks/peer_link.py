"""One end of a peer's frame transport; an answer as JSON at its end. Run by the peers' Python.

    python benchmarks/peer_link.py KIND send|receive PORT JPEG COUNT RATE MODE

KIND: push (bare pyzmq PUSH and PULL), req or pub (imagezmq), netgear (vidgear, pattern 1 with
its JPEG compression) or netgear-raw. MODE raw passes the JPEG's bytes on, codec compresses
from pixels and decodes on arrival. With MODE `slow` the receiver works 200 ms on each frame
for COUNT seconds and tells how old the frames were when their work began.
"""

import importlib
import json
import sys
import time
from typing import Any, Protocol

import cv2
import numpy as np

WARM_UP = 100
WORK_S = 0.2
QUALITY = 80


class Link(Protocol):
    """What the kinds of transport have in common; a stamp is the time of capture as text."""

    def send(self, stamp: bytes, jpeg: bytes, pixels: Any, codec: bool, /) -> None: ...

    def receive(self, codec: bool, /) -> bytes: ...


class Push:
    """A header and the JPEG in two parts, nothing else."""

    def __init__(self, role: str, port: str) -> None:
        zmq = importlib.import_module("zmq")
        self.socket = zmq.Context().socket(zmq.PUSH if role == "send" else zmq.PULL)
        where = f"tcp://127.0.0.1:{port}"
        (self.socket.connect if role == "send" else self.socket.bind)(where)

    def send(self, stamp: bytes, jpeg: bytes, pixels: Any, codec: bool) -> None:
        self.socket.send_multipart([stamp, compressed(pixels) if codec else jpeg])

    def receive(self, codec: bool) -> bytes:
        stamp, jpeg = self.socket.recv_multipart()
        if codec:
            decoded(jpeg)
        return bytes(stamp)


class ImageZmq:
    """`send_jpg`, as its documentation advises for slow networks."""

    def __init__(self, role: str, port: str, req: bool) -> None:
        imagezmq = importlib.import_module("imagezmq")
        where = f"tcp://127.0.0.1:{port}"
        if role == "send":
            self.end = imagezmq.ImageSender(where if req else f"tcp://*:{port}", REQ_REP=req)
        else:
            self.end = imagezmq.ImageHub(f"tcp://*:{port}" if req else where, REQ_REP=req)
        self.req = req

    def send(self, stamp: bytes, jpeg: bytes, pixels: Any, codec: bool) -> None:
        self.end.send_jpg(stamp.decode(), compressed(pixels) if codec else jpeg)

    def receive(self, codec: bool) -> bytes:
        stamp, jpeg = self.end.recv_jpg()
        if self.req:
            self.end.send_reply(b"OK")
        if codec:
            decoded(bytes(jpeg))
        return str(stamp).encode()


class NetGear:
    """Takes pixels and gives pixels; compresses them itself unless `raw`."""

    def __init__(self, role: str, port: str, raw: bool) -> None:
        gears = importlib.import_module("vidgear.gears")
        self.end = gears.NetGear(
            address="127.0.0.1", port=str(port), protocol="tcp", pattern=1,
            receive_mode=role == "receive", logging=False,
            jpeg_compression=False if raw else "BGR", jpeg_compression_quality=QUALITY,
        )  # fmt: skip

    def send(self, stamp: bytes, _jpeg: bytes, pixels: Any, _codec: bool) -> None:
        """It has no place for a message beside the frame: the stamp goes as black and white."""
        bits = int(float(stamp) * 1000) & 0xFFFFFFFF
        for place in range(32):
            pixels[:16, place * 16 : place * 16 + 16] = 255 * (bits >> place & 1)
        self.end.send(pixels)

    def receive(self, _codec: bool) -> bytes:
        pixels = self.end.recv()
        bits = sum(int(pixels[8, place * 16 + 8, 0] > 127) << place for place in range(32))
        return str(bits / 1000).encode()


def compressed(pixels: Any) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def decoded(jpeg: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def link_of(kind: str, role: str, port: str) -> Link:
    if kind == "push":
        return Push(role, port)
    if kind in ("req", "pub"):
        return ImageZmq(role, port, kind == "req")
    return NetGear(role, port, kind == "netgear-raw")


def send(link: Link, jpeg: bytes, count: int, rate_hz: float, codec: bool) -> None:
    """Sends until it is ended: a slow subscriber misses the first frames. Tells at `count`."""
    pixels = decoded(jpeg)
    due, began, number = time.monotonic(), 0.0, 0
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + 1 / rate_hz, time.monotonic())
        link.send(str(time.monotonic()).encode(), jpeg, pixels, codec)
        number += 1
        if number == WARM_UP:
            began = time.process_time()
        if number == WARM_UP + count:
            tell(cpu_ms=(time.process_time() - began) * 1000 / count)


def receive(link: Link, count: int, codec: bool) -> None:
    began = 0.0
    for number in range(WARM_UP + count):
        if number == WARM_UP:
            began = time.process_time()
        link.receive(codec)
    tell(cpu_ms=(time.process_time() - began) * 1000 / count)


def receive_slowly(link: Link, seconds: float) -> None:
    ages, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        stamp = link.receive(True)
        ages.append((time.monotonic() - float(stamp)) * 1000)
        time.sleep(WORK_S)
    ages.sort()
    tell(p50_ms=ages[len(ages) // 2], p95_ms=ages[len(ages) * 95 // 100], frames=len(ages))


def tell(**facts: float) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    kind, role, port, picture, count, rate, mode = sys.argv[1:]
    link = link_of(kind, role, port)
    if role == "send":
        with open(picture, "rb") as file:
            send(link, file.read(), int(count), float(rate), mode != "raw")
    elif mode == "slow":
        receive_slowly(link, float(count))
    else:
        receive(link, int(count), mode == "codec")


if __name__ == "__main__":
    main()
