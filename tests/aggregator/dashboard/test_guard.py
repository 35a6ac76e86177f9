"""Who may look: each protection, and that without it the same would be let through."""

import asyncio
import base64
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import websockets
from nicegui import Client

from roommood.aggregator.dashboard.connections import MOST_OF_ONE_ADDRESS
from roommood.aggregator.dashboard.guard import COOKIE
from roommood.aggregator.dashboard.sessions import SESSION_S, Sessions
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import DashboardSettings
from roommood.shared.process.settings.readers import is_local
from tests.aggregator.dashboard.served import Served, serving
from tests.ports import free_port
from tests.redis_server import RedisServer

WORD = "open sesame, please"
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@pytest.fixture(scope="session")
def closed(
    shared_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A dashboard with a password, at an address that is not loopback."""
    folder = tmp_path_factory.mktemp("closed")
    word = secret(folder, WORD)
    with serving(folder, shared_server.url, "--password-file", str(word), bind="0.0.0.0") as served:
        yield served


def secret(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "password"
    path.write_text(f"{text}\n")
    path.chmod(mode)
    return path


def password_from(path: Path) -> str | None:
    return DashboardSettings(password_file=path).password


def basic(word: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"me:{word}".encode()).decode()}


def log_in(served: Served, word: str, **headers: str) -> httpx.Response:
    with httpx.Client(base_url=served.url, timeout=20.0) as fresh:
        return fresh.post("/login", data={"password": word}, headers=headers)


# Where it listens


@pytest.mark.parametrize("bind", ["0.0.0.0:5780", "192.168.1.5:5780", "*:5780", "[::]:5780"])
def test_an_address_that_others_reach_needs_a_password_or_a_proxy(
    bind: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        DashboardSettings(bind=bind)
    with pytest.raises(ConfigError, match="pass the proxy by"):
        DashboardSettings(bind=bind, behind_proxy=True)
    assert DashboardSettings(bind=bind, password_file=secret(tmp_path, WORD)).password == WORD


@pytest.mark.parametrize("bind", ["127.0.0.1:5780", "localhost:5780", "[::1]:5780"])
def test_loopback_needs_neither(bind: str) -> None:
    assert is_local(DashboardSettings(bind=bind).bind)


def test_a_password_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        password_from(secret(tmp_path, WORD, mode=0o640))
    assert password_from(secret(tmp_path, WORD)) == WORD


@pytest.mark.parametrize("text", ["", "short"])
def test_a_short_password_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="8 characters"):
        password_from(secret(tmp_path, text))


def test_a_password_file_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    """Not with the first question, as an error 500 and a traceback."""
    code = "from roommood.aggregator.dashboard.cli import main; main()"
    words = ("--bind", f"127.0.0.1:{free_port()}", "--password-file", secret(tmp_path, "short"))
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "8 characters or more" in done.stderr) == (2, True)


# The password


@pytest.mark.parametrize(
    "path",
    ["/", "/health", "/room/kitchen", "/api/rooms", "/api/health", "/api/events",
     "/api/openapi.json", "/nowhere", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"],
)  # fmt: skip
def test_without_the_password_nothing_is_shown(
    closed: Served, dashboard: Served, path: str
) -> None:
    assert closed.get(path).status_code == 401
    to_login = closed.get(path, accept="text/html")
    assert (to_login.status_code, to_login.headers["location"]) == (303, "/login")
    if path != "/api/events":  # which never ends
        assert dashboard.get(path).status_code != 401  # the control: one without a password


def test_a_program_gives_the_password_with_each_request(closed: Served) -> None:
    assert closed.get("/api/health", **basic(WORD)).status_code == 200
    assert closed.get("/api/health", **basic("open sesame")).status_code == 401
    assert closed.get("/api/health", authorization="Basic %%%").status_code == 401
    assert "Basic" in closed.get("/api/health").headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/origin", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"])
def test_an_open_page_is_not_asked_for_it_as_a_program_is(closed: Served, path: str) -> None:
    """For that a browser puts up a box of its own, and waits."""
    answer = closed.http.post(path)
    assert answer.status_code == 401
    assert "Basic" not in answer.headers["www-authenticate"]
    assert closed.http.post("/origin", headers=basic(WORD)).status_code == 204


def test_a_person_gives_it_once(closed: Served) -> None:
    assert log_in(closed, "not the password").status_code == 401
    answer = log_in(closed, WORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    token = answer.cookies[COOKIE]
    assert closed.get("/api/health", cookie=f"{COOKIE}={token}").status_code == 200
    assert closed.get("/api/health", cookie=f"{COOKIE}={token[:-1]}x").status_code == 401


def test_a_form_of_another_site_is_refused(closed: Served) -> None:
    assert log_in(closed, WORD, origin="http://evil.example").status_code == 421
    assert log_in(closed, WORD, origin=closed.url).status_code == 303


def test_a_form_that_is_too_long_is_not_read_on(closed: Served) -> None:
    assert log_in(closed, WORD + "x" * 10_000).status_code == 401


def test_a_token_ends_after_a_week_and_the_oldest_makes_room() -> None:
    now_s = [0.0]
    sessions = Sessions(WORD, lambda: now_s[0])
    first = sessions.begin()
    now_s[0] = SESSION_S - 1.0
    assert sessions.holds(first)
    now_s[0] = SESSION_S + 1.0
    assert not sessions.holds(first)
    tokens = [sessions.begin() for _ in range(1_001)]
    assert not sessions.holds(tokens[0])
    assert sessions.holds(tokens[1])
    sessions.end(tokens[1])
    assert not sessions.holds(tokens[1])


# Other sites


def socket_opens(served: Served, **headers: str) -> bool:
    async def opens() -> bool:
        url = served.url.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        try:
            async with websockets.connect(url, additional_headers=headers):
                return True
        except websockets.InvalidStatus:
            return False

    return asyncio.run(opens())


def test_a_web_socket_of_another_site_is_refused(dashboard: Served) -> None:
    assert not socket_opens(dashboard, origin="http://evil.example")
    assert socket_opens(dashboard, origin=dashboard.url)


def test_a_web_socket_needs_the_password_too(closed: Served) -> None:
    assert not socket_opens(closed)
    assert socket_opens(closed, **basic(WORD))


def test_a_name_that_was_made_to_point_here_is_refused(dashboard: Served, closed: Served) -> None:
    assert dashboard.get("/api/rooms", host=f"evil.example:{dashboard.port}").status_code == 421
    assert dashboard.get("/api/rooms", host="[::1").status_code == 421
    for host in ("localhost", "127.0.0.1", "[::1]"):
        for port in ("", f":{dashboard.port}"):
            assert dashboard.get("/api/rooms", host=host + port).status_code == 200
    # With a password any name will do: a page elsewhere has no session under that name.
    assert closed.get("/api/rooms", host="desk.example", **basic(WORD)).status_code == 200


# What the browser is told


@pytest.mark.parametrize(
    "path", ["/", "/health", "/api/rooms", "/login", "/nowhere", "/assets/dashboard.css"]
)
def test_every_answer_carries_the_security_headers(dashboard: Served, path: str) -> None:
    answer = dashboard.get(path)
    assert HEADERS.items() <= dict(answer.headers).items()
    policy = answer.headers["content-security-policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "connect-src 'self'"):
        assert part in policy
    scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert "'unsafe-inline'" not in scripts
    assert "http" not in policy  # no other host


def test_each_page_has_a_nonce_of_its_own_on_every_script(dashboard: Served) -> None:
    pages = [dashboard.get("/", **{"accept-encoding": coding}) for coding in ("gzip", "identity")]
    nonces = [
        answer.headers["content-security-policy"].partition("nonce-")[2][:22] for answer in pages
    ]
    assert len(set(nonces)) == 2
    for page, nonce in zip(pages, nonces, strict=True):
        assert page.text.count("<script") == page.text.count(f'<script nonce="{nonce}"') > 3


def test_a_page_names_no_other_host(dashboard: Served) -> None:
    text = dashboard.get("/").text.replace("http://www.w3.org/", "")
    assert "http://" not in text
    assert "https://" not in text


def test_pages_are_not_kept_by_the_browser(dashboard: Served) -> None:
    assert dashboard.get("/").headers["cache-control"] == "no-store"
    assert dashboard.get("/api/rooms").headers["cache-control"] == "no-store"


def test_what_nicegui_counts_as_open_pages_is_what_we_bound() -> None:
    assert isinstance(Client.instances, dict)


# Others at the same door


def test_wrong_passwords_of_others_keep_nobody_out(closed: Served) -> None:
    """From an address of their own: everybody else's right one is right."""
    guesser = httpx.HTTPTransport(local_address="127.0.0.2")
    stranger = httpx.Client(base_url=closed.url, transport=guesser, timeout=20.0)
    with stranger, ThreadPoolExecutor(10) as pool:
        guesses = [
            pool.submit(stranger.get, "/api/health", headers=basic(f"no {n}")) for n in range(20)
        ]
        assert closed.get("/api/health", **basic(WORD)).status_code == 200
        assert {guess.result().status_code for guess in guesses} == {401}
    assert closed.get("/api/health", **basic(WORD)).status_code == 200


def test_half_a_request_is_cut(dashboard: Served) -> None:
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=30.0) as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert half.recv(1) == b""


def test_one_address_holds_only_so_many_places(dashboard: Served) -> None:
    held = [
        socket.create_connection(
            ("127.0.0.1", dashboard.port), timeout=30.0, source_address=("127.0.0.3", 0)
        )
        for _ in range(MOST_OF_ONE_ADDRESS + 5)
    ]
    try:
        assert held[-1].recv(1) == b""
        assert dashboard.get("/healthz").status_code == 200
    finally:
        for connection in held:
            connection.close()


def test_what_is_no_http_fills_no_log(shared_server: RedisServer, tmp_path: Path) -> None:
    """As of a port scanner, or of browsers that ask for TLS."""
    with serving(tmp_path, shared_server.url) as served:
        for _ in range(40):
            with socket.create_connection(("127.0.0.1", served.port), timeout=20.0) as asking:
                asking.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
                asking.recv(4096)
        log = served.log.read_text()
    assert 1 <= log.count("Invalid HTTP request") <= 10


def test_a_changed_password_shuts_out_who_came_in_by_the_old_one(
    shared_server: RedisServer, tmp_path: Path
) -> None:
    word = secret(tmp_path, WORD)
    with serving(tmp_path, shared_server.url, "--password-file", str(word)) as served:
        cookie = {COOKIE: log_in(served, WORD).cookies[COOKIE]}

        def status(
            cookies: dict[str, str] | None = None, headers: dict[str, str] | None = None
        ) -> int:
            url = f"{served.url}/api/rooms"
            return httpx.get(url, timeout=20.0, cookies=cookies, headers=headers).status_code

        assert status(cookies=cookie) == status(headers=basic(WORD)) == 200
        secret(tmp_path, "short")
        assert status(cookies=cookie) == status(headers=basic(WORD)) == 200, "unusable: no change"
        word.unlink()
        assert (status(), status(headers=basic(WORD))) == (401, 200)
        secret(tmp_path, "another one, please")
        assert (status(cookies=cookie), status(headers=basic(WORD))) == (401, 401)
        assert status(headers=basic("another one, please")) == 200
