"""What a broker does not take, or takes otherwise than most: told, and what can arrive does."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from roommood.aggregator.counting.store import Store
from roommood.aggregator.mqtt.client import Abilities, updated
from roommood.aggregator.mqtt.topics import Topics
from tests.aggregator.mqtt.bridges import Bridge, Elsewhere
from tests.aggregator.mqtt.listener import Listener
from tests.certificates import self_signed
from tests.end_to_end.site import until
from tests.mosquitto import Mosquitto
from tests.redis_server import RedisServer

TOPICS = Topics()
KITCHEN = TOPICS.room("kitchen")
_ADVICE = "Not authorized: let the broker's user read and write roommood/# and homeassistant/#"


@contextmanager
def bridged(broker: Mosquitto | Elsewhere, server: RedisServer) -> Iterator[Bridge]:
    with Bridge(broker, server) as bridge:
        yield bridge
        assert bridge.end() == 0
        assert "Traceback" not in bridge.log.read_text()


def logged(bridge: Bridge, what: str, times: int = 1) -> None:
    log = bridge.log.read_text
    until(lambda: log().count(what) >= times, f"{what!r} is told {times} times")


def test_topics_to_which_it_may_not_write_are_told(fed: RedisServer, tmp_path: Path) -> None:
    rights = tmp_path / "acl"
    rights.write_text("topic read #\ntopic write roommood/#\n")
    rights.chmod(0o600)
    with Mosquitto(f"acl_file {rights}") as broker, bridged(broker, fed) as bridge:
        logged(bridge, _ADVICE)
        listener = Listener(broker)
        assert until(lambda: listener.of(KITCHEN), "what it may write arrives")
        listener.close()


def test_messages_that_are_larger_than_the_broker_takes_are_told(fed: RedisServer) -> None:
    with Mosquitto("max_packet_size 500") as broker, bridged(broker, fed) as bridge:
        logged(bridge, "the broker takes 500 at most")
        listener = Listener(broker)
        assert until(lambda: listener.of(KITCHEN), "smaller ones arrive")
        assert "lost" not in bridge.log.read_text()
        listener.close()


def test_a_broker_whose_mqtt_5_is_not_understood_is_spoken_to_by_3_1_1(fed: RedisServer) -> None:
    """This mosquitto answers larger messages with a reason that MQTT 5 does not have there."""
    with Mosquitto("message_size_limit 500") as broker, bridged(broker, fed) as bridge:
        logged(bridge, "MQTT 3.1.1 is spoken")
        listener = Listener(broker)
        assert until(lambda: listener.of(KITCHEN), "smaller ones arrive")
        listener.close()


def test_every_void_discovery_message_goes_though_a_broker_queues_few(
    fed: RedisServer, store: Store
) -> None:
    with Mosquitto() as broker:  # which queues 1,000, as it comes
        earlier = paho.Client(CallbackAPIVersion.VERSION2)
        earlier.connect("localhost", broker.port)
        earlier.loop_start()
        for n in range(1_500):
            topic = TOPICS.config("sensor", f"room_r{n}", "people")
            state = '{"state_topic": "roommood/room/x/state"}'
            sent = earlier.publish(topic, state, qos=1, retain=True)
        sent.wait_for_publish(30)
        earlier.disconnect()
        earlier.loop_stop()
        with bridged(broker, fed) as bridge:
            logged(bridge, "discovery message removed", 1_500)


def test_a_broker_that_wants_a_certificate_of_its_clients_is_told_as_that(
    fed: RedisServer, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path, "broker")
    lines = [f"certfile {certificate}", f"keyfile {key}", f"cafile {certificate}"]
    with Mosquitto(*lines, "require_certificate true") as broker:
        there = Elsewhere(f"mqtts://localhost:{broker.port}", tmp_path)
        with Bridge(there, fed, "--ca-file", str(certificate)) as bridge:
            logged(bridge, "one that wants a certificate of its clients")


def test_the_late_last_will_of_an_earlier_connection_does_not_leave_it_unavailable(
    broker: Mosquitto, fed: RedisServer, listener: Listener
) -> None:
    """The machine of the earlier one lost its power: the broker waits for it, and then tells."""
    earlier = paho.Client(CallbackAPIVersion.VERSION2)
    earlier.will_set(TOPICS.availability, "offline", qos=1, retain=True)
    earlier.connect("localhost", broker.port)
    earlier.loop_start()
    until(earlier.is_connected, "the earlier one is there")
    with bridged(broker, fed):
        until(lambda: listener.of(TOPICS.availability) == [b"online"], "it is available")
        link: Any = earlier.socket()
        link.shutdown(socket.SHUT_RDWR)
        heard = [b"online", b"offline", b"online"]
        assert until(lambda: listener.of(TOPICS.availability)[:3] == heard, "it says so again")
    earlier.loop_stop()


def test_a_broker_that_goes_is_told_as_that_and_found_again(
    broker: Mosquitto, fed: RedisServer
) -> None:
    with bridged(broker, fed) as bridge:
        logged(bridge, "redis found")
        broker.kill()
        logged(bridge, "it ended the connection and said no reason")
        broker.start()
        logged(bridge, "broker back")


@pytest.mark.parametrize("topic", [TOPICS.bridge_id, TOPICS.availability])
def test_what_a_person_deletes_at_the_broker_is_said_again_and_is_no_other_bridge(
    broker: Mosquitto, fed: RedisServer, listener: Listener, topic: str
) -> None:
    """As MQTT Explorer does, topic by topic."""
    with bridged(broker, fed) as bridge:
        until(lambda: len(listener.of(topic)) == 1, "it is said")
        listener.say(topic, "", retain=True)
        again: list[bytes] = until(lambda: listener.of(topic)[2:], "it is said again")
        assert again == listener.of(topic)[:1]
        assert "another bridge" not in bridge.log.read_text()


def test_two_bridges_with_one_prefix_are_told(broker: Mosquitto, fed: RedisServer) -> None:
    with bridged(broker, fed) as bridge, RedisServer() as other:
        logged(bridge, "broker found")
        with bridged(broker, other) as second:
            logged(second, "broker found")
            for each in (bridge, second):
                logged(each, "another bridge uses the same topics")
    with bridged(broker, fed) as alone:
        logged(alone, "redis found")
        assert "another bridge" not in alone.log.read_text()


# Brokers that no mosquitto is


_PING_ANSWERED = b"\xd0\x00"
Answer = Callable[[socket.socket, bytes], None]


def letting_in(then: bytes) -> Answer:
    """Of any version, and after that these bytes."""

    def answer(link: socket.socket, hello: bytes) -> None:
        link.sendall(b"\x20\x03\x00\x00\x00" if is_v5(hello) else b"\x20\x02\x00\x00")
        link.recv(10_000)
        link.sendall(then)

    return answer


def is_v5(hello: bytes) -> bool:
    return b"MQTT\x05" in hello


def older(refusal: bytes | None) -> Answer:
    """Who asks by MQTT 5 is sent these bytes, and that is that; None: it is kept waiting."""

    def answer(link: socket.socket, hello: bytes) -> None:
        if not is_v5(hello):
            link.sendall(b"\x20\x02\x00\x00")
        elif refusal is not None:
            link.sendall(refusal)
            link.close()

    return answer


@contextmanager
def playing(answer: Answer, folder: Path) -> Iterator[Elsewhere]:
    links: list[socket.socket] = []

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                links.append(listening.accept()[0])
                threading.Thread(target=play, args=(links[-1],), daemon=True).start()

    def play(link: socket.socket) -> None:
        with suppress(OSError):
            answer(link, link.recv(10_000))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield Elsewhere(f"mqtt://127.0.0.1:{listening.getsockname()[1]}", folder)
    for link in links:
        link.close()


@pytest.mark.parametrize(
    "what",
    [b"\x32\x01\x00", b"\x90\x01\x00", b"\x40\x01\x00", b"\x30\x04\xff\xffab"],
    ids=["message", "subscribed", "acknowledged", "topic"],
)
def test_what_is_not_understood_ends_the_connection_and_not_the_bridge(
    fed: RedisServer, tmp_path: Path, what: bytes
) -> None:
    with playing(letting_in(what), tmp_path) as there, bridged(there, fed) as bridge:
        logged(bridge, "broker lost")
        logged(bridge, "broker back", 2)


def test_a_topic_that_is_no_text_is_passed_over(fed: RedisServer, tmp_path: Path) -> None:
    came: list[bytes] = []

    def answer(link: socket.socket, _hello: bytes) -> None:
        link.sendall(b"\x20\x03\x00\x00\x00\x30\x06\x00\x02\xff\xfe\x00b\xc0\x00")
        while _PING_ANSWERED not in b"".join(came):
            came.append(link.recv(10_000))

    with playing(answer, tmp_path) as there, bridged(there, fed) as bridge:
        until(lambda: _PING_ANSWERED in b"".join(came), "what comes after it is answered")
        assert "lost" not in bridge.log.read_text()


@pytest.mark.parametrize(
    "refusal", [b"\x20\x02\x00\x01", b"", None], ids=["says so", "hangs up", "is silent"]
)
def test_an_older_broker_is_spoken_to_by_mqtt_3_1_1(
    fed: RedisServer, tmp_path: Path, refusal: bytes | None
) -> None:
    """As RabbitMQ 3.10 hangs up, and amqtt waits for more."""
    with playing(older(refusal), tmp_path) as there, bridged(there, fed) as bridge:
        logged(bridge, "MQTT 3.1.1 is spoken")


def test_what_a_broker_says_of_itself_is_heeded() -> None:
    properties: Any = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
    properties.ReceiveMaximum = 5
    properties.MaximumPacketSize = 1_000
    assert updated(Abilities(), properties) == Abilities(in_flight=5, most_bytes=1_000)
    assert updated(Abilities(), None) == Abilities()
