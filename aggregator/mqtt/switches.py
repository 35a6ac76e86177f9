"""Rooms and cameras are paused from a broker, by a login that may do that and nothing else."""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from roommood.aggregator.counting.operator_settings import OperatorSettings
from roommood.aggregator.mqtt.heard import SwitchCommand
from roommood.aggregator.mqtt.topics import Topics
from roommood.aggregator.redis.servers import Servers
from roommood.aggregator.stats.site import Site
from roommood.shared.errors import StoreError
from roommood.shared.process.logs import RateLimitedLog, event

_log = logging.getLogger(__name__)
_ON, _OFF = b"ON", b"OFF"
_SHOWN_BYTES: Final = 40


class Switches:
    """Obeys what it can, in the order in which it came, and logs all of it."""

    def __init__(self, url: str, password_file: Path | None, topics: Topics) -> None:
        """Raises ConfigError for a URL or file that cannot be used."""
        self._operator = OperatorSettings(Servers(url, password_file))
        self._topics = topics
        self._limited_log = RateLimitedLog(_log)

    def close(self) -> None:
        self._operator.close()

    def obey(self, commands: Iterable[SwitchCommand], look: Callable[[], Site]) -> None:
        """What Redis does not take is not tried again: nobody expects it any more by then."""
        pending = deque(commands)
        try:
            site = look()
            while pending:
                self._obey(pending[0], site)
                pending.popleft()
        except StoreError as error:
            topics = {"topic": pending[0].topic, "dropped": len(pending)} if pending else {}
            event(_log, logging.ERROR, "command failed", **topics, why=str(error))

    def _obey(self, command: SwitchCommand, site: Site) -> None:
        kind, name = self._topics.switched_by(command.topic) or ("", "")
        if why := _why_ignored(command, kind, name, site):
            payload = repr(command.payload[:_SHOWN_BYTES])
            self._limited_log.event(
                "command ignored", topic=command.topic, payload=payload, why=why
            )
            return
        self._set(kind, name, command.payload == _ON)
        run = command.payload.decode().lower()
        event(_log, logging.INFO, "set by MQTT", **{kind: name}, run=run)

    def _set(self, kind: str, name: str, run: bool) -> None:
        operator = self._operator
        if kind == "room":
            (operator.resume if run else operator.pause)(name)
        else:
            (operator.resume_camera if run else operator.pause_camera)(name)


def _why_ignored(command: SwitchCommand, kind: str, name: str, site: Site) -> str:
    """ "" for one that is to be obeyed."""
    if command.is_retained:
        return "it was retained by the broker: publish commands without retain"
    rooms, cameras = (room.room for room in site.rooms), (each.camera for each in site.cameras)
    if name not in (rooms if kind == "room" else cameras):
        return f"no such {kind or 'topic'} is known"
    return "" if command.payload in (_ON, _OFF) else "it is neither ON nor OFF"
