"""What a page of 500 rooms costs: the browser until the first figures, the server while it looks.

    python -m benchmarks.many_rooms [--quick]

A real Redis, to which a process of its own counts a result of each room every second; the page as
`roommood dashboard` serves it; a real Chromium. The browser's time is what its main thread worked,
in processor time, so that a busy machine does not lengthen it; the wall's time stands beside it.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, CDPSession, sync_playwright

from benchmarks.processes import ROOT, cpu_s, end
from benchmarks.rows import Options, Row, at_most, run_alone, stated
from roommood.aggregator.counting.store import Store
from roommood.shared.clock import wall_ms
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.aggregator.dashboard.served import Served, serving
from tests.aggregator.made import delivery, face, only, result
from tests.browser.chromium import DESKTOP, launch
from tests.end_to_end.site import select_for, until
from tests.redis_server import RedisServer

ROOMS: Final = 500
_GROUPS: Final = 12
_EVERY_S: Final = 1.0
_BROWSER_S: Final = 1.0
_SERVER_PERCENT: Final = 5.0


@dataclass(frozen=True)
class _View:
    """Until the first figures: seconds of the browser's main thread, and by the clock."""

    browser_s: float
    wall_s: float


def many_rooms(options: Options) -> Iterator[Row]:
    seconds = options.length(30.0, 10.0)
    with _site() as served, sync_playwright() as playwright:
        browser = launch(playwright)
        # The first one also fills the browser's cache, as a first visit does.
        views = [_first_view(browser, served) for _ in range(3)]
        best = min(views, key=lambda view: view.browser_s)
        pid = served.process.pid
        alone = _share(pid, seconds)
        with _looking(browser, served):
            one = _share(pid, seconds)
        browser.close()
    beside = {"by the clock": best.wall_s, "the worst of three": max(v.browser_s for v in views)}
    yield at_most(f"{ROOMS} rooms: first view", best.browser_s, "s browser", _BROWSER_S, beside)
    yield at_most("  the server, one who looks", one * 100, "% core", _SERVER_PERCENT)
    yield stated("  the server, nobody", alone * 100, "% core")


@contextmanager
def _site() -> Iterator[Served]:
    with (
        RedisServer() as server,
        tempfile.TemporaryDirectory() as folder,
        _counting(server.url),
        serving(Path(folder), server.url) as served,
    ):
        until(lambda: served.room(f"room-{ROOMS - 1:03d}"), "all rooms are there")
        yield served


@contextmanager
def _counting(url: str) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.many_rooms", "--count", url]
    process = subprocess.Popen(command, cwd=ROOT, text=True)
    try:
        yield
    finally:
        end(process)


def _first_view(browser: Browser, served: Served) -> _View:
    began_s = time.monotonic()
    with _looking(browser, served) as session:
        wall_s = time.monotonic() - began_s
        metrics: list[dict[str, Any]] = session.send("Performance.getMetrics")["metrics"]
        worked = {one["name"]: one["value"] for one in metrics}
        return _View(worked["TaskDuration"], wall_s)


@contextmanager
def _looking(browser: Browser, served: Served) -> Iterator[CDPSession]:
    context = browser.new_context(**DESKTOP)
    try:
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(served.url)
        page.wait_for_selector(".rm-list .rm-good")
        yield session
    finally:
        context.close()


def _share(pid: int, seconds: float) -> float:
    """Processor time of a process, in parts of a core."""
    began_s, used_s = time.monotonic(), cpu_s(pid)
    select_for(seconds)
    return (cpu_s(pid) - used_s) / (time.monotonic() - began_s)


def count(url: str) -> None:
    """Counts a result of each room, again and again, until it is killed."""
    store, seq = Store(url), 0
    store.check_schema()
    names = [f"room-{number:03d}" for number in range(ROOMS)]
    for number, name in enumerate(names):
        store.set_group(name, f"floor {number % _GROUPS}")
    while True:
        began_s, now_ms, seq = time.monotonic(), wall_ms(), seq + 1
        results = [
            result(seq, *[face(only(EXPRESSIONS[(place + seq // 5) % 8]))] * ((place + seq) % 4),
                   room=name, camera=f"{name}-1", interval_us=1_000_000)
            for place, name in enumerate(names)
        ]  # fmt: skip
        store.commit([delivery(one, now_ms - 50) for one in results], now_ms)
        store.touch_rooms(dict.fromkeys(names, now_ms))
        select_for(max(0.0, began_s + _EVERY_S - time.monotonic()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--count"]:
        count(sys.argv[2])
    run_alone(many_rooms, __doc__)
