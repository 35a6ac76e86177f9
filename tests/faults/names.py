"""A name server that fails on command, for processes that see no other.

    with Names(folder, answer_after_s=0.5) as names:      # None: it never answers
        site.wrap = names.wrap                            # what is started now asks it
        names.write_hosts({"desk": "127.0.0.1"})          # what it need not ask for

Each process gets a mount namespace of its own with other files in /etc. Wants root and `unshare`.
"""

import os
import shutil
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.rows import Skipped

# Two suites side by side have a name server each, at an address of its own.
_SERVERS: Final = tuple(f"127.0.0.{last}" for last in range(66, 82))
_NXDOMAIN: Final = b"\x81\x83"
_MOUNT: Final = """
for file in resolv.conf nsswitch.conf hosts; do mount --bind "$0/$file" /etc/$file || exit 99; done
exec "$@"
"""


class Names:
    """The name server, and the files that lead to it. Raises Skipped."""

    def __init__(self, folder: Path, answer_after_s: float | None = None) -> None:
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            raise Skipped("other files in /etc want root and unshare")
        self._folder = folder / "etc"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._answer_after_s = answer_after_s
        self._ended = False
        self.questions = 0
        (self._folder / "nsswitch.conf").write_text("hosts: files dns\n")
        self.write_hosts({})
        self.wrap = ("unshare", "-m", "sh", "-c", _MOUNT, str(self._folder))

    def write_hosts(self, hosts: Mapping[str, str]) -> None:
        """In place, so that running processes see it."""
        lines = {"localhost": "127.0.0.1", **hosts}
        text = "".join(f"{address} {name}\n" for name, address in lines.items())
        (self._folder / "hosts").write_text(text)

    def __enter__(self) -> "Names":
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0.2)
        address = _bind_to_any(self._socket)
        (self._folder / "resolv.conf").write_text(f"nameserver {address}\n")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended:
            try:
                question, peer = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            self.questions += 1
            if self._answer_after_s is not None:
                late = threading.Timer(self._answer_after_s, self._refuse, (question, peer))
                late.daemon = True
                late.start()

    def _refuse(self, question: bytes, peer: tuple[str, int]) -> None:
        end = question.index(b"\0", 12) + 5
        head = question[:2] + _NXDOMAIN + question[4:6] + bytes(6)
        try:
            self._socket.sendto(head + question[12:end], peer)
        except OSError:
            return


def _bind_to_any(server: socket.socket) -> str:
    for address in _SERVERS:
        with suppress(OSError):
            server.bind((address, 53))
            return address
    raise OSError(f"no address from {_SERVERS[0]} to {_SERVERS[-1]} is free on port 53")
