"""Engines that Playwright drives only in builds of its own: Firefox, and WebKit, which is Safari's.

Over WebDriver: https://www.w3.org/TR/webdriver2/. Each is skipped where it is not installed.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
import pytest

from tests.browser.chromium import PATIENCE_S, until
from tests.ports import free_port

ENGINES: Final = ("firefox", "webkit")
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
_ENTER: Final = "\ue007"


class Window:
    """A browser's window; elements are named by XPath."""

    def __init__(self, driver_url: str, capabilities: dict[str, Any]) -> None:
        self._http = httpx.Client(timeout=PATIENCE_S)
        begun = self._http.post(
            f"{driver_url}/session", json={"capabilities": {"alwaysMatch": capabilities}}
        ).json()["value"]
        assert "sessionId" in begun, begun
        self._url = f"{driver_url}/session/{begun['sessionId']}"

    def close(self) -> None:
        self._http.delete(self._url)
        self._http.close()

    def open(self, url: str) -> None:
        self._ask("/url", url=url)

    def back(self) -> None:
        self._ask("/back")

    def size(self, width: int, height: int) -> None:
        self._ask("/window/rect", width=width, height=height)

    def evaluate(self, expression: str) -> Any:
        return self._ask("/execute/sync", script=f"return {expression}", args=[])

    def text(self, selector: str = "body") -> str:
        return str(self.evaluate(f"document.querySelector('{selector}')?.innerText ?? ''"))

    def click(self, xpath: str) -> None:
        elements = until(
            lambda: self._ask("/elements", using="xpath", value=xpath), f"{xpath} is there"
        )
        self._ask(f"/element/{elements[0][_ELEMENT]}/click")

    def type(self, text: str) -> None:
        """Into what has the focus; then Enter."""
        keys = [
            {"type": how, "value": key} for key in text + _ENTER for how in ("keyDown", "keyUp")
        ]
        self._ask("/actions", actions=[{"type": "key", "id": "keyboard", "actions": keys}])

    def press(self, x: float, y: float, pointer: str = "mouse") -> None:
        """At a place of the window, with a mouse or a touch."""
        steps = [
            {"type": "pointerMove", "x": round(x), "y": round(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        by = {"type": "pointer", "id": pointer, "parameters": {"pointerType": pointer}}
        self._ask("/actions", actions=[{**by, "actions": steps}])

    def _ask(self, path: str, **body: Any) -> Any:
        answer = self._http.post(self._url + path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]


@contextmanager
def window(engine: str) -> Iterator[Window]:
    """A browser of one's own, for a page."""
    port = free_port()
    command, capabilities = _firefox(port) if engine == "firefox" else _webkit(port)
    # In a session of its own, which ends as a whole: there is a screen besides.
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _listens(url), f"{command[0]} listens")
        opened = Window(url, {**capabilities, "acceptInsecureCerts": True})
        try:
            yield opened
        finally:
            opened.close()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20.0)


def _firefox(port: int) -> tuple[list[str], dict[str, Any]]:
    firefox = _installed("firefox-esr", "firefox")
    options = {"binary": firefox, "args": ["-headless"]}
    return [_installed("geckodriver"), "--port", str(port)], {"moz:firefoxOptions": options}


def _webkit(port: int) -> tuple[list[str], dict[str, Any]]:
    driver = [_installed("WebKitWebDriver"), f"--port={port}"]
    return [_installed("xvfb-run"), "--auto-servernum", *driver], {}


def _installed(*names: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.skip(f"{names[0]} is not installed")


def _listens(url: str) -> bool:
    try:
        return httpx.get(f"{url}/status").status_code == 200
    except httpx.TransportError:
        return False
