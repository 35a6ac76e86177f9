"""TLS before a server that has none, for tests of what a client asks of a certificate."""

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path
from types import TracebackType

_CHUNK_BYTES = 65_536


class TlsFront:
    """A port of loopback, each of whose connections goes on to a unix socket in plain text.

    As a context manager it listens; at the end it closes all that it has open.
    """

    def __init__(self, behind: Path, certificate: Path, key: Path) -> None:
        self.port = 0
        self._behind = behind
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def __enter__(self) -> "TlsFront":
        self._thread.start()
        assert self._listening.wait(10), "TLS does not listen"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._take, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._end.wait()
        server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, onwards = await asyncio.open_unix_connection(self._behind)
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, onwards))
            both.create_task(_pump(behind, writer))


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(_CHUNK_BYTES):
            target.write(chunk)
            await target.drain()
    target.close()
