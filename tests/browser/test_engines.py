"""The pages in Firefox and in WebKit: what a person sees and does has its effect there too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roommood.aggregator.redis import keys as redis_keys
from roommood.camera_node.preview.server import Access, serve
from roommood.camera_node.preview.viewer import Preview
from roommood.shared.process.settings import PreviewSettings
from tests.aggregator.dashboard.served import operator_of, reader_of, serving
from tests.aggregator.dashboard.test_guard import WORD, secret
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


def test_a_change_shows_and_a_switch_pauses_the_room(tmp_path: Path, seen: Window) -> None:
    with RedisServer() as server, server.client() as client:
        options = (*reader_of(server, tmp_path), *operator_of(server, tmp_path))
        with serving(tmp_path, *options) as served:
            rooms = Rooms(server)
            rooms.show("studio", "happiness")
            seen.open(f"{served.url}/room/studio")
            until(lambda: "mostly happiness" in seen.text("main"), "the room is shown")
            until_shown(seen, rooms, "anger")
            seen.click("//*[@aria-label='Whole room']/button[.='Paused']")
            until(lambda: client.smembers(redis_keys.PAUSED) == {"studio"}, "the room is paused")
            until(lambda: "Paused." in seen.text("main"), "it says so")
            rooms.close()


def until_shown(seen: Window, rooms: Rooms, expression: str) -> None:
    def is_shown() -> bool:
        rooms.show("studio", expression, people=3)
        return f"mostly {expression}" in seen.text("main")

    until(is_shown, f"{expression} is on the screen")


def test_the_password_is_given_and_asked_for_again(tmp_path: Path, seen: Window) -> None:
    """A server that starts anew knows nobody; its open page goes on once that was given again."""
    options = ("--password-file", str(secret(tmp_path, WORD)))
    with RedisServer() as server:
        rooms = Rooms(server)
        with serving(tmp_path, server.url, *options) as served:
            seen.open(served.url)
            give(seen, "not the password")
            until(lambda: "That is not the password." in seen.text(), "it is said to be wrong")
            give(seen, WORD)
            until_shown(seen, rooms, "happiness")
        with serving(tmp_path, server.url, *options, port=served.port):
            give(seen, WORD)
            until_shown(seen, rooms, "anger")
        rooms.close()


def give(seen: Window, password: str) -> None:
    has_focus = "document.activeElement?.id === 'password'"
    until(lambda: seen.evaluate(has_focus), "it is asked for, and the field has the focus")
    seen.type(password)


def test_a_page_is_live_again_after_its_server_was_away_and_after_going_back(
    tmp_path: Path, seen: Window
) -> None:
    with RedisServer() as server:
        rooms = Rooms(server)
        with serving(tmp_path, server.url) as served:
            seen.open(served.url)
            until_shown(seen, rooms, "happiness")
        until(lambda: "Connection lost" in seen.text(), "it says that the server is away")
        with serving(tmp_path, server.url, port=served.port):
            until_shown(seen, rooms, "anger")
            seen.click("//nav/a[.='Cameras and workers']")
            until(lambda: seen.text("h1") == "Cameras and workers", "the other page is there")
            seen.back()
            until_shown(seen, rooms, "sadness")
        rooms.close()


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
