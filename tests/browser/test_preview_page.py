"""The preview's page in a real browser: one sees the room, draws a mask, and saves it."""

import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from roommood.camera_node.preview.server import Access, serve
from roommood.camera_node.preview.viewer import Preview
from roommood.deploy.preview_faces import face_finder
from roommood.shared.process.settings import PreviewSettings
from tests.browser.chromium import Watched, until, watching
from tests.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
DESKTOP = {"viewport": {"width": 1200, "height": 760}}
PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
# Of the picture as it is seen; a click is a pixel or two off.
NEAR = 0.01


@dataclass
class Shown:
    """A preview and its page in the browser; `file` is what the page saves into."""

    seen: Watched
    url: str
    file: Path
    preview: Preview
    stop_serving: Callable[[], None]

    def draw(self, *corners: tuple[float, float]) -> None:
        """Clicks corners, as fractions of the picture as it is seen, and the first again."""
        box = self.seen.page.locator("#stage").bounding_box()
        assert box is not None
        for x, y in (*corners, corners[0]):
            self.seen.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def press(self, button: str) -> None:
        self.seen.page.get_by_role("button", name=button).press("Enter")

    def until_it_says(self, text: str) -> None:
        self.seen.page.get_by_text(text).wait_for()


@contextmanager
def shown(
    browser: Browser, folder: Path, rotation: int = 0, phone: bool = False
) -> Iterator[Shown]:
    file = folder / "roommood.toml"
    file.write_text(f'[camera]\nname = "door"\nroom = "hall"\nrotation = {rotation}\n')
    settings = PreviewSettings(source="simulated", rotation=rotation)
    preview = Preview(settings, face_finder())
    preview.start()
    port, stop = serve(Access(f"127.0.0.1:{free_port()}", save_to=file), preview)
    try:
        with watching(browser, PHONE if phone else DESKTOP) as seen:
            shown = Shown(seen, f"http://localhost:{port}/", file, preview, stop)
            seen.page.goto(shown.url)
            shown.until_it_says(" pixels, ")
            yield shown
    finally:
        stop()
        preview.stop()


def test_a_mask_is_drawn_with_the_mouse_and_saved(browser: Browser, tmp_path: Path) -> None:
    meant = [(0.02, 0.05), (0.28, 0.05), (0.28, 0.6), (0.02, 0.6)]
    with shown(browser, tmp_path) as page:
        page.draw(*meant)
        (corners,) = until(lambda: page.preview.masks, "the mask is in place")
        assert corners == [pytest.approx(corner, abs=NEAR) for corner in meant]
        page.seen.page.get_by_role("button", name="Save into").click()
        page.until_it_says("Saved.")
        assert tomllib.loads(page.file.read_text())["camera"]["masks"] == [rounded(corners)]
        assert "masks = [" in page.seen.page.locator("#toml").input_value()
        page.seen.page.get_by_role("button", name="Remove mask 1").click()
        until(lambda: page.preview.masks == [], "the mask is gone")
        page.seen.assert_clean(page.url)


def rounded(mask: list[list[float]]) -> list[list[float]]:
    return [[round(x, 3), round(y, 3)] for x, y in mask]


def test_masks_may_be_written_as_lines_with_the_keyboard_alone(
    browser: Browser, tmp_path: Path
) -> None:
    with shown(browser, tmp_path) as page:
        lines = page.seen.page.get_by_label("Lines for the settings file")
        lines.fill("masks = [\n  [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]], # the window\n]")
        page.press("Use these lines")
        page.until_it_says("These masks are in place.")
        assert len(page.preview.masks) == 1
        lines.fill("masks = [[[0, 0], [2, 0], [2, 2]]]")
        page.press("Use these lines")
        page.until_it_says("fractions of the picture from 0 to 1")
        assert len(page.preview.masks) == 1


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_camera_on_its_side_is_shown_upright_and_its_masks_lie_where_they_were_drawn(
    browser: Browser, tmp_path: Path, rotation: int
) -> None:
    meant = [(0.1, 0.2), (0.3, 0.2), (0.3, 0.4)]
    with shown(browser, tmp_path, rotation) as page:
        page.draw(*meant)
        (corners,) = until(lambda: page.preview.masks, "the mask is in place")
        drawn = [as_seen(x, y, rotation) for x, y in corners]
        assert drawn == [pytest.approx(corner, abs=NEAR) for corner in meant]


def as_seen(x: float, y: float, rotation: int) -> tuple[float, float]:
    """A corner of the unturned picture where it is seen once that is turned clockwise."""
    return {0: (x, y), 90: (1 - y, x), 180: (1 - x, 1 - y), 270: (y, 1 - x)}[rotation]


def test_it_asks_no_other_host_and_works_on_a_telephone(browser: Browser, tmp_path: Path) -> None:
    with shown(browser, tmp_path, phone=True) as page:
        assert page.seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        page.until_it_says("found")
        assert page.seen.hosts
        page.seen.assert_clean(page.url)


def test_a_finger_on_the_picture_draws_with_taps_and_scrolls_with_swipes(
    browser: Browser, tmp_path: Path
) -> None:
    """On a phone that lies on its side the picture is all that is on the screen."""
    with shown(browser, tmp_path, phone=True) as page:
        seen = page.seen.page
        seen.set_viewport_size({"width": 740, "height": 360})
        swipe_up(seen, 300, range(300, 40, -10))
        until(lambda: seen.evaluate("scrollY") > 100, "the page has scrolled")
        assert seen.locator("#undo").is_disabled(), "the swipe has set a corner"
        for x, y in ((100, 100), (200, 100), (200, 200), (100, 100)):
            seen.touchscreen.tap(x, y)
        until(lambda: page.preview.masks, "the mask is in place")


def swipe_up(page: Page, x: int, heights: range) -> None:
    finger = page.context.new_cdp_session(page)
    begins = ("touchStart", *["touchMove"] * (len(heights) - 1))
    for kind, y in zip(begins, heights, strict=True):
        points = [{"x": x, "y": y}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_preview_that_has_ended_says_so(browser: Browser, tmp_path: Path) -> None:
    with shown(browser, tmp_path) as page:
        assert "pixels" in page.seen.text("#status")
        page.stop_serving()
        page.until_it_says("The preview has ended.")
        assert "pixels" not in page.seen.text("#status")
