"""From Redis to an MQTT broker: `roommood mqtt`. It reads Redis, and listens to nobody's orders
unless it was given a login that may pause rooms and cameras.
"""

import logging
import select
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from roommood.aggregator.mqtt import states
from roommood.aggregator.mqtt.broker import Broker
from roommood.aggregator.mqtt.discovery import EXPIRE_AFTER_S, Discovery
from roommood.aggregator.mqtt.heard import Heard
from roommood.aggregator.mqtt.states import as_payload
from roommood.aggregator.mqtt.steady import Steady
from roommood.aggregator.mqtt.switches import Switches
from roommood.aggregator.mqtt.taken_back import TakenBack
from roommood.aggregator.mqtt.topics import Json, Topics
from roommood.aggregator.stats.problems import worker_name
from roommood.aggregator.stats.site import Site, SiteReader
from roommood.shared.counted import counted
from roommood.shared.errors import StoreError
from roommood.shared.process.logs import event
from roommood.shared.process.runtime import ConnectionLog, Waker, shutdown_on_signals
from roommood.shared.process.service import ServiceManager
from roommood.shared.process.settings import MqttSettings

_log = logging.getLogger(__name__)
_MINUTE: Final = timedelta(minutes=1)
# A state that has not changed is told again after so long, well before it expires.
_REPEAT_S: Final = EXPIRE_AFTER_S / 3
# From a discovery message to when Home Assistant listens to the states of its entity.
_LISTENS_AFTER_S: Final = 3.0


class Bridge:
    """Tells a broker of all rooms, cameras and workers until told to stop."""

    def __init__(self, settings: MqttSettings) -> None:
        """Raises ConfigError for files that cannot be used."""
        self._settings = settings
        self._topics = Topics(settings.prefix, settings.discovery_prefix)
        self._switches = switches(settings, self._topics)
        self._discovery = Discovery(self._topics, settings.page or "", settings.has_switches)
        self._reader = SiteReader(settings.redis_url, settings.redis_password_file)
        self._log_of_redis = ConnectionLog("redis")
        self._log_of_nodes = ConnectionLog("redis node")
        self._service = ServiceManager()
        self._waker = Waker()
        self._broker = Broker(settings, self._topics, self._waker.wake)
        self._taken_back = TakenBack(self._topics, self._discovery, self._broker.publish)
        self._configs: dict[str, str] = {}
        self._known: set[str] = set()
        self._steady: dict[str, Steady] = {}
        self._published: dict[str, tuple[Json, float]] = {}
        self._told_again_s = 0.0
        self._retained: dict[str, str] = {}

    def run(self) -> int:
        """Works until SIGTERM or SIGINT; returns the exit code."""
        with shutdown_on_signals() as shutdown:
            self._broker.start()
            event(_log, logging.INFO, "bridge started", broker=self._settings.broker)
            try:
                while not shutdown.requested:
                    self.tick()
                    self._service.turning(self._status)
                    select.select([shutdown.waker, self._waker], [], [], self._settings.every_s)
                    self._waker.drain()
            finally:
                self._service.stopping()
                self._broker.close()
                self._waker.close()
                self._reader.close()
                if self._switches:
                    self._switches.close()
        return shutdown.forced_exit_code if shutdown.forced else 0

    def tick(self) -> None:
        """Looks at Redis once, and tells what is new."""
        if not self._broker.is_connected:
            self._broker.miss()
            return
        heard = self._broker.heard()
        self._note(heard)
        if self._switches and heard.commands:
            self._switches.obey(heard.commands, self._reader.look)
        self._taken_back.tick(time.monotonic())
        self._retain(self._topics.availability, "online")
        self._retain(self._topics.bridge_id, self._broker.id)
        try:
            site = self._reader.look()
            says = list(self._say(site))
        except StoreError as error:
            self._log_of_redis.lost("redis", str(error))
            self._announce(self._discovery.site())
            self._retain(self._topics.redis, "offline")
            self._tell(self._topics.site, states.site_says(False, None))
            return
        self._log_of_redis.back("redis")
        self._log_of_nodes.lost_are(site.away, "what it keeps is not told")
        self._tell_configs(site)
        self._retain(self._topics.redis, "online")
        for topic, state in says:
            self._tell(topic, state)

    @property
    def _status(self) -> str:
        if not self._broker.is_connected:
            return "no broker"
        number = self._broker.refused
        refused = f", {counted(number, 'topic')} refused" if number else ""
        return f"redis {self._retained.get(self._topics.redis, 'offline')}{refused}"

    def _note(self, heard: Heard) -> None:
        """A broker or a Home Assistant that has just started knows nothing."""
        self._known |= heard.configs
        self._taken_back.note(heard, time.monotonic())
        if heard.is_new:
            self._configs, self._published, self._retained = {}, {}, {}
        if heard.is_called_away:
            for topic in (self._topics.availability, self._topics.bridge_id):
                self._retained.pop(topic, None)

    # What there is

    def _tell_configs(self, site: Site) -> None:
        """Makes what Home Assistant knows what there is; what has gone is taken back."""
        configs = {t: config for device in self._devices(site) for t, config in device.items()}
        self._announce(configs)
        if site.away:
            return  # who is missing may be well
        void = self._known - set(configs)
        self._taken_back.take(void)
        self._known = set(configs)
        self._configs = {t: payload for t, payload in self._configs.items() if t in configs}
        state_topics = {config["state_topic"] for config in configs.values()}
        for kept in (self._steady, self._published):
            for topic in kept.keys() - state_topics:
                del kept[topic]

    def _devices(self, site: Site) -> Iterator[dict[str, Json]]:
        yield self._discovery.site()
        for room in site.rooms:
            yield self._discovery.room(room.room)
        for camera in site.cameras:
            yield self._discovery.camera(camera.camera, camera.room)
        for address in {worker_name(worker) for worker in site.workers}:
            yield self._discovery.worker(address)

    def _announce(self, configs: dict[str, Json]) -> None:
        payloads = {topic: as_payload(config) for topic, config in configs.items()}
        new = {t: payload for t, payload in payloads.items() if self._configs.get(t) != payload}
        for topic, payload in new.items():
            self._broker.publish(topic, payload, retain=True)
        if new:
            self._configs |= new
            self._known |= set(new)
            self._taken_back.keep_out(new)
            self._told_again_s = time.monotonic() + _LISTENS_AFTER_S

    # What it says

    def _say(self, site: Site) -> Iterator[tuple[str, Json]]:
        """States by topic; what is not known is not told, so that it expires there."""
        minutes = self._reader.lately([room.room for room in site.rooms], _MINUTE)
        for room, now, minute in zip(site.rooms, site.now, minutes, strict=True):
            if minute is not None and not now.away:
                yield self._topics.room(room.room), states.room_says(room, now, minute)
        for camera in site.cameras:
            yield self._topics.camera(camera.camera), states.camera_says(camera)
        if self._switches:
            yield from self._switches_say(site)
        for address, state in states.workers_say(site.workers).items():
            yield self._topics.worker(address), state
        yield self._topics.site, states.site_says(True, site.workers_alive)

    def _switches_say(self, site: Site) -> Iterator[tuple[str, Json]]:
        for room in site.rooms:
            yield self._topics.room_switch(room.room), states.switch_says(room.paused)
        for camera in site.cameras:
            paused = camera.camera in site.paused_cameras
            yield self._topics.camera_switch(camera.camera), states.switch_says(paused)

    def _tell(self, topic: str, state: Json) -> None:
        """A state that has changed, or was told long ago."""
        now_s = time.monotonic()
        steady = self._steady.setdefault(topic, Steady(self._settings.change_every_s))
        shown = steady.take(state, now_s)
        before, at_s = self._published.get(topic, ({}, 0.0))
        heard = not at_s < self._told_again_s <= now_s
        if shown == before and heard and now_s - at_s < _REPEAT_S:
            return
        self._broker.publish(topic, as_payload(shown), retain=False)
        self._published[topic] = (shown, now_s)

    def _retain(self, topic: str, word: str) -> None:
        if self._retained.get(topic) != word:
            self._broker.publish(topic, word, retain=True)
            self._retained[topic] = word


def switches(settings: MqttSettings, topics: Topics) -> Switches | None:
    """None where the bridge only reads. Raises ConfigError for a login that cannot be used."""
    if settings.operator_redis_url is None:
        return None
    return Switches(settings.operator_redis_url, settings.operator_redis_password_file, topics)
