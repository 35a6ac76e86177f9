"""Where messages go, and which of those that others sent are ours. Pure."""

import json
import re
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Topics:
    """`base` for states, `discovery` for what Home Assistant looks at."""

    base: str = "roommood"
    discovery: str = "homeassistant"

    @property
    def availability(self) -> str:
        """Whether the bridge lives."""
        return f"{self.base}/bridge/availability"

    @property
    def bridge_id(self) -> str:
        """Which of all bridges it is, so that two of one prefix learn of each other."""
        return f"{self.base}/bridge/id"

    @property
    def redis(self) -> str:
        """Whether Redis answers the bridge."""
        return f"{self.base}/redis/availability"

    @property
    def taken_back(self) -> str:
        """Entities of which no Home Assistant has heard yet that they are gone."""
        return f"{self.base}/bridge/taken_back"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started or ended."""
        return f"{self.discovery}/status"

    @property
    def all_configs(self) -> str:
        return f"{self.discovery}/+/+/+/config"

    @property
    def site(self) -> str:
        return f"{self.base}/site/state"

    def room(self, room: str) -> str:
        return f"{self.base}/room/{room}/state"

    def camera(self, camera: str) -> str:
        return f"{self.base}/camera/{camera}/state"

    def room_switch(self, room: str) -> str:
        """Whether a room's cameras run, where that can be switched."""
        return f"{self.base}/room/{room}/switch"

    def camera_switch(self, camera: str) -> str:
        return f"{self.base}/camera/{camera}/switch"

    def command(self, switch: str) -> str:
        """Where one asks for another state of a switch."""
        return f"{switch}/set"

    @property
    def all_commands(self) -> tuple[str, ...]:
        return self.command(self.room_switch("+")), self.command(self.camera_switch("+"))

    def switched_by(self, topic: str) -> tuple[str, str] | None:
        """Of a command's topic: "room" or "camera", and its name; None for another topic."""
        form = rf"{self.base}/(room|camera)/([^/]+)/switch/set"
        match = re.fullmatch(form, topic)
        return (match[1], match[2]) if match else None

    @property
    def nowhere(self) -> str:
        """A command topic to which nobody listens."""
        return f"{self.base}/bridge/nowhere"

    def worker(self, address: str) -> str:
        """`address` by which cameras reach it; a topic takes neither its colon nor its dots."""
        return f"{self.base}/worker/{as_id(address)}/state"

    def config(self, component: str, device: str, entity: str) -> str:
        return f"{self.discovery}/{component}/{self.base}_{device}/{entity}/config"

    def is_config(self, topic: object) -> bool:
        """Whether a discovery message there is one that a bridge with this `base` has sent."""
        form = rf"{self.discovery}/(sensor|binary_sensor|switch)/{self.base}_[\w-]+/\w+/config"
        return isinstance(topic, str) and re.fullmatch(form, topic, re.ASCII) is not None

    def is_ours(self, topic: str, config: bytes) -> bool:
        """The same, by what it says as well."""
        if not self.is_config(topic):
            return False
        try:
            state_topic = json.loads(config).get("state_topic", "")
        except (ValueError, AttributeError, RecursionError):
            return False
        return isinstance(state_topic, str) and state_topic.startswith(f"{self.base}/")

    def of_list(self, payload: bytes) -> set[str]:
        """What `taken_back` names; whoever wrote it, it names discovery messages of ours."""
        try:
            topics = json.loads(payload or b"[]")
        except (ValueError, RecursionError):
            return set()
        return {t for t in topics if self.is_config(t)} if isinstance(topics, list) else set()


def as_id(text: str) -> str:
    """A part of a topic, and of an entity's id."""
    return re.sub(r"[^A-Za-z0-9-]", "_", text)
