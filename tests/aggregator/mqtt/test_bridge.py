"""Home Assistant's side of the bridge, on a real broker and a real Redis."""

import json
import signal
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from roommood.aggregator.counting.store import Store
from roommood.aggregator.mqtt.topics import Topics
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import MqttSettings
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.shared.quiet_hours import RoomQuietHours
from tests.aggregator.mqtt.bridges import Bridge, commit_frames
from tests.aggregator.mqtt.listener import Listener
from tests.end_to_end.site import until
from tests.mosquitto import PASSWORD, USER, Mosquitto
from tests.redis_server import RedisServer

TOPICS = Topics()
KITCHEN = TOPICS.room("kitchen")


@pytest.fixture
def bridge(broker: Mosquitto, fed: RedisServer, listener: Listener) -> Iterator[Bridge]:
    with Bridge(broker, fed) as running:
        until(lambda: listener.of(KITCHEN), f"the kitchen is told of {running.log.read_text()}")
        until(lambda: listener.of(TOPICS.availability), "it is available")
        until(lambda: listener.of(TOPICS.redis), "and so is Redis")
        until(lambda: listener.of(TOPICS.room("hall")), "the hall is told of")
        yield running


_DEVICES = {f"roommood_{what}" for what in ("site", "room_kitchen", "room_hall", "camera_door")}


def test_rooms_and_cameras_are_told_as_home_assistant_wants_them(
    bridge: Bridge, broker: Mosquitto, listener: Listener, store: Store
) -> None:
    _every_entity_has_what_it_needs(listener)
    _a_room_is_told_with_its_people_and_expressions(listener, store)
    _a_silent_room_is_told_without_figures(listener)
    until(lambda: {t.split("/")[2] for t in listener.configs()} >= _DEVICES, "and all else")
    retained = _retained(broker, len(listener.configs()))
    assert {TOPICS.availability, TOPICS.redis} <= retained
    assert not [topic for topic in retained if topic.endswith("/state")]


def _every_entity_has_what_it_needs(listener: Listener) -> None:
    def of_kitchen() -> dict[str, Any]:
        return {t: c for t, c in listener.configs().items() if c["state_topic"] == KITCHEN}

    until(lambda: len(of_kitchen()) == 8 + len(EXPRESSIONS), "all of the kitchen is described")
    kitchen, configs = of_kitchen(), listener.configs()
    assert len({config["unique_id"] for config in configs.values()}) == len(configs)
    state = listener.last(KITCHEN)
    for topic, config in kitchen.items():
        component, key = topic.split("/")[1], topic.split("/")[3]
        assert config["value_template"] == f"{{{{ value_json.{key} }}}}"
        assert key in state
        assert config["expire_after"] > 30
        availability = [source["topic"] for source in config["availability"]]
        assert (availability, config["availability_mode"]) == (
            [TOPICS.availability, TOPICS.redis],
            "all",
        )
        assert config["device"]["identifiers"] == ["roommood_room_kitchen"]
        assert config["device"]["suggested_area"] == "Kitchen"
        if component == "sensor" and config.get("device_class") not in ("enum", "timestamp"):
            assert config["state_class"] == "measurement"
    assert "emotion" not in json.dumps(configs).lower().replace("emoticon", "")


def _a_room_is_told_with_its_people_and_expressions(listener: Listener, store: Store) -> None:
    def two_are_told() -> Any:
        state = listener.last(KITCHEN)
        if state["people"] is None:  # what is in Redis is old by now, on a busy machine
            commit_frames(store, "happiness")
        return state if state["people"] == 2.0 else None

    state = until(two_are_told, "the kitchen has two people")
    assert state["dominant"] == "happiness"
    assert state["share_happiness"] == 100
    assert state["valence"] > 0.5
    assert state["up"] == "ON"
    assert listener.of(TOPICS.availability)[-1] == b"online"
    door = {"up": "ON", "state": "ok"}
    until(lambda: listener.last(TOPICS.camera("door")) == door, "the camera is up")


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
        commit_frames(store, "sadness")
        return bool(listener.last(KITCHEN)["dominant"] == "sadness")

    until(is_told, "the kitchen shows sadness")
    assert listener.last(KITCHEN)["share_happiness"] < 100


def test_a_room_that_is_silent_in_its_quiet_hours_is_told_from_one_that_is_dark(
    bridge: Bridge, listener: Listener, store: Store
) -> None:
    hall = TOPICS.room("hall")

    def says(up: str, paused: str, quiet: str) -> bool:
        state = listener.last(hall)
        return (state["up"], state["paused"], state["quiet"]) == (up, paused, quiet)

    until(lambda: says("OFF", "OFF", "OFF"), "it is dark")
    store.set_quiet_hours("hall", RoomQuietHours.parse("UTC; 00:00-24:00"))
    until(lambda: says("OFF", "OFF", "ON"), "its quiet hours have begun")
    store.set_quiet_hours("hall", None)
    until(lambda: says("OFF", "OFF", "OFF"), "they are over")


def test_what_has_not_changed_is_not_told_again(
    bridge: Bridge, listener: Listener, store: Store
) -> None:
    """Only once more, for a Home Assistant that has just heard of the room."""
    hall = TOPICS.room("hall")
    until(lambda: len(listener.of(hall)) == 2, "it is told once more")
    before = len(listener.of(KITCHEN))
    shown = cycle(EXPRESSIONS)

    def have_changed() -> bool:
        commit_frames(store, next(shown))
        return len(listener.of(KITCHEN)) > before + 5

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
    with Bridge(broker, fed) as following:
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


def test_what_is_gone_is_remembered_until_a_home_assistant_has_heard_of_it(
    bridge: Bridge, broker: Mosquitto, fed: RedisServer, listener: Listener, store: Store
) -> None:
    people = TOPICS.config("sensor", "room_hall", "people")
    store.forget("hall")
    until(lambda: people in (listener.last(TOPICS.taken_back) or ()), "it is noted at the broker")
    assert bridge.end() == 0
    with Bridge(broker, fed) as following:
        until(lambda: "broker found" in following.log.read_text(), "the next bridge is there")
        before = len(listener.of(people))
        until(lambda: _is_born(listener, people, before), "it is announced again and taken back")
        until(lambda: listener.of(TOPICS.taken_back)[-1] == b"", "then nothing is left to remember")
        assert json.loads(listener.of(people)[-2])["unique_id"] == "roommood_room_hall_people"
        assert following.end() == 0


def _is_born(listener: Listener, topic: str, before: int) -> bool:
    if len(listener.of(topic)) == before:
        listener.say(TOPICS.birth, "online")
    return len(listener.of(topic)) > before and listener.of(topic)[-1] == b""


def test_what_a_broker_without_memory_forgets_is_taken_back_all_the_same(
    bridge: Bridge, broker: Mosquitto, listener: Listener, store: Store
) -> None:
    broker.kill()
    store.forget("hall")
    broker.start()
    late = Listener(broker)
    people = TOPICS.config("sensor", "room_hall", "people")
    assert until(lambda: late.of(people) == [b""], "the hall is taken back")
    late.close()


@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_while_redis_is_away_nothing_is_available(
    bridge: Bridge, listener: Listener, fed: RedisServer, how: str
) -> None:
    (fed.kill if how == "killed" else fed.freeze)()
    try:
        assert until(lambda: listener.of(TOPICS.redis)[-1] == b"offline", "it says so")
        away = {"redis": "OFF", "workers": None}
        assert until(lambda: listener.last(TOPICS.site) == away, "Redis is off")
        assert listener.of(TOPICS.availability)[-1] == b"online", "the bridge itself lives"
    finally:
        (fed.start if how == "killed" else fed.thaw)()
    assert until(lambda: listener.of(TOPICS.redis)[-1] == b"online", "it is back")
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
    with Bridge(secured, fed, *access(secured, PASSWORD, secured.ca_file)) as bridge:
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
    reported = {
        "password": "Not authorized",
        "certificate": "certificate is not trusted: self-signed",
    }
    with Bridge(secured, fed, *access(secured, password, other)) as bridge:
        until(lambda: "broker lost" in bridge.log.read_text(), "it says that it cannot")
        assert reported[wrong] in bridge.log.read_text()
        bridge.end()
    assert not listener.of(KITCHEN)
    listener.close()


def test_the_network_reads_along_only_where_that_was_allowed() -> None:
    with pytest.raises(ConfigError, match="mqtts://"):
        MqttSettings(broker="mqtt://home:1883")
    assert MqttSettings(broker="mqtt://home:1883", insecure=True)
    assert MqttSettings(broker="mqtts://home").port == 8883


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"broker": "http://x"}, "mqtt://HOST:PORT"),
        ({"broker": "mqtt://me:pw@localhost"}, "--password-file"),
        ({"broker": "mqtt://localhost:99999"}, "no broker"),
        ({"broker": "mqtts://home..lan"}, "no broker"),
        ({"ca_file": Path("x")}, "mqtts://"),
        ({"password_file": Path("x")}, "--user"),
        ({"prefix": "a/b"}, "no topic prefix"),
        ({"page": "desk:5780"}, "http://HOST:PORT"),
        ({"discovery_prefix": "#"}, "no topic prefix"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MqttSettings(**settings)


def test_a_password_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret\n")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        _ = MqttSettings(user="me", password_file=path).password
    path.chmod(0o600)
    assert MqttSettings(user="me", password_file=path).password == "secret"
