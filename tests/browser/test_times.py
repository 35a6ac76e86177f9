"""By whose clock the page tells times, and which spans can be picked on it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from roommood.aggregator.stats.calendar import parse_span
from roommood.aggregator.stats.room_stats import RoomStats
from tests.aggregator.dashboard.served import serving
from tests.aggregator.rooms import Rooms
from tests.browser.chromium import DESKTOP, Watched, until, violations
from tests.browser.conftest import Demo, Open
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
KOLKATA = "Asia/Kolkata"
HISTORY = "section[aria-labelledby=history]"


def until_read(seen: Watched, words: str) -> None:
    until(lambda: words in seen.text(f"{HISTORY} .rm-note >> nth=0"), f"{words!r} is told")
    until(lambda: not seen.page.query_selector(".rm-stale"), "its figures are there")


@pytest.mark.parametrize(
    ("options", "message"),
    [((), f"{KOLKATA}, your browser's"),
     (("--timezone", "America/New_York"), "America/New_York, as it is set here")],
)  # fmt: skip
def test_times_are_the_browsers_own_unless_the_page_was_told_others(
    tmp_path: Path, open_page: Open, options: tuple[str, ...], message: str
) -> None:
    with RedisServer() as server, serving(tmp_path, server.url, *options) as served:
        rooms, seen = Rooms(server), open_page({**DESKTOP, "timezone_id": KOLKATA})
        rooms.show("studio", "happiness")
        # Chromium's own name of that zone is an older one.
        asked = "Intl.DateTimeFormat().resolvedOptions().timeZone"
        seen.open(served.url + "/room/studio")
        browsers = seen.page.evaluate(asked)
        message = message.replace(KOLKATA, browsers)
        until(lambda: message in seen.text("footer"), "it says which zone")
        zone = ZoneInfo(message.partition(",")[0])
        hour = datetime.now(zone) - timedelta(hours=1)
        until_read(seen, f"{hour:%a %d %b %Y %H:}")
        until(lambda: f"Hours are {zone.key}" in seen.text(), "the days' hours are told so too")
        rooms.fall_silent("studio")
        last = f"{datetime.now(zone):%H:}"
        until(lambda: f"the last result came {last}" in seen.text(), "so is the last result")
        rooms.close()


def test_a_day_that_is_picked_shows_what_the_commands_tell_of_it(
    demo: Demo, open_page: Open
) -> None:
    seen = open_page({**DESKTOP, "timezone_id": KOLKATA})
    seen.open(demo.url + "/room/kitchen")
    until_read(seen, "to")
    zone = ZoneInfo(KOLKATA)
    picked = (datetime.now(zone) - timedelta(days=3)).date()

    seen.page.click("button:has-text('A day')")
    seen.page.fill(f"{HISTORY} input[type=date]", picked.isoformat())
    until_read(seen, f"{picked:%a %d %b %Y} 00:00")
    assert "Frames" in seen.text()

    span = parse_span(picked.isoformat(), picked.isoformat(), datetime.now(UTC), zone)
    with RoomStats(demo.redis_url) as stats:
        (period,) = stats.periods_of("kitchen", [span])
    assert figure(seen, "Frames") == period.frames
    assert violations(seen.page) == []
    seen.assert_clean(demo.url)


def figure(seen: Watched, name: str) -> int:
    facts = seen.page.locator(f"{HISTORY} .rm-facts > div", has_text=name)
    return int("".join(filter(str.isdigit, facts.locator("dd").first.inner_text())))


def test_this_week_stands_beside_the_last(demo: Demo, open_page: Open) -> None:
    seen = open_page(DESKTOP)
    seen.open(demo.url + "/room/kitchen")
    until_read(seen, "to")
    seen.page.click("button:has-text('This week')")
    seen.page.select_option("label:has-text('Beside it') select", "before")

    until(lambda: "Before: Mon" in seen.text(HISTORY), "the last week is there")
    before = seen.page.locator(f"{HISTORY} .rm-before")
    assert before.count() == 7
    assert "%" in seen.page.inner_text(f"{HISTORY} .rm-narrow tbody tr >> nth=0 >> td >> nth=2")
    assert violations(seen.page) == []

    seen.page.select_option("label:has-text('Beside it') select", "alone")
    until(lambda: before.count() == 0, "it is gone again")


def test_what_is_shown_can_be_saved_as_a_report(demo: Demo, open_page: Open) -> None:
    seen = open_page({**DESKTOP, "timezone_id": "Europe/Berlin"})
    seen.open(demo.url + "/room/kitchen")
    until_read(seen, "to")
    seen.page.click("button:has-text('Yesterday')")
    yesterday = datetime.now(ZoneInfo("Europe/Berlin")) - timedelta(days=1)
    until_read(seen, f"{yesterday:%a %d %b %Y} 00:00")
    with seen.page.expect_download() as download:
        seen.page.click("a:has-text('report to send')")
    assert download.value.suggested_filename == f"kitchen-{yesterday:%Y-%m-%d}.html"
    text = Path(download.value.path()).read_text()
    assert "How to read it" in text
    assert "http" not in text.replace("<!doctype html>", "")
