"""Messages on their way to people, one thread for each of those who are told."""

import json
import logging
import shutil
import subprocess
import threading
from collections import deque
from pathlib import Path
from typing import Final

from roommood.aggregator.notify.message import Message, Send
from roommood.aggregator.notify.services import services
from roommood.aggregator.stats.export import iso
from roommood.shared.errors import ConfigError
from roommood.shared.process.logs import event
from roommood.shared.process.runtime import ConnectionLog

_log = logging.getLogger(__name__)
# Messages that wait for one target; beyond that the oldest go, which is logged.
_MOST_WAITING: Final = 100
# Until a message that did not arrive is sent again, doubling up to the second.
_RETRY_S: Final = (5.0, 300.0)
_COMMAND_S: Final = 30.0


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

    def stop(self) -> None:
        """What waits is sent once more from now on."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()

    def join(self, within_s: float) -> None:
        """After `stop`: what does not arrive in time is logged as lost."""
        self._thread.join(within_s)
        with self._changed:
            left = list(self._waiting)
        for message in left:
            event(_log, logging.ERROR, "message not sent", target=self._name, message=message.title)

    def _run(self) -> None:
        retry_s = _RETRY_S[0]
        while (message := self._next()) is not None:
            was_stopping = self._is_stopping
            if why := self._try(message):
                self._connection.lost(self._name, why)
                if was_stopping:
                    return
                self._pause(retry_s)
                retry_s = min(_RETRY_S[1], retry_s * 2)
                continue
            self._connection.back(self._name)
            retry_s = _RETRY_S[0]
            with self._changed:
                if self._waiting and self._waiting[0] is message:
                    self._waiting.popleft()

    def _try(self, message: Message) -> str:
        try:
            return self._send(message)
        except Exception as error:  # of a library: it would end the thread
            return f"it failed ({type(error).__name__})"

    def _next(self) -> Message | None:
        """The oldest that waits; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_stopping)
            return self._waiting[0] if self._waiting else None

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, seconds)


def targets(urls_file: Path | None, command: Path | None) -> list[Target]:
    """All who are told. Raises ConfigError where that is nobody, or a file cannot be used."""
    if urls_file is None and command is None:
        raise ConfigError("nobody is to be told: give --urls-file, --command or both")
    targets = [("command", _starts(_program(command)))] if command is not None else []
    if urls_file:
        targets += services(urls_file)
    return [Target(name, send) for name, send in targets]


def _program(path: Path) -> Path:
    """Raises ConfigError for what cannot be started: else the first message would be lost."""
    if shutil.which(path) is None:
        raise ConfigError(
            f"--command {str(path)!r}: there is no such program that this user may start: give its "
            "whole path, and let it be executable (chmod +x)"
        )
    return path


def _starts(program: Path) -> Send:
    def send(message: Message) -> str:
        content = {
            "title": message.title,
            "body": message.body,
            "at": iso(message.at),
            "events": message.events,
        }
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
