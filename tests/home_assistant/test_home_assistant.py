"""What a real Home Assistant makes of the bridge: its entities, its areas, its recorder."""

import time
from collections.abc import Iterator
from itertools import cycle, islice

import pytest

from roommood.aggregator.counting.store import Store
from roommood.aggregator.mqtt.topics import Topics
from roommood.shared.clock import wall_ms
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.aggregator.mqtt.bridges import Bridge, commit_frames
from tests.aggregator.mqtt.listener import Listener
from tests.end_to_end.site import until
from tests.home_assistant.home import HomeAssistant
from tests.mosquitto import Mosquitto
from tests.redis_server import RedisServer

pytestmark = pytest.mark.timeout(900)
PAGE = "http://desk.local:5780"
TOPICS = Topics()
ROOMS = ("kitchen", "hall", "attic")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer(appendonly="yes") as running:
        yield running


@pytest.fixture(scope="module")
def store(server: RedisServer) -> Iterator[Store]:
    store = Store(server.url)
    show(store, "happiness")
    store.touch_rooms({"hall": wall_ms() - 9e8, "attic": wall_ms() - 9e8})
    yield store
    store.close()


@pytest.fixture
def bridge(broker: Mosquitto, server: RedisServer, store: Store) -> Iterator[Bridge]:
    with Bridge(broker, server, "--page", PAGE) as running:
        yield running


def show(store: Store, expression: str, **cameras: str) -> None:
    """Two faces in the kitchen until now, and how the cameras say that they are."""
    commit_frames(store, expression)
    now_ms = wall_ms()
    says = {"door": "ok", **cameras}
    healths: dict[str, dict[str, str | float]] = {
        name: {
            "room": "kitchen",
            "silent_ms": 60_000.0 if word == "silent" else 0.0,
            "source": word,
        }
        for name, word in says.items()
    }
    worker: dict[str, dict[str, str | float]]
    worker = {"w1": {"address": "tcp://10.0.0.7:5701", "silent_ms": 0.0}}
    store.write_health(healths, worker, now_ms)


def shows(
    home: HomeAssistant, store: Store, entity: str, expected: str, expression: str = "happiness"
) -> None:
    """Waits while the kitchen goes on being seen."""

    def is_shown() -> bool:
        show(store, expression)
        return home.state(entity) == expected

    until(is_shown, f"{entity} shows {expected}", 120)


def test_rooms_cameras_workers_and_redis_appear_where_they_are(
    home: HomeAssistant, store: Store, bridge: Bridge
) -> None:
    shows(home, store, "sensor.kitchen_people", "2")
    shows(home, store, "sensor.kitchen_happiness_shown", "100")
    shows(home, store, "sensor.camera_door_state", "ok")
    shows(home, store, "binary_sensor.roommood_redis", "on")
    shows(home, store, "sensor.roommood_workers", "1")
    shows(home, store, "binary_sensor.worker_10_0_0_7_5701_connected", "on")
    assert home.state("sensor.hall_people") == "unknown"
    output = home.ask(
        "{% for e in ['sensor.kitchen_people', 'sensor.camera_door_state'] %}"
        "{{ area_name(e) }} {{ device_attr(e, 'configuration_url') }}\n{% endfor %}"
    )
    assert output.split() == ["Kitchen", f"{PAGE}/room/kitchen", "Kitchen", f"{PAGE}/health"]


def test_each_trouble_of_a_camera_is_a_state_of_its_own(
    home: HomeAssistant, store: Store, bridge: Bridge
) -> None:
    says = {
        "a-1": "paused", "a-2": "quiet", "a-3": "frozen: the same picture for 60 s",
        "a-4": "black: no light, or covered, for 60 s", "a-5": "reconnecting: no such device",
        "a-6": "silent",
    }  # fmt: skip
    entities = [f"sensor.camera_{name.replace('-', '_')}_state" for name in says]
    expected = [word.partition(":")[0] for word in says.values()]

    def are_shown() -> bool:
        show(store, "happiness", **says)
        return home.states(*entities) == expected

    assert until(are_shown, f"{home.states(*entities)} become {expected}", 120)
    assert home.state("binary_sensor.camera_a_6_connected") == "off"
    assert home.state("binary_sensor.camera_a_1_connected") == "on"


def test_what_redis_does_not_tell_is_unavailable_and_redis_is_off(
    home: HomeAssistant, store: Store, server: RedisServer, bridge: Bridge
) -> None:
    shows(home, store, "sensor.kitchen_people", "2")
    server.kill()
    until(lambda: home.state("binary_sensor.roommood_redis") == "off", "Redis is off")
    assert until(lambda: home.state("sensor.kitchen_people") == "unavailable", "so is the room")
    server.start()
    shows(home, store, "binary_sensor.roommood_redis", "on")
    shows(home, store, "sensor.kitchen_people", "2")


def test_the_recorder_keeps_a_row_of_a_figure_once_in_a_while(
    home: HomeAssistant, store: Store, broker: Mosquitto, server: RedisServer, bridge: Bridge
) -> None:
    """Beside a bridge that tells each change, which is the control; both see the same room."""
    seldom = ("--prefix", "seldom", "--change-every-s", "10")
    shows(home, store, "sensor.kitchen_people", "2")
    with Bridge(broker, server, *seldom) as rare:
        shows(home, store, "sensor.kitchen_people_2", "2")
        often = "sensor.kitchen_expression_shown_most"
        start_s = time.time()
        for expression in islice(cycle(("sadness", "happiness")), 12):
            shows(home, store, often, expression, expression)
        until(lambda: home.rows_since(start_s)[often] >= 12, "the control's rows are written")
        rows = home.rows_since(start_s)
        # One at once, then one each 10 s, and one that came late from before.
        most = (time.time() - start_s) / 10 + 2
        assert rows[often] > most, "the control changes more often than that"
        assert 0 < rows[f"{often}_2"] <= most
        assert max(rows[f"sensor.kitchen_{shown}_shown_2"] for shown in EXPRESSIONS) <= most
        assert rare.end() == 0


def test_a_home_assistant_that_starts_shows_what_is_and_not_what_was(
    home: HomeAssistant, store: Store, bridge: Bridge
) -> None:
    shows(home, store, "sensor.kitchen_people", "2")
    home.stop()
    home.start()
    shows(home, store, "sensor.kitchen_people", "2")
    shows(home, store, "binary_sensor.kitchen_observed", "on")
    bridge.end()
    assert until(
        lambda: home.state("sensor.kitchen_people") == "unavailable", "the bridge has ended"
    )


def test_what_was_forgotten_while_home_assistant_was_down_is_gone_when_it_is_up(
    home: HomeAssistant, store: Store, broker: Mosquitto, server: RedisServer, bridge: Bridge
) -> None:
    """Control: what nobody remembers, Home Assistant keeps for ever."""
    shows(home, store, "sensor.kitchen_people", "2")
    until(lambda: home.state("sensor.attic_people"), "the attic is there")
    listener = Listener(broker)
    home.stop()
    until(lambda: listener.of(TOPICS.birth)[-1:] == [b"offline"], "it says so")
    store.forget("attic")
    attic = TOPICS.config("sensor", "room_attic", "people")
    until(lambda: attic in (listener.last(TOPICS.taken_back) or ()), "the attic is noted")
    bridge.end()
    listener.say(TOPICS.taken_back, "", retain=True)
    store.forget("hall")
    with Bridge(broker, server):
        hall = TOPICS.config("sensor", "room_hall", "people")
        until(lambda: hall in (listener.last(TOPICS.taken_back) or ()), "the hall is noted")
        home.start()
        until(lambda: listener.of(TOPICS.taken_back)[-1] == b"", "Home Assistant was told", 120)
        assert until(lambda: not _of(home, "hall"), "the hall is gone", 120)
        assert _of(home, "attic"), "the control is kept"
        assert home.state("sensor.attic_people") == "unavailable"
        shows(home, store, "sensor.kitchen_people", "2")
    listener.close()


def _of(home: HomeAssistant, room: str) -> set[str]:
    """Those of this test's bridge: those of another prefix have numbers."""
    return {
        entity for entity in home.entities() if f".{room}_" in entity and not entity.endswith("_2")
    }
