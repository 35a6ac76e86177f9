"""The password, given in a real browser, which decides what it says of where a form comes from."""

from pathlib import Path

import pytest

from tests.aggregator.dashboard.served import serving
from tests.aggregator.dashboard.test_guard import WORD, secret
from tests.aggregator.rooms import Rooms
from tests.browser.chromium import DESKTOP, until, violations
from tests.browser.conftest import Open
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def test_a_person_gives_the_password_and_sees_the_rooms(tmp_path: Path, open_page: Open) -> None:
    word = str(secret(tmp_path, WORD))
    with RedisServer() as server, serving(tmp_path, server.url, "--password-file", word) as served:
        rooms, seen = Rooms(server), open_page(DESKTOP)
        rooms.show("studio", "happiness")
        seen.open(served.url)
        assert seen.page.url == f"{served.url}/login"
        assert violations(seen.page) == []
        seen.page.keyboard.type("not the password")  # the field has the focus
        seen.page.keyboard.press("Enter")
        until(lambda: "That is not the password." in seen.text(), "a wrong one is said to be wrong")
        seen.page.keyboard.type(WORD)
        seen.page.keyboard.press("Enter")
        until(lambda: "studio" in seen.text(), "the rooms are shown")
        until(lambda: seen.text(".rm-status").startswith("live"), "the page is live")
        rooms.close()


def test_a_page_whose_password_is_forgotten_asks_for_it_by_itself(
    tmp_path: Path, open_page: Open
) -> None:
    """A server that starts anew knows nobody; an open page would try to reconnect for ever."""
    options = ("--password-file", str(secret(tmp_path, WORD)))
    with RedisServer() as server:
        rooms, seen = Rooms(server), open_page(DESKTOP)
        rooms.show("studio", "happiness")
        with serving(tmp_path, server.url, *options) as served:
            seen.open(served.url)
            seen.page.keyboard.type(WORD)
            seen.page.keyboard.press("Enter")
            until(lambda: "studio" in seen.text(), "the rooms are shown")
        with serving(tmp_path, server.url, *options, port=served.port):
            seen.page.wait_for_url("**/login")
            seen.page.wait_for_selector("#password")
            seen.page.keyboard.type(WORD)
            seen.page.keyboard.press("Enter")
            until(lambda: "studio" in seen.text(), "the rooms are shown again")
        rooms.close()
