"""From Redis to an MQTT broker: `roommood mqtt`. It reads Redis and listens to nobody's orders."""

import logging
import select
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from roommood.aggregator.mqtt import discovery
from roommood.aggregator.mqtt.discovery import Json, Topics, as_payload
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.site import Site, SiteReader
from roommood.shared.errors import ConfigError, StoreError
from roommood.shared.process.logs import event
from roommood.shared.process.runtime import ConnectionLog, Waker, new_id, shutdown_on_signals
from roommood.shared.process.service import ServiceManager
from roommood.shared.process.settings import MqttSettings

_log = logging.getLogger(__name__)
_MINUTE: Final = timedelta(minutes=1)
# A state that has not changed is told again after so long, well before it expires.
_REPEAT_S: Final = discovery.EXPIRE_AFTER_S / 3
# From a discovery message to when Home Assistant listens to the states of its entity.
_LISTENS_AFTER_S: Final = 3.0
_FAREWELL_S: Final = 2.0
# Reconnecting: seconds until the first try, doubling up to the second.
_RETRY_S: Final = (1, 30)
# Discovery messages of earlier runs that are remembered, to be taken back where they are void.
_MOST_CONFIGS: Final = 100_000


class Bridge:
    """Tells a broker of all rooms and cameras until told to stop.

    The broker's client runs a thread of its own; what it hears is only noted.
    """

    def __init__(self, settings: MqttSettings) -> None:
        """Raises ConfigError for files that cannot be used."""
        self._settings = settings
        self._topics = Topics(settings.prefix, settings.discovery_prefix)
        self._reader = SiteReader(settings.redis_url, settings.redis_password_file)
        self._log_of_redis, self._log_of_broker = ConnectionLog("redis"), ConnectionLog("broker")
        self._service = ServiceManager()
        self._log_of_nodes = ConnectionLog("redis node")
        self._mqtt = self._make_mqtt()
        self._waker = Waker()
        self._lock = threading.Lock()
        self._start_anew = False
        self._configs_seen: set[str] = set()
        self._configs: dict[str, str] = {}
        self._published: dict[str, tuple[Json, float]] = {}
        self._told_again_s = 0.0
        self._available = ""

    def run(self) -> int:
        """Works until SIGTERM or SIGINT; returns the exit code."""
        settings = self._settings
        with shutdown_on_signals() as shutdown:
            self._mqtt.connect_async(settings.host, settings.port, keepalive=30)
            self._mqtt.loop_start()
            event(_log, logging.INFO, "bridge started", broker=settings.broker)
            try:
                while not shutdown.requested:
                    self.tick()
                    self._service.turning(self._available or "no broker")
                    select.select([shutdown.waker, self._waker], [], [], settings.every_s)
                    self._waker.drain()
            finally:
                self._service.stopping()
                self._say_farewell()
        return shutdown.forced_exit_code if shutdown.forced else 0

    def tick(self) -> None:
        """Looks at Redis once, and tells what is new."""
        if not self._mqtt.is_connected():
            return
        self._begin_anew_if_due()
        try:
            site = self._reader.look()
            rooms = [room.room for room in site.rooms]
            minutes = self._reader.lately(rooms, _MINUTE)
        except StoreError as error:
            self._log_of_redis.lost("redis", str(error))
            self._say_available("offline")
            return
        self._log_of_redis.back("redis")
        self._log_of_nodes.lost_are(site.away, "what it keeps is not told")
        self._tell_configs(site)
        self._say_available("online")
        for now, minute in zip(site.now, minutes, strict=True):
            if now.away or minute is None:
                continue  # what is not known is not told: it expires there
            self._tell(self._topics.room(now.room), discovery.room_state(now, minute), _newest(now))
        for camera in site.cameras:
            self._tell(self._topics.camera(camera.camera), discovery.camera_state(camera), {})

    # What is told

    def _tell_configs(self, site: Site) -> None:
        """Makes what Home Assistant knows what there is; what has gone is taken back."""
        configs: dict[str, Json] = {}
        for room in site.rooms:
            configs |= discovery.room_configs(self._topics, room.room)
        for camera in site.cameras:
            configs |= discovery.camera_configs(self._topics, camera.camera)
        payloads = {topic: as_payload(config) for topic, config in configs.items()}
        new = {t: payload for t, payload in payloads.items() if self._configs.get(t) != payload}
        for topic, payload in new.items():
            self._publish(topic, payload, retain=True)
        if new:
            self._configs |= new
            self._told_again_s = time.monotonic() + _LISTENS_AFTER_S
        with self._lock:
            void = (self._configs_seen | set(self._configs)) - set(configs)
            self._configs_seen &= set(configs)
        self._take_back(void)

    def _take_back(self, topics: Iterable[str]) -> None:
        for topic in topics:
            event(_log, logging.INFO, "discovery message removed", topic=topic)
            self._publish(topic, "", retain=True)
            self._configs.pop(topic, None)

    def _tell(self, topic: str, state: Json, beside: Mapping[str, Any]) -> None:
        """A state that has changed, or was told long ago. `beside` alone is no change."""
        now_s = time.monotonic()
        before, at_s = self._published.get(topic, ({}, 0.0))
        heard = not at_s < self._told_again_s <= now_s
        if state == before and heard and now_s - at_s < _REPEAT_S:
            return
        self._publish(topic, as_payload({**state, **beside}), retain=False)
        self._published[topic] = (state, now_s)

    def _say_available(self, word: str) -> None:
        if word != self._available:
            self._publish(self._topics.availability, word, retain=True)
            self._available = word

    def _publish(self, topic: str, payload: str, *, retain: bool) -> None:
        self._mqtt.publish(topic, payload, qos=1 if retain else 0, retain=retain)

    def _say_farewell(self) -> None:
        if self._mqtt.is_connected():
            last = self._mqtt.publish(self._topics.availability, "offline", qos=1, retain=True)
            last.wait_for_publish(_FAREWELL_S)
            self._mqtt.disconnect()
            self._mqtt.loop_stop()
        # Without a connection its thread may wait for a name server: it ends with the process.
        self._waker.close()
        self._reader.close()

    # The client

    def _make_mqtt(self) -> Any:
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        settings = self._settings
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"roommood-{new_id()}")
        if settings.user:
            client.username_pw_set(settings.user, settings.password)
        if settings.uses_tls:
            try:
                client.tls_set(ca_certs=str(settings.ca_file) if settings.ca_file else None)
            except OSError as error:
                raise ConfigError(f"--ca-file {settings.ca_file}: {error}") from error
        client.will_set(self._topics.availability, "offline", qos=1, retain=True)
        client.reconnect_delay_set(*_RETRY_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda *_: self._lost("no answer")
        client.on_disconnect = lambda _client, _data, _flags, reason, _more: self._lost(reason)
        client.on_message = self._on_message
        return client

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if reason.is_failure:
            self._lost(reason)
            return
        self._log_of_broker.back(self._settings.broker)
        client.subscribe([(self._topics.all_configs, 1), (self._topics.birth, 1)])
        self._ask_anew()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        if message.topic == self._topics.birth:
            if message.payload == b"online":
                self._ask_anew()
        elif self._topics.is_ours(message.payload):
            with self._lock:
                if len(self._configs_seen) < _MOST_CONFIGS:
                    self._configs_seen.add(message.topic)

    def _lost(self, why: Any) -> None:
        self._log_of_broker.lost(self._settings.broker, str(why))

    def _ask_anew(self) -> None:
        with self._lock:
            self._start_anew = True
        self._waker.wake()

    def _begin_anew_if_due(self) -> None:
        """A broker or a Home Assistant that has just started knows nothing."""
        with self._lock:
            due, self._start_anew = self._start_anew, False
        if due:
            self._configs, self._published, self._available = {}, {}, ""


def _newest(now: RoomNow) -> dict[str, str | None]:
    captured = now.captured
    return {"newest": None if captured is None else captured.isoformat(timespec="seconds")}
