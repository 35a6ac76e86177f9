"""A peer that speaks ZMTP 3 by hand, byte by byte, and so as badly as a test wants.

rfc.zeromq.org/spec/23: a greeting of 64 bytes, the READY command, then frames of a flag byte
(1: more follow, 2: a length of eight bytes, 4: a command), a length and a body.
"""

import contextlib
import socket
import struct
from types import TracebackType
from typing import Final


def greeting(mechanism: bytes = b"NULL") -> bytes:
    return b"\xff" + bytes(8) + b"\x7f\x03\x00" + mechanism.ljust(20, b"\0") + b"\0" + bytes(31)


GREETING: Final = greeting()
_TIMEOUT_S: Final = 20.0


def frame(body: bytes, *, more: bool = False, command: bool = False) -> bytes:
    flags = more | (len(body) > 255) << 1 | command << 2
    length = struct.pack(">Q", len(body)) if len(body) > 255 else bytes([len(body)])
    return bytes([flags]) + length + body


def header(length: int) -> bytes:
    """The beginning of a frame that is to be so long."""
    return b"\x02" + struct.pack(">Q", length)


def ready(socket_type: bytes = b"DEALER") -> bytes:
    name = b"Socket-Type"
    value = bytes([len(name)]) + name + struct.pack(">I", len(socket_type)) + socket_type
    return frame(b"\x05READY" + value, command=True)


class Peer:
    """One TCP connection to `host:port`; closed at the end of the context."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), _TIMEOUT_S)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def shake_hands(self) -> "Peer":
        """Greeting and READY of both sides."""
        self.say(GREETING + ready())
        self._hear(64)
        flags, length = self._hear(2)
        assert flags == 4, flags
        self._hear(length)
        return self

    def say(self, data: bytes) -> bool:
        """False if the other side has closed."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def send(self, *parts: bytes) -> bool:
        """One whole message."""
        last = len(parts) - 1
        return self.say(b"".join(frame(part, more=n < last) for n, part in enumerate(parts)))

    def is_closed(self) -> bool:
        """True if the other side has closed; does not wait."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            try:
                while self.socket.recv(65_536):
                    pass
            except ConnectionError:
                pass
            return True
        self.socket.settimeout(_TIMEOUT_S)
        return False

    def _hear(self, count: int) -> bytes:
        heard = b""
        while len(heard) < count:
            more = self.socket.recv(count - len(heard))
            assert more, "the other side closed within its handshake"
            heard += more
        return heard
