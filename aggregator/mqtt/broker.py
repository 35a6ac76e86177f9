"""The connection to the broker, made again and again by a thread of its own; what it hears is only
noted.
"""

import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from roommood.aggregator.mqtt.client import Abilities, Client, updated
from roommood.aggregator.mqtt.heard import Heard, SwitchCommand
from roommood.aggregator.mqtt.refusals import Refusals
from roommood.aggregator.mqtt.topics import Topics
from roommood.aggregator.mqtt.unreached import why_not_reached
from roommood.aggregator.mqtt.version import Ending, Version
from roommood.shared.errors import ConfigError
from roommood.shared.process.logs import RateLimitedLog, event
from roommood.shared.process.runtime import ConnectionLog, Deadline, new_id
from roommood.shared.process.settings import MqttSettings
from roommood.shared.protocol.limits import UNREACHED_MS

_log = logging.getLogger(__name__)
_FAREWELL_S: Final = 2.0
# Reconnecting: seconds until the first try, doubling up to the second, which is also how long a
# connection has to hold to count as one that works.
_RETRY_S: Final = (1.0, 30.0)
# Discovery messages of earlier runs that are remembered, to be taken back where they are void.
_MOST_CONFIGS: Final = 100_000
# Commands between two looks at Redis.
_MOST_COMMANDS: Final = 1_000
# Other bridges of the same prefix that are told of.
_MOST_OTHERS: Final = 100
# Seconds for a first answer, until it is told that there is none.
_FIRST_ANSWER_S: Final = UNREACHED_MS / 1_000
# What MQTT adds to a topic and its payload, at most.
_PACKET_BYTES: Final = 16
# By the library's words, for what brokers answer to another version than theirs, or answer by
# another version than they say.
_NO_SUCH_VERSION: Final = "Unsupported protocol version"
_NO_REASON: Final = "Unspecified error"
_NOT_UNDERSTOOD: Final = (_NO_SUCH_VERSION, "Protocol error", "Malformed packet")


class Broker:
    """Connects again and again; `wake` is called when something new was heard.

    By MQTT 5, or 3.1.1 (see `Version`). It listens to commands only where the settings name an
    operator's login."""

    def __init__(self, settings: MqttSettings, topics: Topics, wake: Callable[[], None]) -> None:
        """Raises ConfigError for files that cannot be used."""
        self._settings, self._topics, self._wake = settings, topics, wake
        self._log = ConnectionLog("broker")
        self._limited_log = RateLimitedLog(_log)
        may = f"let the broker's user read and write {topics.base}/# and {topics.discovery}/#"
        self._refusals = Refusals(self._limited_log, may)
        self._lock = threading.Lock()
        self._heard = Heard()
        self._first_answer: Deadline | None = None
        # What it answered to this connection: None for nothing yet, "" that we are let in.
        self._refusal: str | None = None
        # Whether this connection was for nothing but to learn which MQTT it speaks.
        self._was_trial = False
        self._is_up = False
        self._up_since_s: float | None = None
        self._asked: list[str] = []
        self.id = new_id()
        self._others: set[bytes] = set()
        self._is_closing = threading.Event()
        self._password = settings.password
        self._tls = _tls_context(settings)
        self._abilities = Abilities()
        self._version = Version()
        self._client = self._make_client()

    def start(self) -> None:
        self._first_answer = Deadline(_FIRST_ANSWER_S)
        # Without a connection it may wait for a name server: it ends with the process.
        threading.Thread(target=self._run, name="mqtt", daemon=True).start()

    def close(self) -> None:
        """Says farewell, as its last will would."""
        self._is_closing.set()
        ours = self._client
        if self.is_connected:
            last = ours.publish(self._topics.availability, "offline", qos=1, retain=True)
            # Lost meanwhile: then the last will says it.
            with contextlib.suppress(RuntimeError, ValueError):
                last.wait_for_publish(_FAREWELL_S)
            ours.disconnect()
            ours.loop_stop()

    def miss(self) -> None:
        """To be called while it is not connected: its client waits long for some first answers."""
        if self._first_answer is not None and self._first_answer.passed:
            self._first_answer = None
            self._lost(f"no answer within {_FIRST_ANSWER_S:g} s, it is still tried")

    @property
    def is_connected(self) -> bool:
        return self._is_up

    @property
    def refused(self) -> int:
        """Topics at which it takes nothing, as far as it says."""
        return len(self._refusals)

    def publish(self, topic: str, payload: str, *, retain: bool) -> None:
        """Retained messages are acknowledged, so that it is known which of them it refuses."""
        most, size = self._abilities.most_bytes, len(topic) + len(payload.encode()) + _PACKET_BYTES
        if most is not None and size > most:
            self._refusals.refuse(topic, f"it has {size} bytes, the broker takes {most} at most")
            return
        number, waits = self._client.tell(topic, payload, retain=retain)
        if not waits:
            self._refusals.refuse(topic, "the broker acknowledges nothing")
        elif retain:
            self._refusals.sent(number, topic)

    def heard(self) -> Heard:
        """What came since the last call."""
        self._refusals.note()
        with self._lock:
            heard, self._heard = self._heard, Heard()
        return heard

    def _make_client(self) -> Client:
        client = Client(
            self._settings,
            self._password,
            self._tls,
            self._topics.availability,
            self._abilities,
            is_v5=self._version.is_v5,
        )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        return client

    # In a thread of its own

    def _run(self) -> None:
        retry_s = _RETRY_S[0]
        while not self._is_closing.is_set():
            if self._connect() > _RETRY_S[1]:
                retry_s = _RETRY_S[0]
            if not self._was_trial:
                self._is_closing.wait(retry_s)
                retry_s = min(retry_s * 2, _RETRY_S[1])
            self._client = self._make_client()

    def _connect(self) -> float:
        """Once; returns for how many seconds it held."""
        self._refusal, self._up_since_s, self._was_trial = None, None, False
        try:
            self._client.run()
        except Exception as error:  # whatever the library raises: it is tried again
            self._version.unreached()
            self._lost(self._why_not(error))
        self._is_up = False
        if self._client.failure:
            self._lost(self._client.failure)
            self._version.ended(Ending.NOT_UNDERSTOOD)
        return 0.0 if self._up_since_s is None else time.monotonic() - self._up_since_s

    def _why_not(self, error: Exception) -> str:
        """The client does not say why it could not connect: one more try does."""
        if not isinstance(error, OSError):
            return f"it cannot be asked: {error}"
        return why_not_reached(self._settings.host, self._settings.port, self._tls)

    # In the client's thread

    def _on_connect(
        self, client: Any, _data: Any, _flags: Any, reason: Any, properties: Any
    ) -> None:
        self._refusal = str(reason) if reason.is_failure else ""
        if reason.is_failure:
            return  # the connection's end tells it
        self._was_trial = not self._version.is_kept
        if self._was_trial:
            client.disconnect()
            return
        self._abilities = updated(self._abilities, properties)
        self._refusals.clear()
        self._log.back(self._settings.broker)
        if not client.is_v5:
            event(
                _log, logging.INFO, "MQTT 3.1.1 is spoken: what the broker refuses it does not say"
            )
        self._subscribe(client)
        with self._lock:
            self._heard.is_new = True
            late, self._heard.commands = self._heard.commands, []
        for command in late:
            self._ignore(command, "the broker was lost before it could be obeyed")
        self._up_since_s, self._is_up = time.monotonic(), True
        self._wake()

    def _subscribe(self, client: Client) -> None:
        """Discovery messages without acknowledgement: of others a broker queues a thousand, and
        there may be more."""
        topics = self._topics
        asked = {topics.all_configs: 0, topics.birth: 1}
        asked |= dict.fromkeys((topics.taken_back, topics.availability, topics.bridge_id), 1)
        if self._settings.has_switches:
            asked |= dict.fromkeys(topics.all_commands, 1)
        self._asked = list(asked)
        client.hear(list(asked.items()))

    def _on_subscribe(self, _c: Any, _data: Any, _number: Any, reasons: Any, _more: Any) -> None:
        for topic, reason in zip(self._asked, reasons, strict=False):
            if reason.is_failure:
                self._limited_log.event(
                    "subscription refused", topic=topic, why=self._refusals.with_advice(str(reason))
                )

    def _on_publish(self, _c: Any, _data: Any, number: int, reason: Any, _more: Any) -> None:
        self._refusals.answered(number, str(reason) if reason.is_failure else "")

    def _on_disconnect(self, client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        refusal, self._is_up = self._refusal, False
        why = refusal or str(reason).replace(
            _NO_REASON, "it ended the connection and said no reason"
        )
        if refusal is None:
            why = self._no_broker()  # an older one just hangs up
        self._version.ended(_ending(refusal, why))
        is_ours = self._was_trial or self._is_closing.is_set()
        if not is_ours and (why != _NO_SUCH_VERSION or not client.is_v5):
            self._lost(why)

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # of nobody who speaks MQTT
        if self._topics.switched_by(topic):
            self._note_command(SwitchCommand(topic, message.payload, bool(message.retain)))
        elif self._note(topic, message.payload, bool(message.retain)):
            self._wake()

    def _note(self, topic: str, payload: bytes, is_retained: bool) -> bool:
        """Returns whether it cannot wait."""
        topics = self._topics
        with self._lock:
            heard = self._heard
            if topic == topics.birth:
                heard.home_is_up = payload == b"online"
                heard.is_new |= heard.home_is_up
            elif topic in (topics.availability, topics.bridge_id) and not is_retained:
                heard.is_called_away |= self._is_contradicted(payload)
                return heard.is_called_away
            elif is_retained and topic == topics.taken_back:
                heard.taken_back |= topics.of_list(payload)
            elif is_retained and self._may_be_void(topic, payload):
                heard.configs.add(topic)
        return topic == topics.birth

    def _is_contradicted(self, payload: bytes) -> bool:
        """Whether another client says something else of the bridge than it does itself: the last
        will of an earlier connection, which comes late where its machine lost its power, a person
        who deletes what the broker keeps, or another bridge. Which is answered once, so that it
        learns of this one as well."""
        if payload in (b"", b"offline", b"online", self.id.encode()):
            return payload in (b"", b"offline")
        if payload in self._others or len(self._others) == _MOST_OTHERS:
            return False
        self._others.add(payload)
        self._limited_log.event(
            "another bridge uses the same topics, each takes the other's devices back",
            prefix=self._topics.base, todo="give each its own --prefix",
        )  # fmt: skip
        return True

    def _note_command(self, command: SwitchCommand) -> None:
        with self._lock:
            has_room = len(self._heard.commands) < _MOST_COMMANDS
            if has_room:
                self._heard.commands.append(command)
        if not has_room:
            self._ignore(command, f"more than {_MOST_COMMANDS} came at once")
        self._wake()

    def _ignore(self, command: SwitchCommand, why: str) -> None:
        self._limited_log.event("command ignored", topic=command.topic, why=why)

    def _may_be_void(self, topic: str, payload: bytes) -> bool:
        has_room = len(self._heard.configs) < _MOST_CONFIGS
        return has_room and self._topics.is_ours(topic, payload)

    def _lost(self, why: str) -> None:
        self._first_answer = None
        self._log.lost(self._settings.broker, why)

    def _no_broker(self) -> str:
        more = "one that wants TLS is reached by mqtts://"
        if self._tls:
            more = (
                "one that wants a certificate of its clients is not for the bridge, which has none"
            )
        return f"what listens there does not answer as a broker does: is it the right port?; {more}"


def _ending(refusal: str | None, why: str) -> Ending:
    if refusal is None:
        return Ending.HUNG_UP
    if why in _NOT_UNDERSTOOD:
        return Ending.NOT_UNDERSTOOD
    return Ending.REFUSED if refusal else Ending.WORKED


def _tls_context(settings: MqttSettings) -> ssl.SSLContext | None:
    if not settings.uses_tls:
        return None
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigError(f"--ca-file {settings.ca_file}: {error}") from error
