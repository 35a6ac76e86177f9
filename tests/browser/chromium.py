"""A real Chromium, watched: what it logs, where it asks, and what axe-core finds."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.end_to_end import site
from tests.needs import missing

_ROOT: Final = Path(__file__).parents[2]
_AXE_FOLDER: Final = _ROOT / "build" / "browser"
_AXE: Final = _AXE_FOLDER / "node_modules" / "axe-core" / "axe.min.js"
_FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

# Seconds for what a busy machine takes its time over; a browser is eight processes.
PATIENCE_S: Final = 120.0

Context = dict[str, Any]
DESKTOP: Final[Context] = {"viewport": {"width": 1280, "height": 800}}
DARK: Final[Context] = {**DESKTOP, "color_scheme": "dark"}
PHONE: Final[Context] = {
    "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True,
    "has_touch": True,
}  # fmt: skip
LOOKS: Final = {"desktop": DESKTOP, "dark": DARK, "phone": PHONE}


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits for a condition, with more patience than the other tests."""
    return site.until(condition, what, PATIENCE_S)


def launch(playwright: Playwright) -> Browser:
    """The Chromium of this machine; without one the test skips, in CI it fails."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        missing("no chromium: install the package chromium")
    return playwright.chromium.launch(executable_path=program, args=list(_FLAGS))


class Watched:
    """A page, with what it logged and which hosts it asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.logged: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.logged.append(f"error: {error}"))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("websocket", lambda opened: self.hosts.add(urlsplit(opened.url).netloc))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.logged.append(f"{message.type}: {message.text}")

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.page.wait_for_selector("main h1")

    def text(self, selector: str = "main") -> str:
        return self.page.inner_text(selector)

    def assert_clean(self, url: str) -> None:
        """No complaint in the console, and no host but the page's own was asked."""
        assert self.logged == []
        assert self.hosts - {""} <= {urlsplit(url).netloc}


@contextmanager
def watching(browser: Browser, context: Context) -> Iterator[Watched]:
    # A page's policy would keep axe-core out too; test_guard.py and the console hold the policy.
    opened = browser.new_context(**context)
    opened.set_default_timeout(PATIENCE_S * 1000)
    try:
        yield Watched(opened.new_page())
    finally:
        opened.close()


@contextmanager
def chromium(context: Context = DESKTOP) -> Iterator[Watched]:
    """A browser of one's own, for a page."""
    with sync_playwright() as playwright, watching(launch(playwright), context) as seen:
        yield seen


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and its best practices, as lines of text."""
    page.evaluate(_axe_source())
    broken = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{finding['id']}: {finding['help']}: "
        f"{json.dumps([node['html'][:200] for node in finding['nodes']])}"
        for finding in broken
    ]


def _axe_source() -> str:
    if not _AXE.is_file():
        npm = shutil.which("npm")
        if npm is None:
            missing("no npm: install the package npm")
        _AXE_FOLDER.mkdir(parents=True, exist_ok=True)
        command = [str(npm), "install", "--prefix", str(_AXE_FOLDER), "--no-save", "axe-core@4"]
        subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
    return _AXE.read_text(encoding="utf-8")
