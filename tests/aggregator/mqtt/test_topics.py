"""Which messages of a broker a bridge takes for its own, whoever wrote them."""

import pytest

from roommood.aggregator.mqtt.topics import Topics

TOPICS = Topics()
OURS = "homeassistant/sensor/roommood_room_kitchen/people/config"


@pytest.mark.parametrize(
    ("topic", "config", "is_ours"),
    [
        (OURS, b'{"state_topic": "roommood/room/kitchen/state"}', True),
        (OURS, b'{"state_topic": "zigbee/kitchen"}', False),
        (OURS.replace("roommood_", "other_"), b'{"state_topic": "roommood/room/x/state"}', False),
        (OURS, b'{"state_topic": 7}', False),
        (OURS, b"[" * 100_000, False),
        (OURS, b"", False),
        (
            "homeassistant/switch/roommood_room_kitchen/run/config",
            b'{"state_topic": "roommood/room/kitchen/switch"}',
            True,
        ),
    ],
)
def test_a_discovery_message_is_ours_by_its_topic_and_by_what_it_says(
    topic: str, config: bytes, is_ours: bool
) -> None:
    assert TOPICS.is_ours(topic, config) is is_ours


@pytest.mark.parametrize(
    ("payload", "read"),
    [
        (f'["{OURS}", "homeassistant/light/hall/on/config", 3, null]'.encode(), {OURS}),
        (b'{"a": 1}', set()),
        (b"[" * 100_000, set()),
        (b"", set()),
    ],
)
def test_a_list_of_what_was_taken_back_names_nothing_of_others(
    payload: bytes, read: set[str]
) -> None:
    assert TOPICS.of_list(payload) == read


def test_a_workers_address_becomes_part_of_a_topic() -> None:
    assert TOPICS.worker("[fe80::1]:5701") == "roommood/worker/_fe80__1__5701/state"


@pytest.mark.parametrize(
    ("topic", "switched"),
    [
        (TOPICS.command(TOPICS.room_switch("kitchen")), ("room", "kitchen")),
        (TOPICS.command(TOPICS.camera_switch("door")), ("camera", "door")),
        (TOPICS.room_switch("kitchen"), None),
        ("roommood/room/a/b/switch/set", None),
        ("roommood/worker/kitchen/switch/set", None),
        ("other/room/kitchen/switch/set", None),
    ],
)
def test_a_commands_topic_says_what_is_to_be_switched(
    topic: str, switched: tuple[str, str] | None
) -> None:
    assert TOPICS.switched_by(topic) == switched
