"""What is drawn can be read whole, on a phone and on a laptop's 1,280 pixels."""

from pathlib import Path

import pytest

from tests.aggregator.dashboard.served import serving
from tests.aggregator.rooms import Rooms
from tests.browser.chromium import DESKTOP, PHONE, Watched, until
from tests.browser.conftest import Demo, Open
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

# Labels that lie on one another or beyond their chart.
_UNREADABLE = """() => [...document.querySelectorAll('.rm-chart svg')].flatMap(svg => {
    const whole = svg.getBoundingClientRect();
    const labels = [...svg.querySelectorAll('text')].map(one =>
        [one.textContent, one.getBoundingClientRect()]);
    const beyond = labels.filter(([, box]) =>
        box.left < whole.left - 1 || box.right > whole.right + 1);
    const crossed = labels.filter(([, a], i) => labels.slice(i + 1).some(([, b]) =>
        a.left < b.right && b.left < a.right && a.top + 4 < b.bottom && b.top + 4 < a.bottom));
    return [...beyond, ...crossed].map(([text]) => text);
})"""
# Lines across each picture of the history: where they end is where its time ends.
_ENDS = """() => [...new Set([...document.querySelectorAll('.rm-chart-history svg path')]
    .map(one => one.getBoundingClientRect())
    .filter(box => box.height < 2 && box.width > 150)
    .map(box => Math.round(box.right)))]"""
_BEYOND_THEIR_CARD = """() => [...document.querySelectorAll('.rm-card *')]
    .filter(one => !one.closest('.rm-scroll, .rm-tall, svg'))
    .filter(one => one.getBoundingClientRect().right
        > one.closest('.rm-card').getBoundingClientRect().right + 1)
    .map(one => `${one.tagName} ${one.className}`)"""
_CUT_TABLES = """() => [...document.querySelectorAll('.rm-scroll')]
    .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.ariaLabel)"""


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_a_rooms_charts_can_be_read_whole(demo: Demo, open_page: Open, width: int) -> None:
    seen = opened(open_page, demo, "/room/kitchen", width)
    until(lambda: seen.page.query_selector(".rm-chart-dots svg circle, .rm-chart-dots svg path"),
          "the intervals are drawn")  # fmt: skip

    until(lambda: seen.page.evaluate(_UNREADABLE) == [], "no label lies on another")
    assert len(seen.page.evaluate(_ENDS)) == 1
    assert seen.page.evaluate(_BEYOND_THEIR_CARD) == []


def test_an_iphone_has_no_reason_to_zoom_in_on_a_field(tmp_path: Path, open_page: Open) -> None:
    """It does so, and stays there, where the text of one is smaller than 16 pixels."""
    with RedisServer() as server, serving(tmp_path, server.url) as served:
        rooms, seen = Rooms(server), open_page(PHONE)
        rooms.show("studio", "happiness")
        seen.open(f"{served.url}/room/studio")
        seen.page.wait_for_selector("select >> nth=3")
        sizes = (
            "[...document.querySelectorAll('select, input')]"
            ".map(one => parseFloat(getComputedStyle(one).fontSize))"
        )
        assert min(seen.page.evaluate(sizes)) >= 16
        rooms.close()


def test_what_is_told_of_cameras_and_workers_fits_a_laptop(demo: Demo, open_page: Open) -> None:
    seen = opened(open_page, demo, "/health", 1280)
    until(lambda: "kitchen-1" in seen.text() and "127.0.0.1" in seen.text(), "it is told")

    assert seen.page.evaluate(_CUT_TABLES) == []


def opened(open_page: Open, demo: Demo, page: str, width: int) -> Watched:
    look = DESKTOP if width > 640 else PHONE
    seen = open_page({**look, "viewport": {"width": width, "height": 844}})
    seen.open(demo.url + page)
    return seen
