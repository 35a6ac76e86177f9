"""The page behind real proxies that run as docs/dashboard.md prints them; who has none skips."""

import asyncio
import functools
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets

from tests.aggregator.dashboard import proxies
from tests.aggregator.dashboard.served import Served, serving
from tests.aggregator.dashboard.test_guard import basic
from tests.aggregator.rooms import Rooms
from tests.end_to_end.site import until
from tests.ports import free_port
from tests.redis_server import RedisServer

_SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
_ME = basic(proxies.PASSWORD)


class Behind:
    """The page through a proxy, asked as if its name led there."""

    def __init__(self, served: Served, port: int) -> None:
        self.served = served
        self.origin = f"https://{proxies.NAME}:{port}"
        self._port = port
        self.http = httpx.Client(
            base_url=f"https://127.0.0.1:{port}", verify=False, timeout=20.0,
            headers={"host": self.origin.removeprefix("https://")},
        )  # fmt: skip

    def get(self, path: str, **headers: str) -> httpx.Response:
        sni = {"sni_hostname": proxies.NAME}
        return self.http.get(path, headers=headers, extensions=sni)

    def is_there(self) -> bool:
        """Some listen before they have their certificate."""
        try:
            return self.get("/healthz", **_ME).status_code == 200
        except httpx.TransportError:
            return False

    def socket_opens(self, origin: str) -> bool:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE

        async def opens() -> bool:
            url = self.origin.replace("https", "wss") + _SOCKET
            led = functools.partial(websockets.connect, host="127.0.0.1", port=self._port)
            try:
                async with led(url, ssl=tls, additional_headers={"origin": origin, **_ME}):
                    return True
            except websockets.InvalidStatus:
                return False

        return asyncio.run(opens())


@pytest.fixture(scope="module", params=proxies.ALL, ids=lambda proxy: proxy.__name__)
def behind(
    request: pytest.FixtureRequest,
    shared_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Behind]:
    folder: Path = tmp_path_factory.mktemp("proxy")
    port = free_port()
    public = f"https://{proxies.NAME}:{port}/"
    with (
        serving(folder, shared_server.url, "--public-url", public) as served,
        proxies.running(request.param, port, served.port),
    ):
        through = Behind(served, port)
        until(through.is_there, "it has found the page")
        yield through
        through.http.close()


def test_the_proxy_asks_for_the_password_and_the_page_does_not(behind: Behind) -> None:
    assert behind.get("/api/health").status_code == 401
    assert behind.get("/api/health", **_ME).json()["redis"] == "answers"
    page = behind.get("/", **_ME)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert behind.http.head("/", headers=_ME).status_code == 200


def test_the_pages_own_web_socket_passes_and_no_other_sites(behind: Behind) -> None:
    assert behind.socket_opens(behind.origin)
    assert not behind.socket_opens("https://evil.example")


def test_events_come_through_as_they_happen(behind: Behind, shared_server: RedisServer) -> None:
    rooms = Rooms(shared_server)
    for known in (
        "attic",
        "cellar",
        "porch",
    ):  # so many that a proxy may think it worth compressing
        rooms.show(known, "neutral")
    until(lambda: behind.served.room("porch"), "the page knows them")
    with behind.http.stream("GET", "/api/events", headers=_ME) as stream:
        lines = stream.iter_lines()
        rooms.show("parlour", "surprise")
        sent = (json.loads(line[5:]) for line in lines if line.startswith("data:"))
        assert any(event.get("room") == "parlour" for event in sent)
    rooms.close()
