"""The real demo with its page, and a real Chromium."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nicegui", reason="the dashboard extra is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

import redis
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import Context, Watched, launch, until, watching
from tests.browser.past import make_up

_WITH_A_PAST = {"kitchen": "kitchen-1", "living-room": "living-room-1"}

Open = Callable[[Context], Watched]


@dataclass(frozen=True, slots=True)
class Demo:
    """A running `roommood demo --dashboard`."""

    url: str
    redis_url: str
    pid: int

    def client(self) -> Any:
        return redis.Redis.from_url(self.redis_url, decode_responses=True)

    def page_pid(self) -> int:
        """The process that serves the page."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_text().split("\0")
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if int(parent) == self.pid and any(
                "roommood.aggregator.dashboard.cli" in w for w in command
            ):
                return int(process.name)
        raise AssertionError("the demo runs no dashboard")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """With a past from the start: the page keeps hours that it has read for minutes."""
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    code = "from roommood.deploy.cli import main; main()"
    command = [sys.executable, "-P", "-c", code, "demo", "--dashboard", "--seconds", "1800"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)

    def running() -> Demo | None:
        assert process.poll() is None, log.read_text()
        text = log.read_text()
        page = re.search(r"^\s+(http://127\.0\.0\.1:\d+)/$", text, re.MULTILINE)
        private = re.search(r"unix://\S+\.sock", text)
        return Demo(page[1], private[0], process.pid) if page and private else None

    try:
        up = until(running, "the demo is up")
        _make_past(up)
        yield up
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60.0)


def _make_past(demo: Demo) -> None:
    with demo.client() as client:
        for seed, (room, camera) in enumerate(_WITH_A_PAST.items()):
            until(partial(_counted, client, room), f"{room} counts")
            make_up(client, room, camera, seed)


def _counted(client: Any, room: str) -> list[str]:
    return list(client.scan_iter(f"roommood:{{{room}}}:1h:*"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = launch(playwright)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    with ExitStack() as stack:
        yield lambda context: stack.enter_context(watching(browser, context))
