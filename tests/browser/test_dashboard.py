"""The live page in a real Chromium, beside the real demo."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from tests.aggregator.dashboard.served import serving
from tests.aggregator.rooms import Rooms
from tests.browser.chromium import DESKTOP, LOOKS, PHONE, Context, Watched, until, violations
from tests.browser.conftest import Demo, Open
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PAGES = {"rooms": "/", "room": "/room/kitchen", "health": "/health"}


def has_figures(seen: Watched, name: str) -> bool:
    """Whether the page shows what its viewer came for."""
    expected = {
        "rooms": ("kitchen", "living-room", "people", "%", "Coverage"),
        "room": ("History", "Day by hour", "kitchen-1", "95 % interval", "happiness"),
        "health": ("kitchen-1", "living-room-2", "127.0.0.1", "heard"),
    }
    return all(word in seen.text() for word in expected[name])


def until_shown(seen: Watched, rooms: Rooms) -> None:
    """Until the studio's happiness is on the screen; a single frame is old after ten seconds."""

    def is_shown() -> bool:
        rooms.show("studio", "happiness", people=3)
        return "mostly happiness" in seen.text()

    until(is_shown, "it is on the screen")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_each_page_renders_cleanly_and_accessibly(
    demo: Demo, open_page: Open, name: str, look: str
) -> None:
    seen = open_page(LOOKS[look])
    seen.open(demo.url + PAGES[name])
    until(lambda: has_figures(seen, name), f"figures in {name}")
    if name != "health":
        until(lambda: seen.page.query_selector(".rm-chart svg path"), "a chart is drawn")
    broken = violations(seen.page)
    assert not broken, "\n".join(broken)
    assert wider_than(LOOKS[look], seen) == []
    seen.assert_clean(demo.url)


def wider_than(context: Context, seen: Watched) -> list[str]:
    """What reaches beyond the screen. Measured against the viewport that was asked for:
    `innerWidth` of a phone grows with the page."""
    return list(
        seen.page.evaluate(
            """width => [...document.querySelectorAll('body *')]
            .filter(one => one.getBoundingClientRect().right > width + 1)
            .filter(one => !one.closest('.rm-scroll, .rm-tall, svg'))
            .map(one => `${one.tagName} ${one.className}`)
            .concat(document.documentElement.scrollWidth > width ? ['the page'] : [])""",
            context["viewport"]["width"],
        )
    )


@pytest.mark.parametrize("width", [320, 390, 640])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_a_narrow_screen(
    demo: Demo, open_page: Open, name: str, width: int
) -> None:
    context = {**PHONE, "viewport": {"width": width, "height": 844}}
    seen = open_page(context)
    seen.open(demo.url + PAGES[name])
    until(lambda: has_figures(seen, name), f"figures in {name}")

    assert wider_than(context, seen) == []

    seen.page.evaluate("document.querySelector('main h1').style.width = '2000px'")
    assert "the page" in wider_than(context, seen)  # the control


@pytest.mark.parametrize(("window", "rows"), [("Day", 80), ("Week", 80), ("Hour", 30)])
def test_a_chosen_period_shows_its_own_figures_within_two_seconds(
    demo: Demo, open_page: Open, window: str, rows: int
) -> None:
    seen = open_page(DESKTOP)
    seen.open(demo.url + "/room/kitchen")
    until(lambda: has_figures(seen, "room"), "figures")
    other = "Day" if window == "Hour" else "Hour"
    seen.page.click("summary:has-text('History as a table')")
    period(seen, other).click()
    period(seen, other, pressed=True).wait_for()
    until(lambda: not seen.page.query_selector(".rm-stale"), "the other period is there")
    before = first_row(seen)

    period(seen, window).click()
    seen.page.wait_for_function(
        "before => document.querySelector('.rm-folded tbody th')?.innerText !== before",
        arg=before, timeout=2_000,
    )  # fmt: skip

    assert len(seen.page.query_selector_all(".rm-folded tbody tr")) >= rows
    assert not seen.page.query_selector(".rm-stale")


def period(seen: Watched, name: str, pressed: bool | None = None) -> Locator:
    """Its button: figures, too, tell of an hour or a day."""
    return seen.page.get_by_role("button", name=name, exact=True, pressed=pressed)


def first_row(seen: Watched) -> str:
    return seen.page.inner_text(".rm-folded tbody th >> nth=0")


def test_axe_does_find_what_is_wrong(demo: Demo, open_page: Open) -> None:
    """The control of the test above."""
    seen = open_page(DESKTOP)
    seen.open(demo.url)
    seen.page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert any(line.startswith("image-alt") for line in violations(seen.page))


def test_a_change_in_redis_appears_within_a_second(tmp_path: Path, open_page: Open) -> None:
    with RedisServer() as server, serving(tmp_path, server.url) as served:
        rooms, seen = Rooms(server), open_page(DESKTOP)
        rooms.show("studio", "happiness")
        seen.open(served.url)
        seen.page.wait_for_selector("text=studio")
        waits = []
        for people in (3, 6, 9, 12, 15):
            began_s = time.monotonic()
            rooms.show("studio", "happiness", people=people, camera=f"studio-{people}")
            seen.page.wait_for_function(
                "least => parseFloat(document.querySelector('.rm-figure b')?.innerText) > least",
                arg=people - 1,
            )
            waits.append(time.monotonic() - began_s)
        print("seconds from Redis to the screen:", [round(wait, 2) for wait in waits])
        assert sorted(waits)[2] < 1.0, waits
        rooms.close()
        seen.assert_clean(served.url)


def test_redis_away_is_said_and_got_over(tmp_path: Path, open_page: Open) -> None:
    with RedisServer(appendonly="yes") as server, serving(tmp_path, server.url) as served:
        rooms, seen = Rooms(server), open_page(DESKTOP)
        seen.open(served.url)
        until_shown(seen, rooms)
        server.kill()
        until(lambda: "Redis is away" in seen.text("header"), "it says that Redis is away")
        assert "does not answer" in seen.text("[role=alert]")
        assert "mostly" not in seen.text()
        assert "Not known" in seen.text()
        assert not seen.page.is_visible(".rm-chart-now")
        assert violations(seen.page) == []
        server.start()
        until_shown(seen, rooms)
        assert not seen.page.is_visible("[role=alert]")
        rooms.close()
        seen.assert_clean(served.url)


def test_silent_and_paused_rooms_say_so_and_show_no_old_mood(
    tmp_path: Path, open_page: Open
) -> None:
    with RedisServer() as server, serving(tmp_path, server.url) as served:
        rooms, seen = Rooms(server), open_page(PHONE)
        seen.open(served.url)
        until(lambda: "No room yet" in seen.text(), "it says what to do first")
        until_shown(seen, rooms)
        rooms.fall_silent("studio")
        until(lambda: "Silent." in seen.text(), "it says that it is silent")
        assert "mostly" not in seen.text()
        assert not seen.page.is_visible(".rm-chart-now")
        with server.client() as client:
            client.sadd("roommood:paused", "studio")
        until(lambda: "Paused." in seen.text(), "it says that it is paused")
        assert violations(seen.page) == []
        rooms.close()


def test_markup_that_a_camera_says_of_itself_stays_text(tmp_path: Path, open_page: Open) -> None:
    hostile = "<img src=x onerror=\"document.title='mine'\">"
    with RedisServer() as server, serving(tmp_path, server.url) as served:
        rooms, seen = Rooms(server), open_page(DESKTOP)
        reported = {"room": "studio", "source": hostile, "release": hostile}

        def is_shown() -> bool:
            rooms.health({"studio-1": reported}, {"w1": {"address": hostile}})
            return "<img src=x" in seen.text()

        rooms.show("studio", "happiness", camera="studio-1")
        for path in ("/health", "/room/studio", "/"):
            seen.open(served.url + path)
            until(is_shown, "it is shown as text")
            assert seen.page.query_selector("main img") is None
            assert seen.page.title() != "mine"
        rooms.close()
        seen.assert_clean(served.url)


def test_a_dead_camera_stands_first_with_what_to_do(tmp_path: Path, open_page: Open) -> None:
    with RedisServer() as server, serving(tmp_path, server.url) as served:
        rooms, seen = Rooms(server), open_page(DESKTOP)
        rooms.show("attic", "happiness", camera="attic-1")
        rooms.show("studio", "happiness", camera="studio-1")
        well = {"room": "attic", "source": "ok"}
        rooms.health({"studio-1": {"room": "studio", "source": "ok"}, "attic-1": well}, {})
        seen.open(served.url)
        until(lambda: "attic" in seen.text(), "the rooms are there")
        assert "What is wrong" not in seen.text()

        def is_told() -> bool:
            rooms.health({"attic-1": well}, {})
            return "studio-1 silent" in seen.text()

        until(is_told, "the camera that is gone is named")
        assert "roommood doctor" in seen.text()
        assert seen.page.inner_text(".rm-room h2 >> nth=0") == "studio"
        assert violations(seen.page) == []
        rooms.close()


def test_a_script_that_got_into_the_page_would_not_run(demo: Demo, open_page: Open) -> None:
    seen = open_page(DESKTOP)
    seen.open(demo.url)
    seen.page.evaluate(
        """document.querySelector('main').innerHTML =
        '<img src="data:," onerror="window.mine = true"><svg onload="window.mine = true"></svg>'"""
    )
    until(lambda: any("Content Security Policy" in line for line in seen.logged), "it is refused")
    assert seen.page.evaluate("window.mine") is None


def test_all_can_be_done_with_the_keyboard(demo: Demo, open_page: Open) -> None:
    seen = open_page(DESKTOP)
    seen.open(demo.url)
    keys = seen.page.keyboard
    keys.press("Tab")
    assert focused(seen) == "Skip to main content"
    keys.press("Enter")
    keys.press("Tab")
    assert focused(seen) == "kitchen"
    keys.press("Enter")
    seen.page.wait_for_selector("h1:has-text('kitchen')")
    press(seen, "Day")
    seen.page.wait_for_selector("button:has-text('Day')[aria-pressed=true]")
    until(lambda: "10 minutes" in seen.page.inner_text(".rm-select select"), "its buckets")
    press(seen, "Corrected")
    seen.page.wait_for_selector("button:has-text('Corrected')[aria-pressed=true]")
    seen.page.focus("summary:has-text('History as a table')")
    keys.press("Enter")
    seen.page.wait_for_selector(".rm-folded[open] td")
    seen.page.select_option("label:has-text('Expression') select", "happiness")
    seen.page.select_option("label:has-text('Colour shows') select", "people")
    assert violations(seen.page) == []
    seen.assert_clean(demo.url)


def focused(seen: Watched) -> str:
    return str(seen.page.evaluate("document.activeElement.innerText"))


def press(seen: Watched, name: str) -> None:
    seen.page.focus(f"button:has-text('{name}')")
    seen.page.keyboard.press("Enter")


def test_a_paused_page_stands_still_until_it_goes_on(tmp_path: Path, open_page: Open) -> None:
    with RedisServer() as server, serving(tmp_path, server.url) as served:
        rooms, seen = Rooms(server), open_page(DESKTOP)
        seen.open(served.url)
        until_shown(seen, rooms)
        seen.page.click("button:has-text('Pause')")
        until(lambda: "as of" in seen.text("header"), "it says of when it is")
        rooms.fall_silent("studio")
        rooms.show("hall", "sadness")
        until(lambda: served.room("hall"), "the server knows")
        seen.page.wait_for_timeout(1_500)
        assert "mostly happiness" in seen.text()
        seen.open(served.url + "/health")
        until(lambda: "as of" in seen.text("header"), "the next page is paused as well")
        seen.page.click("button:has-text('Go on')")
        seen.open(served.url)

        def goes_on() -> bool:
            rooms.show("hall", "sadness")  # what is live lasts for seconds
            return "mostly sadness" in seen.text()

        until(goes_on, "it goes on")
        rooms.close()


def test_a_box_that_never_moves_is_told_of_with_the_mask(tmp_path: Path, open_page: Open) -> None:
    with RedisServer() as server, serving(tmp_path, server.url) as served:
        rooms, seen = Rooms(server), open_page(DESKTOP)
        rooms.show("studio", "happiness", camera="studio-1")
        reported = {"studio-1": {"room": "studio", "source": "ok"}}
        rooms.health(reported, {})
        seen.open(served.url + "/room/studio")
        until(lambda: "studio-1" in seen.text(), "its camera is there")
        assert "have not moved" not in seen.text()
        with server.client() as client:
            for key in client.scan_iter("roommood:{studio}:1m:*"):
                client.hincrby(key, "still_us:studio-1", 1_000_000)
        until(lambda: "boxes at once have not moved for an hour" in seen.text(), "it is told")
        assert "masks = [[[" in seen.text()
        assert violations(seen.page) == []
        rooms.close()
