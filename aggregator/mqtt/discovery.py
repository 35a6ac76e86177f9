"""What Home Assistant is told to make of rooms, cameras, workers and the site. Pure.

Written to the topics and keys of MQTT discovery (home-assistant.io/integrations/mqtt,
"Discovery messages"): one retained message per entity, all entities of a room, camera or worker
under one device. States are JSON and not retained, so that none is ever old.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from roommood.aggregator.mqtt.states import CAMERA_STATES
from roommood.aggregator.mqtt.topics import Json, Topics, as_id
from roommood.shared.process.runtime import release
from roommood.shared.protocol.emotions import EXPRESSIONS

# Home Assistant shows a state as unavailable when nothing has come for so long.
EXPIRE_AFTER_S: Final = 90
_MEASUREMENT: Final = {"state_class": "measurement"}
_PERCENT: Final = {**_MEASUREMENT, "unit_of_measurement": "%", "suggested_display_precision": 0}
_DIAGNOSTIC: Final = {"entity_category": "diagnostic"}
_PAYLOADS: Final = {"payload_on": "ON", "payload_off": "OFF"}
_ON_OFF: Final = {**_PAYLOADS, "device_class": "connectivity"}
_UP: Final = ("binary_sensor", "up", {"name": "Connected", **_ON_OFF, **_DIAGNOSTIC})
_Entities = Iterable[tuple[str, str, Json]]


class Discovery:
    """Discovery messages by topic. `page` is the live page's address, "" where there is none;
    `has_switches`: rooms and cameras can be paused from there."""

    def __init__(self, topics: Topics, page: str = "", has_switches: bool = False) -> None:
        self._topics = topics
        self._page = page.rstrip("/")
        self._has_switches = has_switches

    def site(self) -> dict[str, Json]:
        """What lives as long as the bridge, also while Redis is away."""
        device = self._device("site", self._topics.base, "Site", page="/health")
        entities = self._entities(device, self._topics.site, _site_entities())
        lives = {"availability": [self._bridge_lives]}
        return {topic: {**config, **lives} for topic, config in entities.items()}

    def room(self, room: str) -> dict[str, Json]:
        device = self._device(f"room_{room}", room, "Room", room, f"/room/{room}")
        switch = self._switch(device, self._topics.room_switch(room), "Cameras")
        return self._entities(device, self._topics.room(room), _room_entities()) | switch

    def camera(self, camera: str, room: str) -> dict[str, Json]:
        """`room` is "" where the camera has not said yet in which it is."""
        device = self._device(f"camera_{camera}", f"Camera {camera}", "Camera", room, "/health")
        # Without a name of its own it has the device's.
        switch = self._switch(device, self._topics.camera_switch(camera), None)
        return self._entities(device, self._topics.camera(camera), _camera_entities()) | switch

    def worker(self, address: str) -> dict[str, Json]:
        name, device_id = f"Worker {address}", f"worker_{as_id(address)}"
        device = self._device(device_id, name, "Worker", page="/health")
        return self._entities(device, self._topics.worker(address), [_UP])

    def last_of(self, topic: str) -> Json:
        """As much of an entity's message as Home Assistant needs to know which one it is."""
        _, component, device_id, key, _ = topic.split("/")
        commands = {"command_topic": self._topics.nowhere} if component == "switch" else {}
        return {
            **commands,
            "unique_id": f"{device_id}_{key}",
            "state_topic": self._topics.taken_back,
            "device": {"identifiers": [device_id], "name": device_id},
            "origin": {"name": "roommood", "sw_version": release()},
        }

    def _switch(self, device: Json, state_topic: str, name: str | None) -> dict[str, Json]:
        """Nothing where there are none. A switch knows no `expire_after`."""
        if not self._has_switches:
            return {}
        command_topic = self._topics.command(state_topic)
        switch = {"name": name, "icon": "mdi:cctv", "command_topic": command_topic, **_PAYLOADS}
        entities = self._entities(device, state_topic, [("switch", "run", switch)])
        return {
            topic: {key: value for key, value in config.items() if key != "expire_after"}
            for topic, config in entities.items()
        }

    @property
    def _bridge_lives(self) -> Json:
        return {"topic": self._topics.availability}

    def _entities(self, device: Json, state_topic: str, entities: _Entities) -> dict[str, Json]:
        (device_id,) = device["identifiers"]
        common = {
            "state_topic": state_topic,
            "expire_after": EXPIRE_AFTER_S,
            "availability": [self._bridge_lives, {"topic": self._topics.redis}],
            "availability_mode": "all",
            "device": device,
            "origin": {"name": "roommood", "sw_version": release()},
        }
        return {
            self._topics.config(component, device_id.removeprefix(f"{self._topics.base}_"), key): {
                "unique_id": f"{device_id}_{key}",
                "value_template": f"{{{{ value_json.{key} }}}}",
                **common,
                **more,
            }
            for component, key, more in entities
        }

    def _device(
        self, device_id: str, name: str, model: str, room: str = "", page: str = ""
    ) -> Json:
        device = {
            "identifiers": [f"{self._topics.base}_{device_id}"],
            "name": name,
            "manufacturer": "roommood",
            "model": model,
            "sw_version": release(),
        }
        if room:
            device["suggested_area"] = as_area(room)
        if self._page:
            device["configuration_url"] = f"{self._page}{page}"
        return device


def as_area(room: str) -> str:
    """A room's name as people write it: Home Assistant takes "Living room" for its Living Room."""
    return room.replace("-", " ").replace("_", " ").strip().capitalize()


def _room_entities() -> Iterator[tuple[str, str, Json]]:
    """Component, key in the state, and what is particular to it."""
    people = {"name": "People", "icon": "mdi:account-group", "unit_of_measurement": "people"}
    yield "sensor", "people", {**people, **_MEASUREMENT}
    dominant = {"name": "Expression shown most", "icon": "mdi:emoticon-outline"}
    yield "sensor", "dominant", {**dominant, **_one_of(EXPRESSIONS)}
    valence = {"name": "Valence of expressions shown", "icon": "mdi:plus-minus-variant"}
    yield "sensor", "valence", {**valence, **_MEASUREMENT, "suggested_display_precision": 1}
    for expression in EXPRESSIONS:
        share = {"name": f"{expression.capitalize()} shown", "icon": "mdi:emoticon-outline"}
        yield "sensor", f"share_{expression}", {**share, **_PERCENT}
    coverage = {"name": "Coverage of the last minute", "icon": "mdi:eye-outline"}
    yield "sensor", "coverage", {**coverage, **_PERCENT, **_DIAGNOSTIC}
    last = {"name": "Last observed", "device_class": "timestamp"}
    yield "sensor", "last_observed", {**last, **_DIAGNOSTIC}
    yield "binary_sensor", "up", {"name": "Observed", **_ON_OFF, **_DIAGNOSTIC}
    paused = {"name": "Paused", "icon": "mdi:pause-circle-outline"}
    yield "binary_sensor", "paused", {**paused, **_DIAGNOSTIC}
    quiet = {"name": "Quiet hours", "icon": "mdi:sleep"}
    yield "binary_sensor", "quiet", {**quiet, **_DIAGNOSTIC}


def _camera_entities() -> Iterator[tuple[str, str, Json]]:
    yield _UP
    state = {"name": "State", "icon": "mdi:camera-outline"}
    yield "sensor", "state", {**state, **_one_of(CAMERA_STATES), **_DIAGNOSTIC}


def _site_entities() -> Iterator[tuple[str, str, Json]]:
    yield "binary_sensor", "redis", {"name": "Redis", **_ON_OFF, **_DIAGNOSTIC}
    workers = {"name": "Workers", "icon": "mdi:cog-outline", **_MEASUREMENT}
    yield "sensor", "workers", {**workers, **_DIAGNOSTIC}


def _one_of(words: Iterable[str]) -> Json:
    return {"device_class": "enum", "options": list(words)}
