"""Who listens at a TCP port of this machine, as proc(5) tells: /proc/net/tcp, /proc/PID/fd."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LISTEN: Final = "0A"
_COMMAND_CHARS: Final = 80


def port_holder(port: int, proc: Path = Path("/proc")) -> str:
    """Its number and command, "process 4711 (redis-server)", as far as this user may see them."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port, proc)}
    for folder in sorted(proc.glob("[0-9]*")):
        if sockets & set(_open_files(folder)):
            return f"process {folder.name} ({_command(folder)})"
    return "another process, perhaps of another user: `sudo ss -ltnp` shows it"


def _listening(port: int, proc: Path) -> Iterator[str]:
    """Inodes of sockets that listen at the port, whatever the address."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _open_files(folder: Path) -> Iterator[str]:
    try:
        for entry in (folder / "fd").iterdir():
            yield os.readlink(entry)
    except OSError:
        return  # it has ended, or is another user's


def _command(folder: Path) -> str:
    """Its command line, without the folders of program and script."""
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "?"
    return " ".join(word.rpartition("/")[2] if n < 2 else word for n, word in enumerate(words))[
        :_COMMAND_CHARS
    ].strip()
