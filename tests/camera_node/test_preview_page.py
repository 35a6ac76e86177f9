"""The preview's page in a real browser: one sees the room, draws a mask, and saves it."""

import os
import shutil
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from camera_node.preview import Preview
from camera_node.preview_server import Access, serve
from deploy.preview_faces import face_finder
from shared.config import CameraSettings
from tests.end_to_end.site import until
from tests.redis_server import free_port

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    playwright = pytest.importorskip("playwright.sync_api")
    if program is None:
        message = "no chromium: install the package chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


class Shown:
    """A page in the browser; what it complains of and whom it asks is kept."""

    def __init__(self, browser: Any, folder: Path, rotation: int = 0) -> None:
        self.file = folder / "roommood.toml"
        self.file.write_text(f'[camera]\nname = "door"\nroom = "hall"\nrotation = {rotation}\n')
        settings = CameraSettings.model_validate(
            {"name": "door", "room": "hall", "source": "simulated", "rotation": rotation}
        )
        self.preview = Preview(settings, face_finder())
        self.preview.start()
        access = Access(f"127.0.0.1:{free_port()}", save_to=self.file)
        port, self._stop = serve(access, self.preview)
        self.page = browser.new_page(viewport={"width": 1200, "height": 760})
        self.complaints: list[str] = []
        self.asked: set[str] = set()
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.add(request.url.partition("?")[0]))
        self.page.goto(f"http://localhost:{port}/")
        self.page.get_by_text(" pixels, ").wait_for()

    def __enter__(self) -> "Shown":
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()
        self._stop()
        self.preview.stop()

    def draw(self, *corners: tuple[float, float]) -> None:
        """Clicks corners, as fractions of the picture as it is seen, and the first again."""
        box = self.page.locator("#stage").bounding_box()
        for x, y in (*corners, corners[0]):
            self.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_a_mask_is_drawn_with_the_mouse_and_saved(browser: Any, tmp_path: Path) -> None:
    with Shown(browser, tmp_path) as shown:
        shown.draw((0.02, 0.05), (0.28, 0.05), (0.28, 0.6), (0.02, 0.6))
        until(lambda: len(shown.preview.masks) == 1, "the mask is in place")
        corners = shown.preview.masks[0]
        for corner, meant in zip(
            corners, [(0.02, 0.05), (0.28, 0.05), (0.28, 0.6), (0.02, 0.6)], strict=True
        ):
            assert corner == pytest.approx(meant, abs=0.01)
        shown.page.get_by_role("button", name="Save into").click()
        shown.page.get_by_text("Saved.").wait_for()
        assert tomllib.loads(shown.file.read_text())["camera"]["masks"] == corners_of(corners)
        assert "masks = [" in shown.page.locator("#toml").input_value()
        shown.page.get_by_text("found").wait_for()
        time.sleep(0.3)  # for the picture of the page, not for its truth
        SHOTS.mkdir(parents=True, exist_ok=True)
        shown.page.screenshot(path=SHOTS / "aiming.png")
        shown.page.get_by_role("button", name="Remove mask 1").click()
        until(lambda: shown.preview.masks == [], "the mask is gone")
        assert shown.complaints == []


def corners_of(mask: list[list[float]]) -> list[list[list[float]]]:
    return [[[round(x, 3), round(y, 3)] for x, y in mask]]


def test_masks_may_be_written_as_lines_with_the_keyboard_alone(
    browser: Any, tmp_path: Path
) -> None:
    with Shown(browser, tmp_path) as shown:
        lines = shown.page.get_by_label("Lines for the settings file")
        lines.fill("masks = [\n  [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]], # the window\n]")
        shown.page.get_by_role("button", name="Use these lines").press("Enter")
        until(lambda: len(shown.preview.masks) == 1, "the mask is in place")
        lines.fill("masks = [[[0, 0], [2, 0], [2, 2]]]")
        shown.page.get_by_role("button", name="Use these lines").press("Enter")
        shown.page.get_by_text("fractions of the picture from 0 to 1").wait_for()
        assert len(shown.preview.masks) == 1


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_camera_on_its_side_is_shown_upright_and_its_masks_lie_where_they_were_drawn(
    browser: Any, tmp_path: Path, rotation: int
) -> None:
    with Shown(browser, tmp_path, rotation) as shown:
        shown.draw((0.1, 0.2), (0.3, 0.2), (0.3, 0.4))
        until(lambda: len(shown.preview.masks) == 1, "the mask is in place")
        seen = [as_seen(x, y, rotation) for x, y in shown.preview.masks[0]]
        for corner, meant in zip(seen, [(0.1, 0.2), (0.3, 0.2), (0.3, 0.4)], strict=True):
            assert corner == pytest.approx(meant, abs=0.01)


def as_seen(x: float, y: float, rotation: int) -> tuple[float, float]:
    """A corner of the unturned picture where it is seen once that is turned clockwise."""
    return {90: (1 - y, x), 180: (1 - x, 1 - y), 270: (y, 1 - x)}[rotation]


def test_it_asks_no_other_host_and_works_on_a_telephone(browser: Any, tmp_path: Path) -> None:
    with Shown(browser, tmp_path) as shown:
        shown.page.set_viewport_size({"width": 390, "height": 800})
        wide = shown.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390
        shown.page.get_by_text("found").wait_for()
        hosts = {url.split("/")[2] for url in shown.asked if url.startswith("http")}
        assert len(hosts) == 1
        assert shown.complaints == []


def test_a_preview_that_has_ended_says_so(browser: Any, tmp_path: Path) -> None:
    with Shown(browser, tmp_path) as shown:
        shown._stop()
        shown.page.get_by_text("The preview has ended.").wait_for()
