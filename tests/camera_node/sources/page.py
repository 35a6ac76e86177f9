"""The tables of docs/sources.md: what the tests try, what was measured.

    python -m tests.camera_node.sources.page

writes them anew: every manner that the tests try, the age of pictures by the clock burnt into them
(measured now, half a minute), and the cost of a node, as `make bench` found it (source_cost).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from roommood.camera_node.sources.open import open_source
from roommood.shared.clock import boot_ms
from roommood.shared.opencv import cv2
from tests.camera_node.sources.burnt_clock import drawn, drawn_ms
from tests.camera_node.sources.manners import RTSP_VIDEO, manners
from tests.camera_node.sources.network.http_cameras import PLAIN, HttpCamera

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "sources.md"
_RESULTS: Final = ROOT / "benchmarks" / "results.json"
_HERE: Final = Path(__file__).parent
_PASSED_OVER, _MEASURED = 15, 40
_WEBCAM: Final = "webcam, YUYV"
_HTTP: Final = "HTTP, JPEGs"


@dataclass(frozen=True, slots=True)
class Age:
    """Of pictures when they were read, in ms; and how long after it was drawn each was dated."""

    median_ms: float
    most_ms: float
    dated_late_ms: float


def age_names() -> list[str]:
    return [_WEBCAM, _HTTP, *(f"RTSP, {sends}" for sends, _ in RTSP_VIDEO.values())]


def main() -> None:
    if sys.argv[1:]:
        sys.stdout.write(json.dumps(measured(sys.argv[1])))
        return
    text = with_table(PAGE.read_text(), "manners", manner_rows())
    text = with_table(text, "ages", [_age_row(name, age) for name, age in ages()])
    PAGE.write_text(with_table(text, "costs", cost_rows()))


def with_table(text: str, name: str, rows: list[str]) -> str:
    """The page with these rows under the head of the table of this name."""
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = text.partition(start)
    head = rest.splitlines()[:2]
    return before + start + "\n".join([*head, *rows]) + "\n" + end + rest.partition(end)[2]


def rows_of(text: str, name: str) -> list[str]:
    """The rows of a table of the page, without its head."""
    table = text.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- end of {name} -->")[0]
    return table.splitlines()[2:]


def manner_rows() -> list[str]:
    return [f"| {row.camera} | {row.sends} | {row.comes} |" for row in manners()]


def cost_rows() -> list[str]:
    """One for each camera of the benchmark, of the three rates at which its node was asked."""
    by_source: dict[str, list[dict[str, object]]] = {}
    for row in json.loads(_RESULTS.read_text()):
        if row["benchmark"] == "source_cost":
            by_source.setdefault(row["name"].partition(":")[0], []).append(row)
    return [_cost_row(name, rows) for name, rows in by_source.items()]


def _cost_row(name: str, rows: list[dict[str, object]]) -> str:
    beside = rows[0]["beside"]
    assert isinstance(beside, Mapping)
    figures = [*beside.values(), *(row["value"] for row in rows)]
    return f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |"


def _age_row(name: str, age: Age) -> str:
    dated = "by the driver" if name == _WEBCAM else f"{age.dated_late_ms:.0f}"
    return f"| {name} | {age.median_ms:.0f} | {age.most_ms:.0f} | {dated} |"


def ages() -> Iterator[tuple[str, Age]]:
    """Of each camera that there is a clock for."""
    with _webcam() as environment:
        yield _WEBCAM, _measured_apart("0", environment)
    with _http() as url:
        yield _HTTP, _measured_apart(url, {})
    with _rtsp() as (port, paths):
        for path, (sends, _) in RTSP_VIDEO.items():
            if path in paths:
                url = f"rtsp://127.0.0.1:{port}{path}"
                yield f"RTSP, {sends}", _measured_apart(url, {})


def _measured_apart(spec: str, environment: Mapping[str, str]) -> Age:
    command = [sys.executable, "-m", "tests.camera_node.sources.page", spec]
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=ROOT, capture_output=True, check=True
    )
    return Age(*json.loads(done.stdout))


def measured(spec: str) -> tuple[float, float, float]:
    """Median and largest age of a source's pictures, and how late they are dated, in ms."""
    old_ms, late_ms = [], []
    with open_source(spec) as source:
        for _ in range(_PASSED_OVER + _MEASURED):
            picture = source.read()
            at_ms = drawn_ms(picture)
            old_ms.append(boot_ms() - at_ms)
            late_ms.append(picture.captured_ms - at_ms)
    old_ms, late_ms = old_ms[_PASSED_OVER:], late_ms[_PASSED_OVER:]
    return float(np.median(old_ms)), max(old_ms), float(np.median(late_ms))


@contextmanager
def _repeated(act: Callable[[], object], each_s: float) -> Iterator[None]:
    ending = threading.Event()

    def run() -> None:
        while not ending.wait(each_s):
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@contextmanager
def _webcam() -> Iterator[Mapping[str, str]]:
    """A device whose one frame is drawn anew each 5 ms."""
    with tempfile.TemporaryDirectory() as name:
        folder, library = Path(name) / "frames", Path(name) / "device.so"
        folder.mkdir()
        source = str(_HERE / "fake_v4l2.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

        def draw() -> None:
            frame = cv2.cvtColor(drawn(320, 240), cv2.COLOR_BGR2YUV_YUYV)
            (Path(name) / "next").write_bytes(frame.tobytes())
            (Path(name) / "next").replace(folder / "frame")

        draw()
        with _repeated(draw, 0.005):
            yield {
                "LD_PRELOAD": str(library),
                "FAKE_V4L2_FRAMES": str(folder),
                "FAKE_V4L2_FORMATS": "YUYV",
                "FAKE_V4L2_MODE": "320x240@15",
            }


@contextmanager
def _http() -> Iterator[str]:
    camera = HttpCamera()
    camera.pause_s = 1 / 15
    camera.part = lambda n, _: PLAIN(n, cv2.imencode(".jpg", drawn(320, 240))[1].tobytes())
    thread = threading.Thread(target=camera.serve_forever)
    thread.start()
    try:
        yield camera.url
    finally:
        camera.stopping.set()
        camera.shutdown()
        camera.server_close()
        thread.join()


@contextmanager
def _rtsp() -> Iterator[tuple[str, list[str]]]:
    command = ["/usr/bin/python3", str(_HERE / "network" / "rtsp_server.py")]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port, _, _, paths = re.split(r"\s+", server.stdout.readline().strip())
        yield port, paths.split(",")
    finally:
        server.communicate("")


if __name__ == "__main__":
    main()
