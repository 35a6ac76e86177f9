"""Many who look, without a browser each: they open the page and its web socket as one does."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import socketio

_CLIENT_ID = re.compile(r"client_id\W{1,5}([0-9a-f]{8}-[0-9a-f-]{27})")
_SOCKET_PATH = "/_nicegui_ws/socket.io"


class Viewers:
    """So many at one address; `updates` counts what each was sent."""

    def __init__(self, url: str, count: int) -> None:
        self._url = url.rstrip("/")
        self._sockets: list[socketio.AsyncClient] = []
        self.updates = [0] * count

    async def look(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Opens all, waits for `meanwhile`, closes all."""
        try:
            for number in range(len(self.updates)):
                self._sockets.append(await self._open(number))
            await meanwhile()
        finally:
            for socket in self._sockets:
                await socket.disconnect()

    async def _open(self, number: int) -> socketio.AsyncClient:
        async with aiohttp.ClientSession() as session, session.get(self._url + "/") as answer:
            client_id = _CLIENT_ID.search(await answer.text())
        assert client_id is not None
        viewer = socketio.AsyncClient()
        viewer.on("update", lambda _: self._count(number))
        query = {
            "client_id": client_id[1],
            "next_message_id": "0",
            "implicit_handshake": "true",
            "document_id": secrets.token_hex(8),
            "tab_id": secrets.token_hex(8),
            "old_tab_id": "null",
        }
        address = f"{self._url}?{'&'.join(f'{name}={value}' for name, value in query.items())}"
        await viewer.connect(
            address, socketio_path=_SOCKET_PATH, transports=["websocket"], wait_timeout=20
        )
        return viewer

    def _count(self, number: int) -> None:
        self.updates[number] += 1


def cpu_s(pid: int) -> float:
    """Processor time that a process has used so far."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def resident_mb(pid: int) -> float:
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6


def run(viewers: Viewers, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """In a thread of its own: the browser's driver has an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, viewers.look(meanwhile)).result()
