"""Fifty at once cost less than a core, and one more still sees changes."""

import asyncio
import time

import pytest

from tests.browser.chromium import DESKTOP, until
from tests.browser.conftest import Demo, Open
from tests.browser.viewers import Viewers, cpu_s, resident_mb, run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
COUNT, SECONDS = 50, 20.0


def test_fifty_viewers_cost_less_than_a_core(demo: Demo, open_page: Open) -> None:
    pid = demo.page_pid()
    seen = open_page(DESKTOP)
    seen.open(demo.url)
    until(lambda: "people" in seen.text(), "the browser shows the rooms")
    viewers = Viewers(demo.url, COUNT)
    figures: dict[str, float] = {}

    async def measure() -> None:
        began_s, used_s, sent = time.monotonic(), cpu_s(pid), sum(viewers.updates)
        await asyncio.sleep(SECONDS)
        took_s = time.monotonic() - began_s
        figures["cores"] = (cpu_s(pid) - used_s) / took_s
        figures["updates/s"] = (sum(viewers.updates) - sent) / took_s
        figures["MB"] = resident_mb(pid)

    run(viewers, measure)
    print(f"{COUNT} viewers:", {name: round(value, 2) for name, value in figures.items()})
    assert all(viewers.updates), "somebody was sent nothing"
    assert figures["cores"] < 1.0
    until(lambda: "people" in seen.text(), "the browser still shows the rooms")
    seen.assert_clean(demo.url)
