"""Home Assistant's side of the bridge, on a real broker and a real Redis."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from roommood.aggregator.counting.store import Store
from roommood.aggregator.mqtt.discovery import Topics
from roommood.shared.clock import wall_ms
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import MqttSettings
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.aggregator.made import delivery, face, only, result
from tests.end_to_end.site import until
from tests.mosquitto import PASSWORD, USER, Mosquitto
from tests.redis_server import RedisServer

_ROOT = Path(__file__).parents[3]
TOPICS = Topics()
KITCHEN = TOPICS.room("kitchen")


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
        return json.loads(heard[-1]) if heard else {}

    def configs(self) -> dict[str, Any]:
        """Discovery messages that hold now."""
        with self._lock:
            newest = {heard: payload for heard, payload, _ in self.messages}
        return {
            topic: json.loads(payload)
            for topic, payload in newest.items()
            if topic.endswith("/config") and payload
        }

    def say(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Bridge:
    """`roommood mqtt` as a process."""

    def __init__(self, broker: Mosquitto, server: RedisServer, *options: str) -> None:
        code = "from roommood.deploy.cli import main; main()"
        where = ["--broker", broker.url, "--redis", server.url, "--every-s", "0.2"]
        command = [sys.executable, "-c", code, "mqtt", *where, *options]
        self.log = broker.folder / f"bridge-{id(self)}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=_ROOT, stdout=log, stderr=log)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


@pytest.fixture(scope="module")
def shared_broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture
def broker(shared_broker: Mosquitto) -> Mosquitto:
    """Started anew, so that it retains nothing of the test before."""
    shared_broker.kill()
    shared_broker.start()
    return shared_broker


@pytest.fixture
def fed(server: RedisServer, store: Store) -> RedisServer:
    """A kitchen with two happy faces until now, and a hall long silent."""
    feed(store, "happiness")
    store.touch_rooms({"hall": wall_ms() - 9e8})
    return server


def feed(store: Store, expression: str) -> None:
    now_ms = wall_ms()
    two = (face(only(expression)),) * 2
    session_id = f"boot{round(now_ms)}"
    frames = [
        delivery(
            result(n, *two, session_id=session_id, interval_us=200_000), now_ms - 8000 + n * 200
        )
        for n in range(40)
    ]
    assert not store.commit(frames, now_ms).errors
    store.touch_rooms({"kitchen": now_ms})
    store.write_health({"door": {"room": "kitchen", "silent_ms": 0.0}}, {}, now_ms)


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    one = Listener(broker)
    yield one
    one.close()


@pytest.fixture
def bridge(broker: Mosquitto, fed: RedisServer, listener: Listener) -> Iterator[Bridge]:
    running = Bridge(broker, fed)
    until(lambda: listener.of(KITCHEN), f"the kitchen is told of {running.log.read_text()}")
    until(lambda: listener.of(TOPICS.availability), "it is available")
    until(lambda: listener.of(TOPICS.room("hall")), "the hall is told of")
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGKILL)


def test_rooms_and_cameras_are_told_as_home_assistant_wants_them(
    bridge: Bridge, broker: Mosquitto, listener: Listener
) -> None:
    _every_entity_has_what_it_needs(listener)
    _a_room_is_told_with_its_people_and_expressions(listener)
    _a_silent_room_is_told_without_figures(listener)
    retained = _retained(broker, len(listener.configs()))
    assert TOPICS.availability in retained
    assert not [topic for topic in retained if topic.endswith("/state")]


def _every_entity_has_what_it_needs(listener: Listener) -> None:
    configs = listener.configs()
    kitchen = {t: c for t, c in configs.items() if c["state_topic"] == KITCHEN}
    assert len(kitchen) == 6 + len(EXPRESSIONS)
    assert len({config["unique_id"] for config in configs.values()}) == len(configs)
    state = listener.last(KITCHEN)
    for topic, config in kitchen.items():
        component, key = topic.split("/")[1], topic.split("/")[3]
        assert config["value_template"] == f"{{{{ value_json.{key} }}}}"
        assert key in state
        assert config["expire_after"] > 30
        assert config["availability_topic"] == TOPICS.availability
        assert config["device"]["identifiers"] == ["roommood_room_kitchen"]
        if component == "sensor" and config.get("device_class") not in ("enum", "timestamp"):
            assert config["state_class"] == "measurement"
    assert "emotion" not in json.dumps(configs).lower().replace("emoticon", "")


def _a_room_is_told_with_its_people_and_expressions(listener: Listener) -> None:
    state = listener.last(KITCHEN)
    assert state["people"] == 2.0
    assert state["dominant"] == "happiness"
    assert state["share_happiness"] == 100
    assert state["valence"] > 0.5
    assert state["up"] == "ON"
    assert listener.of(TOPICS.availability)[-1] == b"online"
    until(lambda: listener.last(TOPICS.camera("door")) == {"up": "ON"}, "the camera is up")


def _a_silent_room_is_told_without_figures(listener: Listener) -> None:
    state = listener.last(TOPICS.room("hall"))
    assert state["up"] == "OFF"
    unknown = {key for key, value in state.items() if value is None}
    assert unknown >= {"people", "dominant", "valence", "share_happiness"}


def _retained(broker: Mosquitto, configs: int) -> set[str]:
    """What a client that comes late hears at once, as many discovery messages among it."""
    late = Listener(broker)
    until(lambda: len(late.configs()) == configs, "the retained messages have come")
    late.close()
    return {topic for topic, _, is_retained in late.messages if is_retained}


def test_a_change_is_told(bridge: Bridge, listener: Listener, store: Store) -> None:

    def is_told() -> bool:
        feed(store, "sadness")
        return bool(listener.last(KITCHEN)["dominant"] == "sadness")

    until(is_told, "the kitchen shows sadness")
    assert listener.last(KITCHEN)["share_happiness"] < 100


def test_what_has_not_changed_is_not_told_again(
    bridge: Bridge, listener: Listener, store: Store
) -> None:
    """Only once more, for a Home Assistant that has just heard of the room."""
    hall = TOPICS.room("hall")
    until(lambda: len(listener.of(hall)) == 2, "it is told once more")
    told = len(listener.of(KITCHEN))
    shown = cycle(EXPRESSIONS)

    def have_changed() -> bool:
        feed(store, next(shown))
        return len(listener.of(KITCHEN)) > told + 5

    until(have_changed, "the kitchen has changed five times")
    assert len(listener.of(hall)) == 2


def test_a_forgotten_room_is_taken_back(
    bridge: Bridge, broker: Mosquitto, listener: Listener, store: Store
) -> None:
    store.forget("hall")
    until(lambda: not [c for c in listener.configs() if "room_hall" in c], "the hall is gone")
    assert [c for c in listener.configs().values() if c["state_topic"] == KITCHEN]


def test_a_room_forgotten_while_no_bridge_ran_is_taken_back_by_the_next(
    bridge: Bridge, broker: Mosquitto, fed: RedisServer, listener: Listener, store: Store
) -> None:
    until(lambda: [c for c in listener.configs() if "room_hall" in c], "the hall is known")
    listener.say("homeassistant/sensor/other/thing/config", '{"state_topic": "other/hall"}')
    assert bridge.end() == 0
    until(lambda: listener.of(TOPICS.availability)[-1] == b"offline", "it says that it has ended")
    store.forget("hall")
    assert [c for c in listener.configs() if "room_hall" in c]
    following = Bridge(broker, fed)
    until(lambda: not [c for c in listener.configs() if "room_hall" in c], "the hall is gone")
    assert "homeassistant/sensor/other/thing/config" in listener.configs()
    assert following.end() == 0


def test_a_bridge_that_is_killed_leaves_its_last_will(bridge: Bridge, listener: Listener) -> None:
    bridge.end(signal.SIGKILL)
    assert until(lambda: listener.of(TOPICS.availability)[-1] == b"offline", "its last will")


def test_a_home_assistant_or_a_broker_that_starts_is_told_everything(
    bridge: Bridge, broker: Mosquitto, listener: Listener
) -> None:
    def count() -> int:
        return len([topic for topic, _, _ in listener.messages if topic.endswith("/config")])

    before = count()
    listener.say(TOPICS.birth, "online")
    assert until(lambda: count() >= 2 * before, "all discovery messages come again")
    broker.kill()
    broker.start()
    late = Listener(broker)
    assert until(lambda: late.of(KITCHEN), "the kitchen is told of")
    assert KITCHEN in {config["state_topic"] for config in late.configs().values()}
    late.close()


@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_while_redis_is_away_nothing_is_available(
    bridge: Bridge, listener: Listener, fed: RedisServer, how: str
) -> None:
    (fed.kill if how == "killed" else fed.freeze)()
    try:
        assert until(lambda: listener.of(TOPICS.availability)[-1] == b"offline", "it says so")
    finally:
        (fed.start if how == "killed" else fed.thaw)()
    assert until(lambda: listener.of(TOPICS.availability)[-1] == b"online", "it is back")
    assert bridge.process.poll() is None


# Who is let in


@pytest.fixture(scope="module")
def secured() -> Iterator[Mosquitto]:
    with Mosquitto(secured=True) as running:
        yield running


def access(broker: Mosquitto, password: str, ca_file: Path) -> list[str]:
    path = broker.folder / f"password-{abs(hash(password))}"
    path.write_text(password + "\n")
    path.chmod(0o600)
    return ["--user", USER, "--password-file", str(path), "--ca-file", str(ca_file)]


def test_tls_and_a_password_let_it_in(secured: Mosquitto, fed: RedisServer) -> None:
    listener = Listener(secured)
    bridge = Bridge(secured, fed, *access(secured, PASSWORD, secured.ca_file))
    until(lambda: listener.of(KITCHEN), "the kitchen is told of")
    assert bridge.end() == 0
    assert PASSWORD not in bridge.log.read_text()
    listener.close()


@pytest.mark.parametrize("wrong", ["password", "certificate"])
def test_a_broker_that_is_another_or_does_not_know_us_is_told_nothing(
    secured: Mosquitto, fed: RedisServer, wrong: str
) -> None:
    listener = Listener(secured)
    other = secured.certificate("other")[0] if wrong == "certificate" else secured.ca_file
    password = "guessed" if wrong == "password" else PASSWORD
    bridge = Bridge(secured, fed, *access(secured, password, other))
    until(lambda: "broker lost" in bridge.log.read_text(), "it says that it cannot")
    bridge.end()
    assert not listener.of(KITCHEN)
    listener.close()


def test_the_network_reads_along_only_where_that_was_allowed() -> None:
    with pytest.raises(ConfigError, match="mqtts://"):
        MqttSettings(broker="mqtt://home:1883")
    assert MqttSettings(broker="mqtt://home:1883", insecure=True)
    assert MqttSettings(broker="mqtts://home").port == 8883


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"broker": "http://x"}, "mqtt://HOST:PORT"),
        ({"broker": "mqtt://me:pw@localhost"}, "--password-file"),
        ({"broker": "mqtt://localhost:99999"}, "no broker"),
        ({"ca_file": Path("x")}, "mqtts://"),
        ({"password_file": Path("x")}, "--user"),
        ({"prefix": "a/b"}, "no topic prefix"),
        ({"discovery_prefix": "#"}, "no topic prefix"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        MqttSettings(**settings)


def test_a_password_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret\n")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        _ = MqttSettings(user="me", password_file=path).password
    path.chmod(0o600)
    assert MqttSettings(user="me", password_file=path).password == "secret"
