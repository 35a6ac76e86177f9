"""The pages in Firefox and in WebKit: what a person sees and does has its effect there too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roommood.camera_node.preview.server import Access, serve
from roommood.camera_node.preview.viewer import Preview
from roommood.shared.process.settings import PreviewSettings
from tests.aggregator.dashboard.served import serving
from tests.aggregator.rooms import Rooms
from tests.browser.chromium import until
from tests.browser.test_preview_page import NEAR, as_seen
from tests.browser.webdriver import ENGINES, Window, window
from tests.ports import free_port
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", params=ENGINES)
def seen(request: pytest.FixtureRequest) -> Iterator[Window]:
    with window(request.param) as opened:
        yield opened


def until_shown(seen: Window, rooms: Rooms, expression: str) -> None:
    def is_shown() -> bool:
        rooms.show("studio", expression, people=3)
        return f"mostly {expression}" in seen.text("main")

    until(is_shown, f"{expression} is on the screen")


def test_figures_look_as_if_they_could_be_pressed_and_are_explained(
    tmp_path: Path, seen: Window
) -> None:
    """Safari up to 26.1 takes no style from the short form of an underline."""
    with RedisServer() as server, serving(tmp_path, server.url) as served:
        rooms = Rooms(server)
        seen.open(served.url)
        until_shown(seen, rooms, "happiness")
        line = "getComputedStyle(document.querySelector('.rm-term'))"
        assert seen.evaluate(f"{line}.textDecorationLine") == "underline"
        assert seen.evaluate(f"{line}.textDecorationStyle") == "dotted"
        assert "Part of the time" not in seen.text()
        seen.click("(//button[.='Coverage, last hour'])[1]")
        until(lambda: "Part of the time" in seen.text(), "it is explained")
        rooms.close()


@pytest.mark.parametrize("pointer", ["mouse", "touch"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_mask_lies_where_it_was_drawn(
    tmp_path: Path, seen: Window, rotation: int, pointer: str
) -> None:
    preview = Preview(PreviewSettings(source="simulated", rotation=rotation))
    preview.start()
    port, stop = serve(Access(f"127.0.0.1:{free_port()}"), preview)
    meant = [(0.1, 0.2), (0.3, 0.2), (0.3, 0.4)]
    try:
        seen.size(1200, 1400)
        seen.open(f"http://localhost:{port}/")
        until(lambda: " pixels, " in seen.text("#status"), "a picture is shown")
        box = seen.evaluate("document.getElementById('stage').getBoundingClientRect()")
        for x, y in (*meant, meant[0]):
            seen.press(box["x"] + x * box["width"], box["y"] + y * box["height"], pointer)
        (corners,) = until(lambda: preview.masks, "the mask is in place")
        drawn = [as_seen(x, y, rotation) for x, y in corners]
        assert drawn == [pytest.approx(corner, abs=NEAR) for corner in meant]
    finally:
        stop()
        preview.stop()
