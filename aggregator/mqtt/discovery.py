"""What Home Assistant is told to make of rooms and cameras, and what these then say. Pure.

Written to the topics and keys of MQTT discovery (home-assistant.io/integrations/mqtt,
"Discovery messages"): one retained message per entity, all entities of a room or camera
under one device. States are JSON and not retained, so that none is ever old.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.health import CameraHealth
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.site import is_up
from roommood.shared.process.runtime import release
from roommood.shared.protocol.emotions import EXPRESSIONS

Json = dict[str, Any]
# Home Assistant shows a state as unavailable when nothing has come for so long.
EXPIRE_AFTER_S: Final = 90
_MEASUREMENT: Final = {"state_class": "measurement"}
_PERCENT: Final = {**_MEASUREMENT, "unit_of_measurement": "%", "suggested_display_precision": 0}
_DIAGNOSTIC: Final = {"entity_category": "diagnostic"}
_ON_OFF: Final = {"payload_on": "ON", "payload_off": "OFF", "device_class": "connectivity"}


@dataclass(frozen=True, slots=True)
class Topics:
    """Where messages go: `base` for states, `discovery` for what Home Assistant looks at."""

    base: str = "roommood"
    discovery: str = "homeassistant"

    @property
    def availability(self) -> str:
        return f"{self.base}/bridge/availability"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery}/status"

    @property
    def all_configs(self) -> str:
        return f"{self.discovery}/+/+/+/config"

    def room(self, room: str) -> str:
        return f"{self.base}/room/{room}/state"

    def camera(self, camera: str) -> str:
        return f"{self.base}/camera/{camera}/state"

    def config(self, component: str, device: str, entity: str) -> str:
        return f"{self.discovery}/{component}/{self.base}_{device}/{entity}/config"

    def is_ours(self, config: bytes) -> bool:
        """Whether a discovery message is one that a bridge with this `base` has sent."""
        try:
            topic = json.loads(config).get("state_topic", "")
        except (ValueError, AttributeError, RecursionError):
            return False
        return isinstance(topic, str) and topic.startswith(
            (f"{self.base}/room/", f"{self.base}/camera/")
        )


def room_configs(topics: Topics, room: str) -> dict[str, Json]:
    """Discovery messages of a room by topic."""
    device = _device(topics, f"room_{room}", room, "Room")
    return {
        topics.config(component, f"room_{room}", key): {
            **_common(topics, topics.room(room), f"room_{room}", key, device),
            **more,
        }
        for component, key, more in _room_entities()
    }


def camera_configs(topics: Topics, camera: str) -> dict[str, Json]:
    """Discovery messages of a camera by topic."""
    device = _device(topics, f"camera_{camera}", f"Camera {camera}", "Camera")
    common = _common(topics, topics.camera(camera), f"camera_{camera}", "up", device)
    topic = topics.config("binary_sensor", f"camera_{camera}", "up")
    return {topic: {**common, "name": "Connected", **_ON_OFF, **_DIAGNOSTIC}}


def room_state(now: RoomNow, minute: RoomPeriod) -> Json:
    """What a room says. Null is not known: a silent room has no people and no expressions."""
    shares = {
        f"share_{expression}": _percent(now.shares.get(expression)) for expression in EXPRESSIONS
    }
    return {
        "up": _on(not now.silent),
        "people": _rounded(now.people, 1),
        "dominant": now.dominant or None,
        "valence": _rounded(now.valence, 2),
        "coverage": _percent(minute.coverage),
        **shares,
    }


def camera_state(camera: CameraHealth) -> Json:
    """What a camera says."""
    return {"up": _on(is_up(camera))}


def as_payload(message: Mapping[str, Any]) -> str:
    """Compact JSON."""
    return json.dumps(message, separators=(",", ":"))


def _room_entities() -> Iterator[tuple[str, str, Json]]:
    """Component, key in the state, and what is particular to it."""
    people = {"name": "People", "icon": "mdi:account-group", "unit_of_measurement": "people"}
    yield "sensor", "people", {**people, **_MEASUREMENT, "suggested_display_precision": 1}
    dominant = {"name": "Expression shown most", "icon": "mdi:emoticon-outline"}
    enumeration = {"device_class": "enum", "options": list(EXPRESSIONS)}
    yield "sensor", "dominant", {**dominant, **enumeration}
    valence = {"name": "Valence of expressions shown", "icon": "mdi:plus-minus-variant"}
    yield "sensor", "valence", {**valence, **_MEASUREMENT, "suggested_display_precision": 2}
    for expression in EXPRESSIONS:
        name = f"{expression.capitalize()} shown"
        yield (
            "sensor",
            f"share_{expression}",
            {"name": name, "icon": "mdi:emoticon-outline", **_PERCENT},
        )
    coverage = {"name": "Coverage of the last minute", "icon": "mdi:eye-outline"}
    yield "sensor", "coverage", {**coverage, **_PERCENT, **_DIAGNOSTIC}
    newest = {"name": "Newest frame", "device_class": "timestamp"}
    yield "sensor", "newest", {**newest, **_DIAGNOSTIC}
    yield "binary_sensor", "up", {"name": "Observed", **_ON_OFF, **_DIAGNOSTIC}


def _common(topics: Topics, state_topic: str, device_id: str, key: str, device: Json) -> Json:
    return {
        "unique_id": f"{topics.base}_{device_id}_{key}",
        "state_topic": state_topic,
        "value_template": f"{{{{ value_json.{key} }}}}",
        "expire_after": EXPIRE_AFTER_S,
        "availability_topic": topics.availability,
        "payload_available": "online",
        "payload_not_available": "offline",
        "device": device,
        "origin": {"name": "roommood", "sw_version": release()},
    }


def _device(topics: Topics, device_id: str, name: str, model: str) -> Json:
    return {
        "identifiers": [f"{topics.base}_{device_id}"],
        "name": name,
        "manufacturer": "roommood",
        "model": model,
        "sw_version": release(),
    }


def _on(is_so: bool) -> str:
    return "ON" if is_so else "OFF"


def _percent(share: float | None) -> int | None:
    return None if share is None else round(share * 100)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits) + 0.0
