"""The page behind a real nginx, below a path, with TLS and a password of the proxy's."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Request

from roommood.aggregator.redis import keys as redis_keys
from tests.aggregator.dashboard import proxies
from tests.aggregator.dashboard.served import operator_of, reader_of, serving
from tests.aggregator.rooms import Rooms
from tests.browser.chromium import DESKTOP, PATIENCE_S, PHONE, Context, Watched, until, violations
from tests.browser.conftest import Open
from tests.browser.switches import SWITCHES
from tests.browser.test_dashboard import wider_than
from tests.ports import free_port
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

_PATH = "/rooms/"
_LET_IN: Context = {
    "http_credentials": {"username": proxies.USER, "password": proxies.PASSWORD},
    "ignore_https_errors": True,
}
# What a browser says of a web socket that did not open; the page then asks again and again.
_NO_SOCKET = re.compile("WebSocket connection to .* failed")


@pytest.mark.parametrize("passes_web_sockets", [True, False], ids=["web sockets", "HTTP/1.0"])
@pytest.mark.parametrize("context", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_is_live_and_its_switches_act(
    tmp_path: Path, open_page: Open, context: Context, passes_web_sockets: bool
) -> None:
    port = free_port()
    url = f"https://127.0.0.1:{port}{_PATH}"
    proxy = proxies.nginx_below(_PATH, passes_web_sockets=passes_web_sockets)
    with RedisServer() as server, server.client() as client:
        options = (*reader_of(server, tmp_path), *operator_of(server, tmp_path))
        with (
            serving(tmp_path, *options, "--public-url", url) as served,
            proxies.running(proxy, port, served.port),
        ):
            rooms, seen = Rooms(server), open_page({**context, **_LET_IN})
            rooms.show("studio", "happiness")
            seen.open(url)
            until(lambda: "happiness" in seen.text(), "the room is shown")
            for _ in range(4):
                rooms.show("studio", "anger", people=3)
            until(lambda: "anger" in seen.text(), "a change is shown")
            _press(seen, "a[href$='/room/studio']")
            seen.page.wait_for_url(f"{url}room/studio")
            until(lambda: "live" in seen.text(".rm-status"), "the room's page is live")
            assert violations(seen.page) == []
            assert wider_than(context, seen) == []
            _press(seen, f"{SWITCHES} [aria-label='Whole room'] button:has-text('Paused')")
            until(lambda: client.smembers(redis_keys.PAUSED) == {"studio"}, "the room is paused")
            until(lambda: "Paused." in seen.text("section[aria-labelledby=now]"), "it says so")
            _press(seen, "nav a:has-text('Cameras')")
            seen.page.wait_for_url(f"{url}health")
            rooms.close()
            seen.logged = [line for line in seen.logged if not _NO_SOCKET.search(line)]
            seen.assert_clean(url)


def _press(seen: Watched, selector: str) -> None:
    """As somebody does who has a keyboard alone."""
    seen.page.wait_for_selector(selector)
    for _ in range(80):
        seen.page.keyboard.press("Tab")
        if seen.page.eval_on_selector(selector, "element => element === document.activeElement"):
            seen.page.keyboard.press("Enter")
            return
    raise AssertionError(f"no way by Tab to {selector}")


def test_a_page_that_is_refused_for_its_address_says_what_to_do(
    tmp_path: Path, open_page: Open
) -> None:
    """As behind an nginx of few lines, of which the page was not told."""
    port = free_port()
    url = f"https://127.0.0.1:{port}/"
    with (
        RedisServer() as server,
        serving(tmp_path, *reader_of(server, tmp_path)) as served,
        proxies.running(proxies.nginx, port, served.port),
    ):
        seen = open_page({**DESKTOP, **_LET_IN})
        seen.open(url)
        until(lambda: "--public-url" in seen.text("body"), "it says what to do")
        assert f"Origin '{url.rstrip('/')}'" in seen.text("[role=alert]:has-text('Origin')")
        until(lambda: "live" not in seen.text(".rm-status"), "it does not call itself live")


def test_where_loading_it_anew_does_not_help_that_is_not_done_again_and_again(
    tmp_path: Path, open_page: Open
) -> None:
    """As behind a server that lets pages through, and sends all else to where people log in."""
    with RedisServer() as server, serving(tmp_path, *reader_of(server, tmp_path)) as served:
        seen = open_page(DESKTOP)
        loads: list[Request] = []
        seen.page.on("request", lambda r: loads.append(r) if r.is_navigation_request() else None)

        elsewhere = {"location": "/somewhere"}
        seen.page.route("**/origin", lambda route: route.fulfill(status=302, headers=elsewhere))
        seen.page.route("**/_nicegui_ws/**", lambda route: route.abort())
        seen.page.route_web_socket(re.compile("_nicegui_ws"), lambda socket: socket.close())
        seen.open(served.url)
        for _ in range(5):
            with seen.page.expect_request("**/origin", timeout=PATIENCE_S * 1_000):
                pass
        assert len(loads) == 2
