"""Entities that are gone, until Home Assistant has heard of it.

An empty discovery message removes an entity only where Home Assistant has made it since its start.
One that was away meanwhile keeps it for ever, greyed out. So what was taken back while nobody has
said that Home Assistant is up is noted at the broker, is announced once more at its next start,
and taken back then.
"""

import logging
from collections.abc import Collection, Iterable
from typing import Final, Protocol

from roommood.aggregator.mqtt.discovery import Discovery
from roommood.aggregator.mqtt.heard import Heard
from roommood.aggregator.mqtt.states import as_payload
from roommood.aggregator.mqtt.topics import Topics
from roommood.shared.process.logs import event

_log = logging.getLogger(__name__)
# From an entity's discovery message to when Home Assistant has made it.
_MADE_AFTER_S: Final = 5.0
# Beyond that the others stay there greyed out, to be deleted by hand.
_MOST: Final = 20_000


class _Publish(Protocol):
    def __call__(self, topic: str, payload: str, *, retain: bool) -> None: ...


class TakenBack:
    """By the topics of their discovery messages."""

    def __init__(self, topics: Topics, discovery: Discovery, publish: _Publish) -> None:
        self._topics, self._discovery, self._publish = topics, discovery, publish
        self._home_is_up = False
        self._unheard: set[str] = set()
        self._due_s: float | None = None

    def note(self, heard: Heard, now_s: float) -> None:
        """What an earlier bridge has noted, and whether Home Assistant is up."""
        self._unheard |= set(list(heard.taken_back)[:_MOST])
        if heard.is_new or heard.home_is_up is not None:
            self._home_is_up, self._due_s = bool(heard.home_is_up), None
        if heard.is_new and self._unheard:
            self._save()
        if heard.home_is_up and self._unheard:
            for topic in self._unheard:
                self._publish(topic, as_payload(self._discovery.last_of(topic)), retain=False)
            self._due_s = now_s + _MADE_AFTER_S

    def tick(self, now_s: float) -> None:
        """Takes back what was announced once more, when it is time."""
        if self._due_s is None or now_s < self._due_s:
            return
        due, self._unheard, self._due_s = self._unheard, set(), None
        self.take(due)
        self._save()

    def take(self, topics: Iterable[str]) -> None:
        """These are gone."""
        gone = set(topics)
        for topic in gone:
            event(_log, logging.INFO, "discovery message removed", topic=topic)
            self._publish(topic, "", retain=True)
        if gone and not self._home_is_up and len(self._unheard) < _MOST:
            self._unheard |= gone
            self._save()

    def keep_out(self, topics: Collection[str]) -> None:
        """These are there again."""
        if not self._unheard.isdisjoint(topics):
            self._unheard -= set(topics)
            self._save()

    def _save(self) -> None:
        payload = as_payload(sorted(self._unheard)) if self._unheard else ""
        self._publish(self._topics.taken_back, payload, retain=True)
