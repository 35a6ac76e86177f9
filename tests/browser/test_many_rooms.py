"""More rooms than fit: a list that can be searched, what is silent or wrong first."""

from pathlib import Path

import pytest

from roommood.aggregator.counting.store import Store
from tests.aggregator.dashboard.served import serving
from tests.aggregator.rooms import Rooms
from tests.browser.chromium import DESKTOP, PHONE, Watched, until, violations
from tests.browser.conftest import Open
from tests.browser.test_dashboard import wider_than
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
COUNT = 130


def shown(seen: Watched) -> list[str]:
    return seen.page.locator(".rm-list tbody th").all_inner_texts()


def test_many_rooms_are_a_list_that_can_be_searched(tmp_path: Path, open_page: Open) -> None:
    with RedisServer() as server, serving(tmp_path, server.url) as served:
        rooms, seen, store = Rooms(server), open_page(DESKTOP), Store(server.url)
        names = [f"{'office' if number % 2 else 'ward'}-{number:03d}" for number in range(COUNT)]
        for name in names:
            rooms.show(name, "happiness")
        store.set_group("ward-128", "first floor")
        store.set_group("office-127", "first floor")
        seen.open(served.url)
        until(lambda: len(shown(seen)) == 100, "the first hundred are there")
        assert f"{COUNT} of {COUNT}" in seen.text()

        seen.page.click("button:has-text('Show more: 30')")
        until(lambda: len(shown(seen)) == COUNT, "all are there")
        seen.page.fill("input[type=search]", "OFFICE-12")
        until(lambda: sorted(shown(seen)) == [f"office-12{n}" for n in (1, 3, 5, 7, 9)], "found")
        seen.page.fill("input[type=search]", "")
        seen.page.select_option("label:has-text('Group') select", "first floor")
        until(lambda: sorted(shown(seen)) == ["office-127", "ward-128"], "the group alone")
        assert violations(seen.page) == []

        seen.page.click("button:has-text('Cards')")
        until(lambda: seen.page.locator(".rm-room").count() == 2, "the group as cards")
        seen.open(served.url)
        until(lambda: seen.page.locator(".rm-room").count() == 24, "the tab remembers: cards")
        seen.page.click("button:has-text('List')")

        def first_is_silent() -> bool:
            for name in names[:-1]:
                rooms.show(name, "happiness")
            rooms.fall_silent(names[-1])
            return shown(seen)[:1] == names[-1:]

        until(first_is_silent, "the one that is silent stands first")
        rooms.close()
        store.close()
        seen.assert_clean(served.url)


def test_the_list_fits_a_phone(tmp_path: Path, open_page: Open) -> None:
    context = {**PHONE, "viewport": {"width": 320, "height": 700}}
    with RedisServer() as server, serving(tmp_path, server.url) as served:
        rooms, seen = Rooms(server), open_page(context)
        for number in range(30):
            rooms.show(f"a-room-with-a-name-{number}", "happiness")
        seen.open(served.url)
        until(lambda: len(shown(seen)) == 30, "all are there")
        assert wider_than(context, seen) == []
        height = seen.page.evaluate(
            "document.querySelectorAll('.rm-list tr')[5].getBoundingClientRect().height"
        )
        assert height < 90
        rooms.close()
