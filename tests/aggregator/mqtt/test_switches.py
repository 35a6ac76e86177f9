"""Pauses from Home Assistant's side, on a real broker and a real Redis; off without a login."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from roommood.aggregator.counting.store import Store
from roommood.aggregator.mqtt.topics import Topics
from tests.aggregator.dashboard.served import operator_of, reader_of
from tests.aggregator.mqtt.bridges import Bridge
from tests.aggregator.mqtt.listener import Listener
from tests.end_to_end.site import until
from tests.mosquitto import Mosquitto
from tests.needs import missing
from tests.redis_server import RedisServer

TOPICS = Topics()
KITCHEN, HALL = TOPICS.room_switch("kitchen"), TOPICS.room_switch("hall")
DOOR = TOPICS.camera_switch("door")
ON, OFF = {"run": "ON"}, {"run": "OFF"}
Start = Callable[..., Bridge]


@pytest.fixture
def start(broker: Mosquitto, fed: RedisServer) -> Iterator[Start]:
    """Starts a bridge; those that still run are ended."""
    with ExitStack() as running:
        yield lambda *options: running.enter_context(Bridge(broker, fed, *options))


@pytest.fixture
def login(fed: RedisServer, tmp_path: Path) -> tuple[str, ...]:
    """Options that name a user with the rights of the shipped ACL file's operator."""
    return operator_of(fed, tmp_path)


def lines_of_the_page(program: str, broker: Mosquitto) -> list[list[str]]:
    """Commands of docs/home-assistant.md, at this broker."""
    page = (Path(__file__).parents[3] / "docs/home-assistant.md").read_text()
    lines = re.findall(rf"^{program} -h home (.*)$", page, re.MULTILINE)
    at = [program, "-h", "127.0.0.1", "-p", str(broker.port)]
    return [[*at, *shlex.split(line, comments=True)] for line in lines]


def switches(listener: Listener) -> dict[str, Any]:
    """Discovery messages of switches, by the topic of the state."""
    configs = listener.configs().items()
    return {c["state_topic"]: c for topic, c in configs if topic.split("/")[1] == "switch"}


def paused(store: Store) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return store.paused_rooms(), store.paused_cameras()


def test_a_script_hears_a_room_and_pauses_it_as_the_page_prints(
    start: Start, login: tuple[str, ...], broker: Mosquitto, listener: Listener, store: Store
) -> None:
    if shutil.which("mosquitto_sub") is None:
        missing("no mosquitto_sub: install the package mosquitto-clients")
    (hear,), (pause,) = (lines_of_the_page(f"mosquitto_{end}", broker) for end in ("sub", "pub"))
    start(*login)
    done = subprocess.run(
        [*hear, "-C", "2"], capture_output=True, text=True, check=True, timeout=90
    )
    states = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert set(states) == {TOPICS.room("kitchen"), TOPICS.room("hall")}
    assert json.loads(states[TOPICS.room("hall")])["people"] is None
    subprocess.run(pause, check=True, timeout=60)
    until(lambda: store.paused_rooms() == ("kitchen",), "it is paused in Redis")


@pytest.mark.parametrize(
    ("switch", "then_paused"), [(KITCHEN, (("kitchen",), ())), (DOOR, ((), ("door",)))]
)
def test_a_switch_pauses_and_resumes_and_shows_what_redis_says(
    start: Start, login: tuple[str, ...], listener: Listener, store: Store, switch: str,
    then_paused: tuple[tuple[str, ...], tuple[str, ...]],
) -> None:  # fmt: skip
    start(*login)
    config = until(lambda: switches(listener).get(switch), "the switch is announced")
    until(lambda: listener.last(switch) == ON, "it is on")
    listener.say(config["command_topic"], config["payload_off"])
    until(lambda: paused(store) == then_paused, "it is paused in Redis")
    until(lambda: listener.last(switch) == OFF, "the switch shows it")
    listener.say(config["command_topic"], config["payload_on"])
    until(lambda: paused(store) == ((), ()), "it is resumed in Redis")
    until(lambda: listener.last(switch) == ON, "the switch shows that")


def test_a_switch_shows_what_others_have_set(
    start: Start, login: tuple[str, ...], listener: Listener, store: Store
) -> None:
    start(*login)
    until(lambda: listener.last(KITCHEN) == listener.last(DOOR) == ON, "both are on")
    store.pause("kitchen")
    store.pause_camera("door")
    until(lambda: listener.last(KITCHEN) == listener.last(DOOR) == OFF, "both are off")
    assert listener.last(HALL) == ON


def test_a_command_that_is_old_unknown_or_malformed_is_ignored_and_logged(
    start: Start, login: tuple[str, ...], listener: Listener, store: Store
) -> None:
    """One that is none of these, after them, is obeyed: so the others were looked at."""
    listener.say(TOPICS.command(KITCHEN), "OFF", retain=True)
    bridge = start(*login)
    until(lambda: listener.last(KITCHEN) == ON, "the kitchen's switch is on")
    listener.say(TOPICS.command(TOPICS.room_switch("attic")), "OFF")
    listener.say(TOPICS.command(TOPICS.camera_switch("kitchen")), "OFF")
    listener.say(TOPICS.command(DOOR), "off please")
    listener.say(TOPICS.command(HALL), "OFF")
    until(store.paused_rooms, "the last command is obeyed")
    assert paused(store) == (("hall",), ())
    log = bridge.log.read_text()
    for why in ("retained", "no such room", "no such camera", "neither ON nor OFF"):
        assert why in log
    assert log.count("command ignored") == 4
    until(lambda: listener.last(HALL) == OFF, "its switch shows it")
    assert OFF not in (listener.last(KITCHEN), listener.last(DOOR))


def test_without_the_login_there_is_no_switch_and_no_command_is_heard(
    start: Start, listener: Listener, store: Store
) -> None:
    bridge = start()
    hall = TOPICS.room("hall")
    until(lambda: listener.last(hall), "the hall is told of")
    for switch in (KITCHEN, DOOR, TOPICS.room_switch("attic")):
        listener.say(TOPICS.command(switch), "OFF")
    store.pause("hall")
    until(lambda: listener.last(hall)["paused"] == "ON", "the bridge has looked since")
    assert paused(store) == (("hall",), ())
    assert switches(listener) == {}
    assert listener.of(KITCHEN) == []
    assert "command" not in bridge.log.read_text()


def test_a_login_that_may_not_pause_pauses_nothing_and_it_is_logged(
    start: Start, fed: RedisServer, tmp_path: Path, listener: Listener, store: Store
) -> None:
    url, _, file = reader_of(fed, tmp_path)
    bridge = start("--operator-redis-url", url, "--operator-redis-password-file", file)
    until(lambda: listener.last(KITCHEN) == ON, "the kitchen's switch is on")
    listener.say(TOPICS.command(KITCHEN), "OFF")
    until(lambda: "command failed" in bridge.log.read_text(), "the failure is logged")
    assert paused(store) == ((), ())
    assert listener.last(KITCHEN) == ON


def test_a_command_that_comes_while_redis_hangs_is_not_obeyed_later(
    start: Start, login: tuple[str, ...], fed: RedisServer, listener: Listener, store: Store
) -> None:
    bridge = start(*login)
    until(lambda: listener.last(KITCHEN) == ON, "the kitchen's switch is on")
    fed.freeze()
    try:
        until(lambda: listener.of(TOPICS.redis)[-1:] == [b"offline"], "Redis is away")
        listener.say(TOPICS.command(KITCHEN), "OFF")
        until(lambda: "command failed" in bridge.log.read_text(), "the failure is logged")
    finally:
        fed.thaw()
    until(lambda: listener.of(TOPICS.redis)[-1:] == [b"online"], "Redis is back")
    listener.say(TOPICS.command(HALL), "OFF")
    until(store.paused_rooms, "the next command is obeyed")
    assert paused(store) == (("hall",), ())


def test_switches_are_taken_back_when_the_login_is(
    start: Start, login: tuple[str, ...], listener: Listener
) -> None:
    bridge = start(*login)
    until(lambda: {KITCHEN, HALL, DOOR} <= switches(listener).keys(), "they are announced")
    assert bridge.end() == 0
    assert switches(listener)
    start()
    until(lambda: not switches(listener), "they are taken back")
    assert TOPICS.room("kitchen") in {c["state_topic"] for c in listener.configs().values()}
