"""A network camera that freezes or goes black: noticed in Redis, and over when it lives again."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import cv2
import numpy as np

from tests.end_to_end.site import select_for, until
from tests.faults.checker import judge
from tests.faults.plant import CAMERA, CHEAP, DURABLE, WORKER, FaultSite, at, first_counted
from tests.inference_worker.pictures import astronaut
from tests.rows import Outcome, Row, Trial

# Seconds within which a picture that stands still must be told of: ten to be sure, a look a
# second, a Hello a second and a report a second.
_TOLD_WITHIN_S: Final = 16.0
_BLIND: Final = {
    CAMERA: """
from roommood.camera_node.stillness import Stillness
Stillness.look = lambda self, picture: None
"""
}


class HttpCamera(http.server.ThreadingHTTPServer):
    """An MJPEG stream at 8 frames/s: noisy pictures of a face, until `fault` says otherwise."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Stream)
        self.face = cv2.resize(astronaut(), (320, 320)).astype(np.int16)
        self.dark = np.full((320, 320, 3), 4, np.int16)
        self.fault = ""
        self.stopping = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/video"

    def pictures(self) -> Iterator[bytes]:
        """No two alike until it is frozen: some that come over and over are no living sensor's."""
        chance, shown = np.random.default_rng(1), b""
        while True:
            if self.fault != "frozen" or not shown:
                scene = self.dark if self.fault == "black" else self.face
                shown = _jpeg(scene + chance.normal(0, 3, scene.shape))
            yield shown


class _Stream(http.server.BaseHTTPRequestHandler):
    server: HttpCamera

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for data in self.server.pictures():
            if self.server.stopping.wait(0.125):
                return
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
            try:
                self.wfile.write(head + data + b"\r\n")
            except OSError:
                return

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


def _jpeg(picture: Any) -> bytes:
    return cv2.imencode(".jpg", np.clip(picture, 0, 255).astype(np.uint8))[1].tobytes()


@contextmanager
def _camera() -> Iterator[HttpCamera]:
    camera = HttpCamera()
    thread = threading.Thread(target=camera.serve_forever, daemon=True)
    thread.start()
    try:
        yield camera
    finally:
        camera.stopping.set()
        camera.shutdown()
        camera.server_close()
        thread.join(10)


def going(fault: str) -> Callable[[Trial], Outcome]:
    """`recovery_s`: from the first living picture until Redis says so."""

    def run(trial: Trial) -> Outcome:
        preludes = {} if trial.protected else _BLIND
        with _camera() as stream, FaultSite(trial.folder, preludes, **DURABLE) as site:
            reports, frames = site.address(), site.address()
            site.aggregator(reports)
            worker = site.worker(frames, reports, *CHEAP)
            camera = site.camera("a", "den", stream.url, frames)
            first_counted(lambda: [worker], time.time())
            told_after_s, backs = [], []
            for _ in range(trial.times):
                _until_told(site, "ok", 10.0)
                began, stream.fault = time.time(), fault
                _until_told(site, fault, _TOLD_WITHIN_S)
                told_after_s.append(time.time() - began)
                counted_frozen = _counted_while(site, 2.0)
                healed, stream.fault = time.time(), ""
                _until_told(site, "ok", 30.0)
                backs.append(time.time() - healed)
                first_counted(lambda: [worker], time.time())
                if fault == "frozen":
                    assert counted_frozen == 0, f"{counted_frozen} frozen frames were analysed"
            codes = [
                camera.stop(),
                *(
                    component.stop()
                    for component in (worker, site.of("roommood.aggregator.cli")[0])
                ),
            ]
            return judge(site).outcome(
                recovery_s=max(backs),
                wrong=f"exit codes {codes}" if any(codes) else "",
                detail=f"told after {max(told_after_s):.1f} s",
            )

    return run


def _until_told(site: FaultSite, word: str, timeout_s: float) -> None:
    with site.redis.client() as client:
        until(
            lambda: str(client.hget("roommood:camera:a", "picture")).partition(":")[0] == word,
            f"Redis says {word}",
            timeout_s,
        )


def _counted_while(site: FaultSite, seconds: float) -> int:
    """Frames analysed in the last half of so many seconds."""
    select_for(seconds)
    (worker,) = site.of(WORKER)
    since = time.time() - seconds / 2
    return sum(at(line) >= since for line in worker.lines("analysed"))


ROWS: Final = tuple(
    Row(
        f"camera-{fault}", what, going(fault), "Resources", times=2,
        control="looking at the picture", recover_within_s=10.0,
    )
    for fault, what in (
        ("frozen", "a camera gives the same picture for ever: told, and not counted"),
        ("black", "a camera goes black, or is covered: told"),
    )
)  # fmt: skip
