"""A TCP relay on loopback that keeps what a camera sends, and reads the JPEGs out of it."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Final

_GREETING_BYTES: Final = 64
_MORE, _LONG, _COMMAND = 1, 2, 4


class Recorder:
    """Relays to `address` while inside; `jpegs` are the second parts of the Frames that passed."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        self._sent: list[bytearray] = []

    def __enter__(self) -> "Recorder":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._to)
                self._sockets += [client, server]
                sent = bytearray()
                self._sent.append(sent)
                for ends in ((client, server, sent), (server, client, bytearray())):
                    threading.Thread(target=_relay, args=ends, daemon=True).start()

    @property
    def bytes_sent(self) -> bytes:
        """All that any camera sent, as it was on the wire."""
        return b"".join(bytes(sent) for sent in self._sent)

    @property
    def jpegs(self) -> list[bytes]:
        return [jpeg for sent in self._sent for jpeg in _jpegs(bytes(sent))]


def _relay(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            kept += data
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _jpegs(sent: bytes) -> Iterator[bytes]:
    """Of a stream of ZMTP frames (rfc.zeromq.org/spec/23), what follows a Frame's header."""
    at, before = _GREETING_BYTES, b""
    while at + 2 <= len(sent):
        flags = sent[at]
        size, at = (
            (struct.unpack_from(">Q", sent, at + 1)[0], at + 9)
            if flags & _LONG
            else (sent[at + 1], at + 2)
        )
        body, at = sent[at : at + size], at + size
        if len(body) < size:
            return
        if before[:4] == b"RM\x01F" and not flags & _COMMAND:
            yield body
        before = body if flags & _MORE else b""
