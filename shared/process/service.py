"""What a service manager is told: started, still turning, stopping (sd_notify's protocol).

systemd names a datagram socket in NOTIFY_SOCKET and, where it watches a unit, the longest silence
in WATCHDOG_USEC; `roommood worker --processes` speaks the same to its children. Described in
sd_notify(3) and sd_watchdog_enabled(3).
"""

import math
import os
import socket
import time
from collections.abc import Mapping

from roommood.shared.errors import ConfigError


class ServiceManager:
    """Tells whoever started this process how it is. Silent where nobody asked.

    A message that cannot be delivered is dropped: the manager then sees a process that is silent.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Raises ConfigError where the variables make no sense."""
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._every_s = _watchdog_s(environment) / 3
        self._socket: socket.socket | None = None
        self._told_at = -math.inf  # a clock that counts from the boot may be young
        self._status = ""
        self._started = False
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def turning(self, status: str) -> None:
        """To be called on each turn of the main loop; the first says that the start is over."""
        if self._socket is None:
            return
        now = time.monotonic()
        lines = [] if self._started else ["READY=1"]
        if status != self._status:
            lines.append(f"STATUS={status}")
        if self._every_s and now - self._told_at >= self._every_s:
            lines.append("WATCHDOG=1")
            self._told_at = now
        if lines and self._say(lines):
            self._started, self._status = True, status

    def stopping(self) -> None:
        """The drain has begun."""
        self._say(["STOPPING=1", "STATUS=draining"])

    def _say(self, lines: list[str]) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True


def _address(text: str) -> str:
    if not text:
        return ""
    if text[0] not in "/@":
        raise ConfigError(f"NOTIFY_SOCKET={text!r} is no path: it is set by the service manager")
    # An @ stands for the abstract namespace's leading zero byte.
    return "\0" + text[1:] if text[0] == "@" else text


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """0.0 where nobody watches, or another process is meant."""
    text, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not text or (pid and pid != str(os.getpid())):
        return 0.0
    if not text.isdecimal() or not int(text):
        raise ConfigError(f"WATCHDOG_USEC={text!r} is no number of microseconds")
    return int(text) / 1e6
