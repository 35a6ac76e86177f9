"""A port of loopback before a server, through which all that is said goes, changed on its way."""

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 65_536


class Front:
    """Goes on to a unix socket or to a port of loopback; with `tls` in plain text.

    As a context manager it listens; at the end it closes all that it has open.
    """

    def __init__(self, behind: Path | int, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self._behind, self._tls = behind, tls
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10), "it does not listen"
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

    async def answered(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Brings what the server says to its client."""
        await _pump(server, client)

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._take, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._end.wait()
        server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._behind, Path):
            server, onwards = await asyncio.open_unix_connection(self._behind)
        else:
            server, onwards = await asyncio.open_connection("127.0.0.1", self._behind)
        # A task of a stream that was cancelled is told as an error that nobody saw.
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, onwards))
                both.create_task(self.answered(server, writer))


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(_CHUNK_BYTES):
            target.write(chunk)
            await target.drain()
    target.close()
