"""A TCP proxy that misbehaves on command: a bad network between two processes of one machine.

Built on `asyncio` in a thread of its own. Faults are set at any moment and hold for connections
that stand as well as for new ones.
"""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

_CHUNK_BYTES: Final = 16 * 1024
# What a kernel would keep of a direction that is held up, before its sender notices.
_KEPT_BYTES: Final = 4 * 1024 * 1024
_TICK_S: Final = 0.005
_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


@dataclass
class Direction:
    """The faults of one direction: "up" is what the connecting side sends, "down" the answers.

    `latency_s` puts each byte off; `bytes_per_s` is a bandwidth, 0 for none; `held` keeps what
    comes until it falls, as a network that is down does with what TCP sends again; `cut_after`
    resets the connection in place of passing on what comes once that many bytes have passed, None
    for never.
    """

    latency_s: float = 0.0
    bytes_per_s: float = 0.0
    held: bool = False
    cut_after: int | None = None
    passed: int = 0
    free_at: float = field(default=0.0, repr=False)

    def delay_of(self, size: int, now: float) -> float:
        """When `size` bytes that are passed on now have arrived."""
        if self.bytes_per_s <= 0:
            return now + self.latency_s
        self.free_at = max(self.free_at, now) + size / self.bytes_per_s
        return self.free_at + self.latency_s


class FaultProxy:
    """Listens on `address` (loopback) and passes on to `target`, "host:port".

    `refuse` resets whoever connects; `silent` accepts and passes nothing on, not even the end of a
    connection, as a peer whose power was cut; `close_after_s` puts off passing on the end of a
    connection. `target` may be changed; `reset` ends what stands.
    """

    def __init__(self, target: str, port: int = 0) -> None:
        self.target = target
        self.up = Direction()
        self.down = Direction()
        self.refuse = False
        self.close_after_s = 0.0
        self.connections = 0
        self._pairs: set[_Pair] = set()
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._listening = threading.Event()

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        assert self._listening.wait(10), "the proxy does not listen"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.reset()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def open(self) -> int:
        """Connections that stand."""
        return len(self._pairs)

    # Faults

    @property
    def silent(self) -> bool:
        return self.up.held and self.down.held

    @silent.setter
    def silent(self, silent: bool) -> None:
        self.up.held = self.down.held = silent

    def limit(self, bits_per_s: float) -> None:
        """Gives both directions a bandwidth; 0 for none."""
        self.up.bytes_per_s = self.down.bytes_per_s = bits_per_s / 8

    def heal(self) -> None:
        """No fault any more; what stands carries on."""
        self.up.__dict__.update(Direction().__dict__)
        self.down.__dict__.update(Direction().__dict__)
        self.refuse, self.close_after_s = False, 0.0

    def reset(self) -> None:
        """Ends every connection with a reset to both sides."""
        self._call(_Pair.reset)

    def forget(self) -> None:
        """Drops every connection towards the target and leaves the connecting side in the dark:
        what the power cut of the target's machine looks like from afar."""
        self._call(_Pair.forget)

    def _call(self, what: "Callable[[_Pair], None]") -> None:
        done = threading.Event()

        def act() -> None:
            for pair in list(self._pairs):
                what(pair)
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(10), "the proxy hangs"

    # Its thread

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._take, "127.0.0.1", self._port, limit=_CHUNK_BYTES)
        )
        self._port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            _abort(writer)
            return
        near = (reader, writer)
        try:
            far = await self._connect()
        except OSError:
            _abort(writer)
            return
        pair = _Pair(self, near, far)
        self._pairs.add(pair)
        try:
            await pair.run()
        finally:
            self._pairs.discard(pair)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the target; while both directions are held nobody gets through, nor hears of it."""
        while self.silent:
            await asyncio.sleep(_TICK_S)
        host, _, port = self.target.rpartition(":")
        return await asyncio.open_connection(host, int(port), limit=_CHUNK_BYTES)


class _Pair:
    """One connection through the proxy: a pump for each direction."""

    def __init__(
        self,
        proxy: FaultProxy,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._near, self._far = near, far
        self._forgotten = False
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        pumps = (
            _Pump(self._proxy.up, self._near[0], self._far[1], self.reset),
            _Pump(self._proxy.down, self._far[0], self._near[1], self.reset),
        )
        self._tasks = [asyncio.ensure_future(pump.run()) for pump in pumps]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
            while self._forgotten:
                await asyncio.sleep(_TICK_S)
            await asyncio.sleep(self._proxy.close_after_s)
        self.reset()

    def reset(self) -> None:
        self._forgotten = False
        for task in self._tasks:
            task.cancel()
        for _, writer in (self._near, self._far):
            _abort(writer)

    def forget(self) -> None:
        self._forgotten = True
        for task in self._tasks:
            task.cancel()
        _abort(self._far[1])


class _Pump:
    """Moves one direction of one connection: reads ahead, and writes when it is time."""

    def __init__(
        self,
        faults: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        cut: Callable[[], None],
    ) -> None:
        self._faults = faults
        self._reader, self._writer, self._cut = reader, writer, cut
        self._kept: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_KEPT_BYTES // _CHUNK_BYTES)

    async def run(self) -> None:
        read = asyncio.ensure_future(self._read())
        try:
            await self._write()
        finally:
            read.cancel()

    async def _read(self) -> None:
        data = b"-"
        while data:
            try:
                data = await self._reader.read(_CHUNK_BYTES)
            except OSError:
                data = b""
            arrives = self._faults.delay_of(len(data), time.monotonic())
            # A slow link pushes back: no more is read than is under way.
            if self._faults.bytes_per_s > 0:
                await asyncio.sleep(max(0.0, arrives - self._faults.latency_s - time.monotonic()))
            await self._kept.put((arrives, data))

    async def _write(self) -> None:
        while True:
            arrives, data = await self._kept.get()
            await asyncio.sleep(max(0.0, arrives - time.monotonic()))
            while self._faults.held:
                await asyncio.sleep(_TICK_S)
            if not data:
                with contextlib.suppress(OSError, RuntimeError):
                    self._writer.write_eof()
                return
            if self._is_cut(len(data)):
                self._cut()
                return
            if self._writer.transport.is_closing():
                return
            self._writer.write(data)
            with contextlib.suppress(OSError):
                await self._writer.drain()

    def _is_cut(self, size: int) -> bool:
        faults = self._faults
        if faults.cut_after is not None and faults.passed + size > faults.cut_after:
            return True
        faults.passed += size
        return False


def _abort(writer: asyncio.StreamWriter) -> None:
    """Closes with a reset, as a machine does that does not know the connection."""
    own = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
    writer.transport.abort()
