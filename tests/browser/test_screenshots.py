"""The pictures of the README. The present is the demo's; the past in them is made up."""

from pathlib import Path

import pytest

from tests.browser.chromium import DARK, DESKTOP, PHONE, Context, until
from tests.browser.conftest import Demo, Open

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
LARGEST_BYTES = 200_000
WIDE: Context = {"viewport": {"width": 1200, "height": 760}}


@pytest.mark.parametrize(
    ("name", "path", "look"),
    [
        ("rooms", "/", WIDE),
        ("rooms-dark", "/", {**DARK, **WIDE}),
        ("rooms-phone", "/", PHONE),
        ("room", "/room/kitchen", {"viewport": {"width": 1200, "height": 1500}}),
        ("room-phone-dark", "/room/kitchen", {**PHONE, "color_scheme": "dark"}),
        ("health", "/health", DESKTOP),
    ],
)
def test_a_picture_is_taken(
    demo: Demo, open_page: Open, name: str, path: str, look: Context
) -> None:
    seen = open_page(look)
    seen.open(demo.url + path)
    until(lambda: "%" in seen.text(), "figures are there")
    if path != "/health":
        # The last hour is read again every ten seconds.
        until(lambda: seen.page.locator(".rm-chart svg path").count() > 200, "charts are full")
    if "phone" in name and path != "/":
        seen.page.evaluate("document.querySelector('.rm-legend').scrollIntoView()")
    seen.page.wait_for_timeout(1_000)
    picture = FOLDER / f"dashboard-{name}.png"
    FOLDER.mkdir(parents=True, exist_ok=True)
    seen.page.screenshot(path=picture)
    assert 10_000 < picture.stat().st_size < LARGEST_BYTES
