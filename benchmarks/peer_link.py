"""One end of a peer's frame transport; an answer as JSON at its end. Run by the peers' Python.

    python benchmarks/peer_link.py KIND send|receive PORT JPEG COUNT RATE MODE

KIND: push (bare pyzmq PUSH and PULL), credit (the least that asks for each frame: a bare DEALER and
ROUTER), req or pub (imagezmq), netgear (vidgear, pattern 1 with
its JPEG compression), netgear-raw, or netgear-two (its mode for several receivers). MODE raw
passes the JPEG's bytes on, codec compresses from pixels and decodes on arrival. With MODE
work:MS the receiver works so long on each frame for COUNT seconds and tells of each frame how
old it was when its work began. A sender of two receivers is given PORT,PORT. Ended by SIGTERM
it tells how long its longest call took.
"""

import importlib
import json
import os
import signal
import sys
import time
from typing import Any, Protocol

import cv2
import numpy as np

WARM_UP = 100
QUALITY = 80


class Link(Protocol):
    """What the kinds of transport have in common; a stamp is the time of capture as text."""

    def send(self, stamp: bytes, jpeg: bytes, pixels: Any, codec: bool, /) -> None: ...

    def receive(self, codec: bool, /) -> bytes: ...

    def done(self) -> None: ...


class Push:
    """A header and the JPEG in two parts, nothing else."""

    def __init__(self, role: str, port: str) -> None:
        zmq = importlib.import_module("zmq")
        self.socket = zmq.Context().socket(zmq.PUSH if role == "send" else zmq.PULL)
        for one in port.split(","):
            where = f"tcp://127.0.0.1:{one}"
            (self.socket.connect if role == "send" else self.socket.bind)(where)

    def send(self, stamp: bytes, jpeg: bytes, pixels: Any, codec: bool) -> None:
        self.socket.send_multipart([stamp, compressed(pixels) if codec else jpeg])

    def receive(self, codec: bool) -> bytes:
        stamp, jpeg = self.socket.recv_multipart()
        if codec:
            decoded(jpeg)
        return bytes(stamp)

    def done(self) -> None:
        pass


class Credit:
    """As `Push`, and the receiver asks for each frame: once when it hears of the sender, then when
    it is done with one."""

    def __init__(self, role: str, port: str) -> None:
        zmq = importlib.import_module("zmq")
        where = f"tcp://127.0.0.1:{port}"
        self.socket = zmq.Context().socket(zmq.DEALER if role == "send" else zmq.ROUTER)
        self.sender = b""
        if role == "send":
            self.socket.connect(where)
            self.socket.send(b"hello")
        else:
            self.socket.bind(where)
            self.sender = self.socket.recv_multipart()[0]
            self.done()

    def send(self, stamp: bytes, jpeg: bytes, pixels: Any, codec: bool) -> None:
        self.socket.recv()
        self.socket.send_multipart([stamp, compressed(pixels) if codec else jpeg])

    def receive(self, codec: bool) -> bytes:
        _, stamp, jpeg = self.socket.recv_multipart()
        if codec:
            decoded(jpeg)
        return bytes(stamp)

    def done(self) -> None:
        self.socket.send_multipart([self.sender, b"one more"])


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
        if codec:
            decoded(bytes(jpeg))
        return str(stamp).encode()

    def done(self) -> None:
        """As in its examples: the reply follows the work."""
        if self.req:
            self.end.send_reply(b"OK")


class NetGear:
    """Takes pixels and gives pixels; compresses them itself unless `raw`."""

    def __init__(self, role: str, port: str, kind: str) -> None:
        gears = importlib.import_module("vidgear.gears")
        ports = tuple(port.split(","))
        self.end = gears.NetGear(
            address="127.0.0.1", port=ports if len(ports) > 1 else port, protocol="tcp",
            pattern=1, receive_mode=role == "receive", logging=False,
            multiclient_mode=kind == "netgear-two",
            jpeg_compression=False if kind == "netgear-raw" else "BGR",
            jpeg_compression_quality=QUALITY,
        )  # fmt: skip

    def send(self, stamp: bytes, _jpeg: bytes, pixels: Any, _codec: bool) -> None:
        """It has no place for a message beside the frame: the stamp goes as black and white."""
        bits = int(float(stamp) * 1000) & 0xFFFFFFFF
        for place in range(32):
            pixels[:16, place * 16 : place * 16 + 16] = 255 * (bits >> place & 1)
        self.end.send(pixels)

    def receive(self, _codec: bool) -> bytes:
        pixels = self.end.recv()
        if isinstance(pixels, tuple):  # of several receivers
            pixels = pixels[1]
        bits = sum(int(pixels[8, place * 16 + 8, 0] > 127) << place for place in range(32))
        return str(bits / 1000).encode()

    def done(self) -> None:
        pass


def compressed(pixels: Any) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def decoded(jpeg: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def link_of(kind: str, role: str, port: str) -> Link:
    if kind == "push":
        return Push(role, port)
    if kind == "credit":
        return Credit(role, port)
    if kind in ("req", "pub"):
        return ImageZmq(role, port, kind == "req")
    return NetGear(role, port, kind)


def send(link: Link, jpeg: bytes, count: int, rate_hz: float, codec: bool) -> None:
    """Sends until it is ended: a slow subscriber misses the first frames. Tells at `count`."""
    pixels = decoded(jpeg)
    due, began, number = time.monotonic(), 0.0, 0
    longest = Longest()
    signal.signal(signal.SIGTERM, longest.tell)
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + 1 / rate_hz, time.monotonic())
        longest.begin()
        link.send(str(time.monotonic()).encode(), jpeg, pixels, codec)
        number += 1
        longest.end(number > 10)
        if number == WARM_UP:
            began = time.process_time()
        if number == WARM_UP + count:
            tell(cpu_ms=(time.process_time() - began) * 1000 / count)


class Longest:
    """The longest of many calls, the one under way among them."""

    def __init__(self) -> None:
        self.longest_s, self.began = 0.0, 0.0

    def begin(self) -> None:
        self.began = time.monotonic()

    def end(self, counts: bool) -> None:
        if counts:
            self.longest_s = max(self.longest_s, time.monotonic() - self.began)
        self.began = 0.0

    def tell(self, *_: object) -> None:
        now_s = time.monotonic() - self.began if self.began else 0.0
        tell(longest_ms=max(self.longest_s, now_s) * 1000)
        os._exit(0)


def receive(link: Link, count: int, codec: bool) -> None:
    began = 0.0
    for number in range(WARM_UP + count):
        if number == WARM_UP:
            began = time.process_time()
        link.receive(codec)
        link.done()
    tell(cpu_ms=(time.process_time() - began) * 1000 / count)


def receive_slowly(link: Link, seconds: float, work_s: float) -> None:
    """Tells after so many seconds, even where nothing came, of each frame when it came (from now
    on), when it was captured and how old it was (ms)."""
    came: list[tuple[int, ...]] = []
    began = time.monotonic()

    def stop(*_: object) -> None:
        print(json.dumps({"frames": came}), flush=True)
        os._exit(0)

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    while True:
        stamp, now = float(link.receive(True)), time.monotonic()
        came.append(tuple(round(one * 1000) for one in (now - began, stamp, now - stamp)))
        time.sleep(work_s)
        link.done()


def tell(**facts: float) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    kind, role, port, picture, count, rate, mode = sys.argv[1:]
    link = link_of(kind, role, port)
    if role == "send":
        with open(picture, "rb") as file:
            send(link, file.read(), int(count), float(rate), mode != "raw")
    elif mode.startswith("work:"):
        receive_slowly(link, float(count), float(mode.partition(":")[2]) / 1000)
    else:
        receive(link, int(count), mode == "codec")


if __name__ == "__main__":
    main()
