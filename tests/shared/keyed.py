"""Keys for tests: real pairs, real files, real handshakes."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest
import zmq

from roommood.deploy.keys.site_keys import new_pair
from roommood.shared.process.atomic_file import write_private
from roommood.shared.process.runtime import Deadline
from roommood.shared.security.allow_list import Entry, render_allow_list
from roommood.shared.security.keys import ClientKeys, KeyPair
from roommood.shared.transport.monitors import ConnectionEvent, next_event
from roommood.shared.transport.sockets import close, connect_frames

TODAY = date(2026, 1, 2)
WORKERS = new_pair()


def entry(pair: KeyPair, name: str = "door", room: str = "kitchen", gone: bool = False) -> Entry:
    return Entry(name, room, pair.public, TODAY, TODAY if gone else None)


def write_list(path: Path, entries: Iterable[Entry]) -> Path:
    write_private(path, render_allow_list(entries))
    return path


def client(pair: KeyPair, server: KeyPair = WORKERS) -> ClientKeys:
    return ClientKeys(pair, server.public)


def connects(
    context: zmq.Context[zmq.Socket[bytes]],
    address: str,
    keys: ClientKeys | None,
    timeout_s: float = 20.0,
) -> bool:
    """True if a handshake with the socket at this address comes about; False once refused."""
    socket, monitor = connect_frames(context, address, keys=keys)
    deadline = Deadline(timeout_s)
    try:
        while not deadline.passed:
            monitor.poll(20)
            seen = next_event(monitor)
            if seen in (ConnectionEvent.CONNECTED, ConnectionEvent.REFUSED):
                return seen is ConnectionEvent.CONNECTED
        return False
    finally:
        close(socket, monitor)


def without(monkeypatch: pytest.MonkeyPatch, *options: int) -> None:
    """Sockets made from now on lack these options: a protection that is switched off."""
    real = zmq.Socket.setsockopt

    def set_unless_off(self: zmq.Socket[bytes], option: int, value: object) -> None:
        if option not in options:
            real(self, option, value)  # type: ignore[arg-type]

    monkeypatch.setattr(zmq.Socket, "setsockopt", set_unless_off)
