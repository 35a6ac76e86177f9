"""What may be set on the page, through a login that may write that and nothing else."""

from pathlib import Path

import pytest

from roommood.aggregator.redis import keys as redis_keys
from tests.aggregator.dashboard.served import operator_of, reader_of, serving
from tests.aggregator.rooms import Rooms
from tests.browser.chromium import DESKTOP, PHONE, until, violations
from tests.browser.conftest import Open
from tests.browser.switches import SWITCHES, choose
from tests.browser.test_dashboard import wider_than
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def test_a_room_and_a_camera_are_paused_on_the_page(tmp_path: Path, open_page: Open) -> None:
    with RedisServer() as server:
        options = (*reader_of(server, tmp_path), *operator_of(server, tmp_path))
        with serving(tmp_path, *options) as served, server.client() as client:
            rooms, seen = Rooms(server), open_page(DESKTOP)
            rooms.show("studio", "happiness", camera="studio-1")
            rooms.health({"studio-1": {"room": "studio", "source": "ok"}}, {})
            seen.open(served.url + "/room/studio")
            until(lambda: "studio-1" in seen.text(SWITCHES), "its camera has a switch")
            assert violations(seen.page) == []

            choose(seen, "Camera studio-1", "Paused")
            until(lambda: client.smembers(redis_keys.PAUSED_CAMERAS) == {"studio-1"}, "paused")
            assert not client.smembers(redis_keys.PAUSED)
            choose(seen, "Camera studio-1", "On")
            until(lambda: not client.smembers(redis_keys.PAUSED_CAMERAS), "resumed")

            choose(seen, "Whole room", "Paused")
            until(lambda: client.smembers(redis_keys.PAUSED) == {"studio"}, "the room is paused")
            until(lambda: "Paused." in seen.text("section[aria-labelledby=now]"), "it says so")
            client.srem(redis_keys.PAUSED, "studio")  # somebody else
            looks = f"{SWITCHES} [aria-label='Whole room'] button:has-text('On')[aria-pressed=true]"
            until(lambda: seen.page.query_selector(looks), "what others set is shown")
            rooms.close()
            seen.assert_clean(served.url)


def test_views_group_and_quiet_hours_are_set_on_the_page(tmp_path: Path, open_page: Open) -> None:
    context = {**PHONE, "timezone_id": "Europe/Berlin"}
    with RedisServer() as server:
        options = (*reader_of(server, tmp_path), *operator_of(server, tmp_path))
        with serving(tmp_path, *options) as served, server.client() as client:
            rooms, seen = Rooms(server), open_page(context)
            rooms.show("studio", "happiness")
            seen.open(served.url + "/room/studio")
            until(lambda: "Europe/Berlin" in seen.text("footer"), "the browser's zone is known")
            choose(seen, "Its cameras see", "each its own")
            until(lambda: client.hgetall(redis_keys.VIEWS) == {"studio": "apart"}, "apart")
            seen.page.fill(f"{SWITCHES} label:has-text('Group') input", "first floor")
            seen.page.wait_for_timeout(500)
            seen.page.click("button:has-text('Set group')")
            until(lambda: client.hgetall(redis_keys.GROUPS) == {"studio": "first floor"}, "group")
            field = f"{SWITCHES} label:has-text('Quiet hours') input"
            seen.page.fill(field, "nights")
            seen.page.wait_for_timeout(500)
            seen.page.click("button:has-text('Set quiet hours')")
            until(lambda: "not a span of time" in seen.text(SWITCHES), "what is wrong is said")
            assert not client.hgetall(redis_keys.QUIET_HOURS)
            seen.page.fill(field, "mon-sun 00:00-24:00")
            seen.page.wait_for_timeout(500)
            seen.page.click("button:has-text('Set quiet hours')")
            kept = {"studio": "Europe/Berlin; mon-sun 00:00-24:00"}
            until(lambda: client.hgetall(redis_keys.QUIET_HOURS) == kept, "the hours are kept")
            until(lambda: "Quiet hours." in seen.text("section[aria-labelledby=now]"), "told")
            assert wider_than(context, seen) == []
            rooms.close()


def test_a_page_without_that_login_only_reads(tmp_path: Path, open_page: Open) -> None:
    with RedisServer() as server, serving(tmp_path, *reader_of(server, tmp_path)) as served:
        rooms, seen = Rooms(server), open_page(DESKTOP)
        rooms.show("studio", "happiness")
        seen.open(served.url + "/room/studio")
        until(lambda: "History" in seen.text(), "the page is there")
        assert seen.page.query_selector(SWITCHES) is None
        rooms.close()
