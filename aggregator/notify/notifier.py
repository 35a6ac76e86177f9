"""From Redis to people: `roommood notify`."""

import logging
import select
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Final

from roommood.aggregator.notify.message import Message
from roommood.aggregator.notify.sender import targets
from roommood.aggregator.notify.watch import Event, Look, Watch, look_at, redis_away
from roommood.aggregator.stats.site import SiteReader
from roommood.shared.errors import StoreError
from roommood.shared.process.logs import event
from roommood.shared.process.runtime import ConnectionLog, shutdown_on_signals
from roommood.shared.process.service import ServiceManager
from roommood.shared.process.settings import NotifySettings

_log = logging.getLogger(__name__)
_FAREWELL_S: Final = 5.0
# People read no more; a program is given all.
_MOST_LINES: Final = 50


class Notifier:
    """Looks at Redis and tells what is new, until told to stop."""

    def __init__(self, settings: NotifySettings) -> None:
        """Raises ConfigError for files that cannot be used."""
        self._settings = settings
        self._reader = SiteReader(settings.redis_url, settings.redis_password_file)
        self._watch = Watch(settings.hold_s, settings.expression_hold_s)
        self._targets = targets(settings.urls_file, settings.command)
        self._log_of_redis = ConnectionLog("redis")
        self._service = ServiceManager()

    def run(self) -> int:
        """Works until SIGTERM or SIGINT; returns the exit code."""
        with shutdown_on_signals() as shutdown:
            event(_log, logging.INFO, "notifier started", targets=len(self._targets))
            try:
                while not shutdown.requested:
                    self.tick()
                    self._service.turning(f"{len(self._targets)} targets")
                    select.select([shutdown.waker], [], [], self._settings.every_s)
            finally:
                self._service.stopping()
                end_s = time.monotonic() + _FAREWELL_S
                for target in self._targets:
                    target.stop()
                for target in self._targets:
                    target.join(max(0.0, end_s - time.monotonic()))
                self._reader.close()
        return shutdown.forced_exit_code if shutdown.forced else 0

    def tick(self) -> None:
        """Looks once; all that is new of one look is one message."""
        events = self._watch.see(self._look(), time.monotonic())
        for new in events:
            event(_log, logging.INFO, new.kind, of=new.of, room=new.room, what=new.text)
        if events:
            message = as_message(events)
            for target in self._targets:
                target.tell(message)

    def _look(self) -> Look:
        try:
            look = look_at(self._reader.look())
        except StoreError as error:
            self._log_of_redis.lost("redis", str(error))
            return redis_away(str(error))
        self._log_of_redis.back("redis")
        return look if self._settings.expressions else replace(look, dominant={})


def as_message(events: Sequence[Event]) -> Message:
    """What people read of these, at least one."""
    title = f"roommood, {_headline(events[0])}"
    if len(events) > 1:
        title += f", and {len(events) - 1} more"
    is_good = all(event.kind != "began" for event in events)
    lines = [_sentence(event) for event in events[:_MOST_LINES]]
    if len(events) > _MOST_LINES:
        lines.append(f"and {len(events) - _MOST_LINES} more: see roommood rooms")
    return Message(title, "\n".join(lines), is_good, [asdict(e) for e in events])


def _headline(event: Event) -> str:
    where = f" ({event.room})" if event.room not in ("", event.of) else ""
    over = "over: " if event.kind == "over" else ""
    return f"{event.of}{where}: {over}{event.text}"


def _sentence(event: Event) -> str:
    if event.lasted_s is not None:
        return f"{_headline(event)}; it lasted {event.lasted_s:.0f} s"
    return f"{_headline(event)}. {event.todo}" if event.todo else _headline(event)
