"""Who listens at a TCP port of this machine, as proc(5) tells: /proc/net/tcp, /proc/PID/fd."""

import ipaddress
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LISTEN: Final = "0A"
# FIN-WAIT-1 and -2, TIME-WAIT, CLOSE-WAIT, LAST-ACK, CLOSING.
_ENDED: Final = ("04", "05", "06", "08", "09", "0B")
_COMMAND_CHARS: Final = 80


def port_holder(port: int, proc: Path = Path("/proc")) -> str:
    """Its number and command, "process 4711 (redis-server)", as far as this user may see them."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port, proc)}
    for folder in sorted(proc.glob("[0-9]*")):
        if sockets & set(_open_files(folder)):
            return f"process {folder.name} ({_command(folder)})"
    return "another process, perhaps of another user: `sudo ss -ltnp` shows it"


def lately_gone(port: int, proc: Path = Path("/proc")) -> str:
    """Who was connected to a port of ours until lately; "" where the system does not tell."""
    gone = {_host(fields[2]) for fields in _sockets_at(port, proc) if fields[3] in _ENDED}
    return ", ".join(sorted(gone))


def _listening(port: int, proc: Path) -> Iterator[str]:
    """Inodes of sockets that listen at the port, whatever the address."""
    return (fields[9] for fields in _sockets_at(port, proc) if fields[3] == _LISTEN)


def _sockets_at(port: int, proc: Path) -> Iterator[list[str]]:
    """The fields of each line of proc's tables whose own port is this."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if int(fields[1].rpartition(":")[2], 16) == port:
                yield fields


def _host(field: str) -> str:
    """The address in proc's form: words of 32 bits, each in this machine's order."""
    words = struct.unpack(f">{len(field[:-5]) // 8}I", bytes.fromhex(field[:-5]))
    address = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    wrapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(wrapped or address)


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
