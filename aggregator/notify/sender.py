"""Messages on their way to people, one thread for each of those who are told.

An address may hold a token: neither it nor what a library says of it stands in a log or an error.
"""

import json
import logging
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from roommood.shared.errors import ConfigError
from roommood.shared.process.logs import event
from roommood.shared.process.runtime import ConnectionLog
from roommood.shared.security.private_file import read_private

_log = logging.getLogger(__name__)
_MOST_BYTES: Final = 65_536
_MOST_TARGETS: Final = 16
# Messages that wait for one target; beyond that the oldest go, which is logged.
_MOST_WAITING: Final = 100
# Until a message that did not arrive is sent again, doubling up to the second.
_RETRY_S: Final = (5.0, 300.0)
_COMMAND_S: Final = 30.0
# Their lines quote addresses.
_TALKATIVE: Final = ("apprise", "urllib3", "requests")


@dataclass(frozen=True, slots=True)
class Message:
    """What people read, and the same for programs."""

    title: str
    body: str
    is_good: bool
    events: Sequence[dict[str, Any]]


Send = Callable[[Message], str]
"""Says why a message did not arrive, or "" where it did."""


class Target:
    """Somebody who is told: in order, again until it arrives. `name` stands in logs."""

    def __init__(self, name: str, send: Send) -> None:
        self._name, self._send = name, send
        self._connection = ConnectionLog("target")
        self._waiting: deque[Message] = deque()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name=f"notify {name}", daemon=True)
        self._thread.start()

    def tell(self, message: Message) -> None:
        with self._changed:
            if len(self._waiting) == _MOST_WAITING:
                dropped = self._waiting.popleft()
                event(
                    _log, logging.ERROR, "message dropped", target=self._name, message=dropped.title
                )
            self._waiting.append(message)
            self._changed.notify()

    def stop(self, within_s: float) -> None:
        """Sends what waits, once; what does not arrive in time is logged as lost."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(within_s)
        with self._changed:
            left = list(self._waiting)
        for message in left:
            event(_log, logging.ERROR, "message not sent", target=self._name, message=message.title)

    def _run(self) -> None:
        retry_s = _RETRY_S[0]
        while (message := self._next()) is not None:
            if why := self._send(message):
                self._connection.lost(self._name, why)
                if self._pause(retry_s):
                    return
                retry_s = min(_RETRY_S[1], retry_s * 2)
                continue
            self._connection.back(self._name)
            retry_s = _RETRY_S[0]
            with self._changed:
                if self._waiting and self._waiting[0] is message:
                    self._waiting.popleft()

    def _next(self) -> Message | None:
        """The oldest that waits; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_stopping)
            return self._waiting[0] if self._waiting else None

    def _pause(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._is_stopping, seconds)


def targets(urls_file: Path | None, command: Path | None) -> list[Target]:
    """All who are told. Raises ConfigError where that is nobody, or a file cannot be used."""
    if urls_file is None and command is None:
        raise ConfigError("nobody is to be told: give --urls-file, --command or both")
    targets = [("command", _starts(command))] if command else []
    if urls_file:
        targets += _services(urls_file)
    return [Target(name, send) for name, send in targets]


def read_urls(path: Path) -> str:
    """Text of a file of addresses. Raises ConfigError where others can read it."""
    return read_private(path, _MOST_BYTES, "an address of Apprise on each line")


def _services(path: Path) -> list[tuple[str, Send]]:
    lines = [(n, line.strip()) for n, line in enumerate(read_urls(path).splitlines(), 1)]
    lines = [(n, url) for n, url in lines if url and not url.startswith("#")]
    if not 1 <= len(lines) <= _MOST_TARGETS:
        raise ConfigError(f"{path} has {len(lines)} addresses: give 1 to {_MOST_TARGETS}")
    return [(f"line {n} ({url.partition(':')[0]})", _service(path, n, url)) for n, url in lines]


def _service(path: Path, line: int, url: str) -> Send:
    from apprise import Apprise, NotifyType

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    service = Apprise()
    if not service.add(url):
        raise ConfigError(
            f"{path}, line {line}: Apprise does not know such an address: write for example "
            "jsons://HOST/PATH (a webhook) or ntfys://HOST/TOPIC"
        )

    def send(message: Message) -> str:
        kind = NotifyType.SUCCESS if message.is_good else NotifyType.WARNING
        arrived = service.notify(title=message.title, body=message.body, notify_type=kind)
        return "" if arrived else "it did not take the message"

    return send


def _starts(program: Path) -> Send:
    def send(message: Message) -> str:
        content = {"title": message.title, "body": message.body, "events": message.events}
        try:
            done = subprocess.run(
                [program], input=json.dumps(content).encode(), timeout=_COMMAND_S, check=False
            )
        except OSError as error:
            return f"cannot start {program}: {error.strerror}"
        except subprocess.TimeoutExpired:
            return f"{program} did not end within {_COMMAND_S:g} s"
        return "" if done.returncode == 0 else f"{program} ended with {done.returncode}"

    return send
