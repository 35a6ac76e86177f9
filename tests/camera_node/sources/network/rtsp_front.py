"""Before an RTSP server: a camera whose clock is set while it sends (RFC 2326, 10.12), or that goes
silent as one without power does: its connection stays."""

import asyncio
import contextlib
import struct
from typing import Final

from tests.front import Front

_RTP_HZ: Final = 90_000
_LENGTH: Final = b"content-length:"


class RtspFront(Front):
    """`clock_s` is added to the times of the pictures that come over TCP once it is set; nothing
    comes any more once `is_silent`."""

    clock_s = 0.0
    is_silent = False

    async def answered(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                first = await server.readexactly(1)
                is_packet = first == b"$"
                rest = await (self._packet(server) if is_packet else _answer(server))
                if self.is_silent:
                    continue
                client.write(first + rest)
                await client.drain()
        client.close()

    async def _packet(self, server: asyncio.StreamReader) -> bytes:
        channel, size = struct.unpack(">BH", head := await server.readexactly(3))
        packet = await server.readexactly(size)
        if channel % 2 == 0:  # RTP, whose reports have the odd numbers
            (at,) = struct.unpack_from(">I", packet, 4)
            at = (at + round(self.clock_s * _RTP_HZ)) % 2**32
            packet = packet[:4] + struct.pack(">I", at) + packet[8:]
        return head + packet


async def _answer(server: asyncio.StreamReader) -> bytes:
    head = await server.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    lengths = [int(line.removeprefix(_LENGTH)) for line in lines if line.startswith(_LENGTH)]
    return head + await server.readexactly(sum(lengths))
