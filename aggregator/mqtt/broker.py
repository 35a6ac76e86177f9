"""The connection to the broker. Its client has a thread of its own; what it hears is only noted."""

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from roommood.aggregator.mqtt.topics import Topics
from roommood.shared.errors import ConfigError
from roommood.shared.process.logs import RateLimitedLog
from roommood.shared.process.runtime import ConnectionLog, Deadline, new_id
from roommood.shared.process.settings import MqttSettings
from roommood.shared.protocol.limits import UNREACHED_MS

_log = logging.getLogger(__name__)
_FAREWELL_S: Final = 2.0
# Reconnecting: seconds until the first try, doubling up to the second.
_RETRY_S: Final = (1, 30)
_KEEPALIVE_S: Final = 30
# Discovery messages of earlier runs that are remembered, to be taken back where they are void.
_MOST_CONFIGS: Final = 100_000
# Commands between two looks at Redis.
_MOST_COMMANDS: Final = 1_000
_PROBE_S: Final = 3.0
# Seconds for a first answer, until it is told that there is none.
_FIRST_ANSWER_S: Final = UNREACHED_MS / 1_000
# OpenSSL's numbers for a certificate that is for another name or address.
_OTHER_NAME: Final = (62, 64)


@dataclass(frozen=True, slots=True)
class SwitchCommand:
    """What somebody sent to a command topic. `is_retained`: who knows when."""

    topic: str
    payload: bytes
    is_retained: bool = False


@dataclass(slots=True)
class Heard:
    """What came since the last look. `home_is_up`: what Home Assistant said of itself, None for
    nothing; `is_new`: it has just started, or the broker has, and knows nothing."""

    is_new: bool = False
    home_is_up: bool | None = None
    configs: set[str] = field(default_factory=set)
    taken_back: set[str] = field(default_factory=set)
    commands: list[SwitchCommand] = field(default_factory=list)


class Broker:
    """Connects again and again; `wake` is called when something new was heard.

    It listens to commands only where the settings name an operator's login."""

    def __init__(self, settings: MqttSettings, topics: Topics, wake: Callable[[], None]) -> None:
        """Raises ConfigError for files that cannot be used."""
        self._settings, self._topics, self._wake = settings, topics, wake
        self._log = ConnectionLog("broker")
        self._limited_log = RateLimitedLog(_log)
        self._lock = threading.Lock()
        self._heard = Heard()
        self._first_answer: Deadline | None = None
        # What it answered to this connection: None for nothing yet, "" that we are let in.
        self._refusal: str | None = None
        self._tls = _tls_context(settings)
        self._client = self._make_client()

    def start(self) -> None:
        settings = self._settings
        self._client.connect_async(settings.host, settings.port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()
        self._first_answer = Deadline(_FIRST_ANSWER_S)

    def close(self) -> None:
        """Says farewell, as its last will would."""
        if self.is_connected:
            last = self._client.publish(self._topics.availability, "offline", qos=1, retain=True)
            # Lost meanwhile: then the last will says it.
            with contextlib.suppress(RuntimeError):
                last.wait_for_publish(_FAREWELL_S)
            self._client.disconnect()
            self._client.loop_stop()
        # Without a connection its thread may wait for a name server: it ends with the process.

    def miss(self) -> None:
        """To be called while it is not connected: its client waits long for some first answers."""
        if self._first_answer is not None and self._first_answer.passed:
            self._first_answer = None
            self._lost(f"no answer within {_FIRST_ANSWER_S:g} s, it is still tried")

    @property
    def is_connected(self) -> bool:
        return bool(self._client.is_connected())

    def publish(self, topic: str, payload: str, *, retain: bool) -> None:
        self._client.publish(topic, payload, qos=1 if retain else 0, retain=retain)

    def heard(self) -> Heard:
        """What came since the last call."""
        with self._lock:
            heard, self._heard = self._heard, Heard()
        return heard

    def _make_client(self) -> Any:
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        settings = self._settings
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"roommood-{new_id()}")
        if settings.user:
            client.username_pw_set(settings.user, settings.password)
        if self._tls:
            client.tls_set_context(self._tls)
        client.will_set(self._topics.availability, "offline", qos=1, retain=True)
        client.reconnect_delay_set(*_RETRY_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda *_: self._lost(self._why_not())
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    # In the client's thread

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self._refusal = str(reason) if reason.is_failure else ""
        if reason.is_failure:
            self._lost(self._refusal)
            return
        self._log.back(self._settings.broker)
        topics = [self._topics.all_configs, self._topics.birth, self._topics.taken_back]
        if self._settings.has_switches:
            topics += self._topics.all_commands
        client.subscribe([(topic, 1) for topic in topics])
        with self._lock:
            self._heard.is_new = True
            late, self._heard.commands = self._heard.commands, []
        for command in late:
            self._ignore(command, "the broker was lost before it could be obeyed")
        self._wake()

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _: Any) -> None:
        refusal, self._refusal = self._refusal, None
        self._lost(self._no_broker() if refusal is None else refusal or str(reason))

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        topics, payload = self._topics, message.payload
        if topics.switched_by(message.topic):
            self._note_command(SwitchCommand(message.topic, payload, bool(message.retain)))
            return
        with self._lock:
            if message.topic == topics.birth:
                self._heard.home_is_up = payload == b"online"
                self._heard.is_new |= self._heard.home_is_up
            elif not message.retain:
                pass  # an echo of our own
            elif message.topic == topics.taken_back:
                self._heard.taken_back |= topics.of_list(payload)
            elif self._may_be_void(message.topic, payload):
                self._heard.configs.add(message.topic)
        if message.topic == topics.birth:
            self._wake()

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
        tls = "" if self._tls else "; one that wants TLS is reached by mqtts://"
        return f"what listens there does not answer as a broker does: is it the right port?{tls}"

    def _why_not(self) -> str:
        """The client does not say why it could not connect: one more try does."""
        return why_not_reached(self._settings.host, self._settings.port, self._tls)


def why_not_reached(host: str, port: int, tls: ssl.SSLContext | None) -> str:
    """Why nobody can talk to a broker there; blocks for a few seconds at most."""
    try:
        with socket.create_connection((host, port), _PROBE_S) as plain:
            return _why_no_tls(plain, host, port, tls) if tls else "no answer"
    except TimeoutError:
        return f"no answer within {_PROBE_S:g} s"
    except OSError as error:
        return error.strerror or str(error)


def _why_no_tls(plain: socket.socket, host: str, port: int, tls: ssl.SSLContext) -> str:
    try:
        tls.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _OTHER_NAME:
            return f"its certificate is for another name: {error.verify_message}"
        return (
            f"its certificate is not trusted: {error.verify_message}; name the authority that "
            "signed it with --ca-file"
        )
    except (ssl.SSLError, ConnectionError) as error:
        return f"no TLS at port {port}: {error.strerror or error}"
    return "no answer"


def _tls_context(settings: MqttSettings) -> ssl.SSLContext | None:
    if not settings.uses_tls:
        return None
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigError(f"--ca-file {settings.ca_file}: {error}") from error
