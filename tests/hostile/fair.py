"""Honest cameras and an honest worker's results beside an attack: do they keep their share?"""

import threading
import time
from types import TracebackType

from roommood.shared.clock import boot_ms
from roommood.shared.protocol import wire
from tests.end_to_end.fake_camera import FakeCamera
from tests.hostile import jpegs
from tests.hostile.target import Target

ROOM = "fairroom"


def wait_for_credit(camera: FakeCamera) -> None:
    """As `FakeCamera.wait_for_credit`, without its pauses: for thousands of frames."""
    for _ in range(200):
        camera.say_hello()
        granted = camera.credit().granted
        while camera._socket.poll(0 if granted > camera.seq else 20):
            granted = camera.credit().granted
        if granted > camera.seq:
            return
    raise AssertionError(f"never granted: {granted} with {camera.seq} sent")


class FairCamera(threading.Thread):
    """Sends a picture whenever it holds credit, and says Hello twice a second."""

    def __init__(self, address: str, name: str) -> None:
        super().__init__(daemon=True)
        self._address, self.camera = address, name
        self._stopping = threading.Event()
        self.sent = 0

    def run(self) -> None:
        with FakeCamera(self._address, self.camera, ROOM) as camera:
            granted, hello_ms = 0, 0.0
            while not self._stopping.is_set():
                if boot_ms() - hello_ms > 500:
                    camera.say_hello()
                    hello_ms = boot_ms()
                while camera._socket.poll(20 if granted <= camera.seq else 0):
                    granted = wire.decode_credit(camera._socket.recv()).granted
                if granted > camera.seq:
                    camera.send(jpegs.good())
                    self.sent = camera.seq

    def stop(self) -> None:
        self._stopping.set()
        self.join(20)


class FairCameras:
    """Some of them, while inside; `rates` tells frames counted in Redis, a second and camera."""

    def __init__(self, target: Target, count: int = 3) -> None:
        self._target = target
        self._cameras = [FairCamera(target.frames, f"fair-{n}") for n in range(count)]
        self._since, self._before = 0.0, [0] * count

    def __enter__(self) -> "FairCameras":
        for camera in self._cameras:
            camera.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for camera in self._cameras:
            camera.stop()

    def start_clock(self) -> None:
        self._since, self._before = time.monotonic(), self.counted()

    def rates(self) -> list[float]:
        took_s = time.monotonic() - self._since
        now = self.counted()
        return [(n - before) / took_s for n, before in zip(now, self._before, strict=True)]

    def counted(self) -> list[int]:
        sums = self._target.site.buckets(ROOM)
        return [sums.get(f"frames:{camera.camera}", 0) for camera in self._cameras]
