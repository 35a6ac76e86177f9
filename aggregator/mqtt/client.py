"""One connection to a broker: paho's client, told what a connection of the bridge is."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from roommood.shared.process.runtime import new_id
from roommood.shared.process.settings import MqttSettings

_KEEPALIVE_S: Final = 30
# Seconds for a first answer by MQTT 5; by 3.1.1 it may come as late as any other.
_V5_ANSWER_S: Final = 10.0
# Messages that the broker has not acknowledged; beyond that it is told that they are not sent.
_MOST_WAITING: Final = 100_000


@dataclass(frozen=True, slots=True)
class Abilities:
    """Of a broker. `in_flight`: messages that it takes before it has acknowledged the first;
    `most_bytes`: of one packet, None for any."""

    in_flight: int = 20
    most_bytes: int | None = None


class Client(paho.Client):
    """For one connection, with a thread of its own: each begins with nothing left of the former.

    What ended it though nobody foresaw it stands in `failure`: the library's thread would end with
    a traceback, and the client would say for ever that it is connected."""

    def __init__(
        self,
        settings: MqttSettings,
        password: str | None,
        tls: ssl.SSLContext | None,
        last_will: str,
        abilities: Abilities,
        *,
        is_v5: bool,
    ) -> None:
        """`last_will`: the topic at which the broker is to say "offline"."""
        version = MQTTProtocolVersion.MQTTv5 if is_v5 else MQTTProtocolVersion.MQTTv311
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=f"roommood-{new_id()}",
            protocol=version,
            reconnect_on_failure=False,
        )
        self.is_v5 = is_v5
        self.failure = ""
        self._has_ended = threading.Event()
        self._address = settings.host, settings.port
        if settings.user:
            self.username_pw_set(settings.user, password)
        if tls:
            self.tls_set_context(tls)
        self.will_set(last_will, "offline", qos=1, retain=True)
        self.max_queued_messages_set(_MOST_WAITING)
        self.max_inflight_messages_set(abilities.in_flight)

    def run(self) -> None:
        """Connects, and returns when it has ended. Raises what connecting raises."""
        try:
            self.connect(*self._address, keepalive=_KEEPALIVE_S)
            self.loop_start()
            # Some that know no MQTT 5 never say so.
            if self.is_v5 and not self._has_ended.wait(_V5_ANSWER_S) and not self.is_connected():
                self._hang_up()
            self._has_ended.wait()
        finally:
            # Without a farewell, so that the broker tells the last will.
            if (link := self.socket()) is not None:
                with contextlib.suppress(OSError):
                    link.close()

    def _hang_up(self) -> None:
        if (link := self.socket()) is not None:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]

    def loop_forever(
        self, timeout: float = 1.0, retry_first_connection: bool = False
    ) -> MQTTErrorCode:
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as error:  # of the library, by what a broker sends
            self.failure = f"what came from it was not understood ({type(error).__name__})"
            return MQTTErrorCode.MQTT_ERR_UNKNOWN
        finally:
            self._has_ended.set()

    def hear(self, topics: Sequence[tuple[str, int]]) -> None:
        """Subscribes, but not to what it says itself where the broker can tell that."""
        asked: Any = topics
        if self.is_v5:
            asked = [(topic, SubscribeOptions(qos=qos, noLocal=True)) for topic, qos in topics]
        self.subscribe(asked)

    def tell(self, topic: str, payload: str, *, retain: bool) -> tuple[int, bool]:
        """Retained messages are acknowledged; returns a message's number, and whether it waits to
        be sent."""
        sent = self.publish(topic, payload, qos=1 if retain else 0, retain=retain)
        return sent.mid, sent.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE


def updated(abilities: Abilities, properties: Properties | None) -> Abilities:
    """What a broker is able to, with what it said as it let us in."""
    in_flight = getattr(properties, "ReceiveMaximum", abilities.in_flight)
    size = getattr(properties, "MaximumPacketSize", None)
    return replace(abilities, in_flight=min(abilities.in_flight, in_flight), most_bytes=size)
