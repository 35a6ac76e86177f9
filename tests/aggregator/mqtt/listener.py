"""A client of a broker that hears everything."""

import json
import threading
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.mosquitto import PASSWORD, USER, Mosquitto


class Listener:
    """A client that hears everything, as Home Assistant would when it has just started."""

    def __init__(self, broker: Mosquitto) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._lock = threading.Lock()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if broker.secured:
            self._client.tls_set(ca_certs=str(broker.ca_file))
            self._client.username_pw_set(USER, PASSWORD)
        self._client.on_message = self._hear
        subscribed = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("localhost", broker.port)
        self._client.loop_start()
        assert subscribed.wait(10)

    def _hear(self, _client: Any, _data: Any, message: Any) -> None:
        with self._lock:
            self.messages.append((message.topic, message.payload, message.retain))

    def of(self, topic: str) -> list[bytes]:
        with self._lock:
            return [payload for heard, payload, _ in self.messages if heard == topic]

    def last(self, topic: str) -> Any:
        """The newest message as JSON, {} before the first."""
        heard = self.of(topic)
        return json.loads(heard[-1] or b"{}") if heard else {}

    def configs(self) -> dict[str, Any]:
        """Discovery messages that hold now."""
        with self._lock:
            newest = {heard: payload for heard, payload, _ in self.messages}
        return {
            topic: json.loads(payload)
            for topic, payload in newest.items()
            if topic.endswith("/config") and payload
        }

    def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
