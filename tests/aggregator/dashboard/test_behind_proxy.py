"""What reaches the page through a server in front, and what passes that by."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from roommood.aggregator.dashboard.connections import PATIENCE_S
from roommood.aggregator.dashboard.pages.unopened import MOST_OF_ONE_ADDRESS
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import DashboardSettings
from roommood.shared.process.settings.kinds import public_url
from tests.aggregator.dashboard.served import Served, serving
from tests.aggregator.dashboard.test_guard import WORD, secret, socket_opens
from tests.redis_server import RedisServer

_PUBLIC = "https://home.example/rooms/"
_ORIGIN = "https://home.example"
_BASE = "/rooms"
_ADDRESS = re.compile(r"""(?:src|href|action)=\\?["'](/[^"'\\]*)|url\("(/[^"]*)|"href":"(/[^"]*)""")


@pytest.fixture(scope="module")
def proxied(
    shared_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("proxied")
    with serving(folder, shared_server.url, "--public-url", _PUBLIC) as served:
        yield served


# Who asks


def test_a_name_that_was_made_to_point_here_does_not_pass_the_proxy_by(proxied: Served) -> None:
    refused = proxied.get("/api/health", host="evil.example")
    assert refused.status_code == 421
    assert "'evil.example'" in refused.text
    assert "--public-url" in refused.text
    for host in ("home.example", "home.example:443", f"127.0.0.1:{proxied.port}"):
        assert proxied.get("/api/health", host=host).status_code == 200
    forged = {"x-forwarded-host": "home.example", "x-forwarded-for": "1.2.3.4"}
    assert proxied.get("/api/health", host="evil.example", **forged).status_code == 421


def test_behind_proxy_alone_lets_no_other_name_in(
    shared_server: RedisServer, tmp_path: Path
) -> None:
    with serving(tmp_path, shared_server.url, "--behind-proxy") as served:
        assert served.get("/api/health", host="evil.example").status_code == 421
        assert served.get("/api/health").status_code == 200


def test_a_web_socket_may_come_from_where_people_open_the_page(
    proxied: Served, dashboard: Served
) -> None:
    """Whatever Host the proxy passes on: nginx and Apache put their own there."""
    assert socket_opens(proxied, origin=_ORIGIN)
    assert socket_opens(proxied, origin=_ORIGIN, host="home.example")
    for origin in ("https://evil.example", "http://home.example", f"{_ORIGIN}:8443", "null"):
        assert not socket_opens(proxied, origin=origin)
    assert not socket_opens(dashboard, origin=_ORIGIN)  # the control: it was told of no such name


def test_a_page_learns_whether_it_is_refused(proxied: Served) -> None:
    asked = {origin: _asks(proxied, origin) for origin in (_ORIGIN, "https://evil.example")}
    assert asked == {_ORIGIN: 204, "https://evil.example": 421}


def _asks(served: Served, origin: str) -> int:
    return served.http.post(f"{_BASE}/origin", headers={"origin": origin}).status_code


def test_the_log_says_what_was_refused(proxied: Served) -> None:
    assert not socket_opens(proxied, origin="https://evil.example")
    assert "origin=https://evil.example" in proxied.log.read_text()
    assert "--public-url" in proxied.log.read_text()


def test_a_monitor_is_answered_under_any_name(proxied: Served) -> None:
    assert proxied.get("/healthz", host="").text == "ok\n"
    assert proxied.get(f"{_BASE}/healthz", host="10.0.0.7:80").text == "ok\n"


def test_the_cookie_is_for_that_path_and_for_https_alone(
    shared_server: RedisServer, tmp_path: Path
) -> None:
    options = ("--public-url", _PUBLIC, "--password-file", str(secret(tmp_path, WORD)))
    with serving(tmp_path, shared_server.url, *options) as served:
        asked = served.get("/room/kitchen", accept="text/html")
        assert asked.headers["location"] == f"{_BASE}/login"
        assert f'action="{_BASE}/login"' in served.get("/login").text
        form, sent = {"password": WORD}, {"origin": _ORIGIN}
        answer = served.http.post(f"{_BASE}/login", data=form, headers=sent)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{_BASE}/")
        kept = set(answer.headers["set-cookie"].split("; "))
        assert {f"Path={_BASE}/", "Secure", "HttpOnly"} <= kept


def test_who_has_given_the_password_is_not_asked_again_where_the_last_slash_lacks(
    shared_server: RedisServer, tmp_path: Path
) -> None:
    """The cookie is for what lies below that slash."""
    options = ("--public-url", _PUBLIC, "--password-file", str(secret(tmp_path, WORD)))
    with serving(tmp_path, shared_server.url, *options) as served:
        form, sent = {"password": WORD}, {"origin": _ORIGIN}
        answer = served.http.post(f"{_BASE}/login", data=form, headers=sent)
        cookie = answer.headers["set-cookie"].split(";")[0]
        way = served.get(_BASE, accept="text/html").headers["location"]
        assert way == f"{_BASE}/login"
        assert served.get(way, cookie=cookie).headers["location"] == f"{_BASE}/"
        assert served.get(f"{_BASE}/", cookie=cookie, accept="text/html").status_code == 200
        assert served.get(way).status_code == 200


# Below a path


@pytest.mark.parametrize("passed_on", ["", _BASE])
def test_every_address_of_every_page_is_below_the_path(proxied: Served, passed_on: str) -> None:
    """Whether the proxy takes the path off or leaves it."""
    for path in ("/", "/health", "/room/kitchen", "/nowhere"):
        text = proxied.get(passed_on + path).text
        addresses = {a or b or c for a, b, c in _ADDRESS.findall(text)}
        assert len(addresses) >= 3, text
        assert [address for address in addresses if not address.startswith(f"{_BASE}/")] == []
        for address in addresses:
            asked = address if passed_on else address.removeprefix(_BASE)
            assert proxied.get(asked).status_code == 200, asked
    assert proxied.get(f"{passed_on}/api/nothing").status_code == 404
    assert proxied.json(f"{passed_on}/api/openapi.json")["servers"] == [{"url": _BASE}]


def test_no_header_makes_a_page_load_from_elsewhere(proxied: Served, dashboard: Served) -> None:
    for served in (proxied, dashboard):
        assert "evil" not in served.get("/", **{"x-forwarded-prefix": "//evil.example"}).text


def test_a_slash_too_many_is_not_answered_by_an_address_that_a_proxy_hides(
    proxied: Served,
) -> None:
    for path in ("/health/", "/room/kitchen/", f"{_BASE}/health/", _BASE):
        assert proxied.get(path).status_code == 200


def test_addresses_are_as_browsers_write_them() -> None:
    written = {
        "https://Rooms.Example:443/": "https://rooms.example",
        "http://bücher.example:8080": "http://xn--bcher-kva.example:8080",
        "https://[::1]:8443/a/b/": "https://[::1]:8443/a/b",
    }
    assert {given: public_url().check(given) for given in written} == written
    for wrong in (
        "rooms.example",
        "https://",
        "ftp://a/",
        "https://a/?b",
        "https://me@a/",
        "https://a:x",
    ):
        with pytest.raises(ValueError, match="as people open it"):
            public_url().check(wrong)
    with pytest.raises(ValueError, match="another path"):
        public_url().check("https://a/health/")


def test_all_public_addresses_have_one_path() -> None:
    with pytest.raises(ConfigError, match="the same path"):
        DashboardSettings(public_urls=("https://a", "https://b/rooms"))
    with pytest.raises(ConfigError, match="pass the proxy by"):
        DashboardSettings(bind="0.0.0.0:5780", public_urls=("https://a",))


# How it is asked


@pytest.mark.parametrize("path", ["/", "/health", "/api/rooms", "/api/events", "/healthz"])
def test_head_is_answered_as_get_without_a_body(proxied: Served, path: str) -> None:
    answer = proxied.http.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-frame-options"] == "DENY"


def test_a_proxys_connection_may_rest(proxied: Served, dashboard: Served) -> None:
    """Cut as the next request sets out, it would make the proxy answer 502."""
    with _asked_once(proxied) as resting, _asked_once(dashboard) as other:
        other.settimeout(3 * PATIENCE_S)
        assert other.recv(1) == b""  # the control: nobody's proxy
        resting.settimeout(1.0)
        with pytest.raises(TimeoutError):
            resting.recv(1)
        resting.settimeout(20.0)
        _ask(resting)


def _asked_once(served: Served) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", served.port), timeout=20.0)
    _ask(opened)
    return opened


def _ask(opened: socket.socket) -> None:
    opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    answer = b""
    while not answer.endswith(b"ok\n"):
        more = opened.recv(4096)
        assert more, answer
        answer += more


def test_the_style_sheet_is_asked_for_anew_after_an_upgrade(proxied: Served) -> None:
    sheet = proxied.get("/assets/dashboard.css")
    assert sheet.headers["cache-control"] == "no-cache"
    known = {"if-none-match": sheet.headers["etag"]}
    assert proxied.get("/assets/dashboard.css", **known).status_code == 304


def test_a_page_that_found_no_place_asks_again_by_itself(
    shared_server: RedisServer, tmp_path: Path
) -> None:
    """All pages of a proxy that does not say for whom it asks, after a restart."""
    with serving(tmp_path, shared_server.url, "--behind-proxy") as served:
        answers = [served.get("/") for _ in range(MOST_OF_ONE_ADDRESS + 1)]
    assert [answer.status_code for answer in answers[-2:]] == [200, 503]
    assert int(answers[-1].headers["refresh"]) <= 30
