"""Names of rooms, cameras and groups: parsed once at the edge, then trusted.

The alphabet of rooms and cameras is what is safe in a Redis key, a Prometheus label, a host name, a
file name and a terminal at once.
"""

import re
from functools import lru_cache
from typing import Final, NewType

from roommood.shared.errors import BadName, ConfigError
from roommood.shared.security.secret_urls import shown

RoomName = NewType("RoomName", str)
CameraId = NewType("CameraId", str)

MOST_GROUP_CHARS: Final = 40
_MOST_CHARS: Final = 63  # so that what strangers say takes no room in the cache
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)


def is_name(text: object) -> bool:
    """True for 1 to 63 characters of a-z 0-9 _ - that start with a letter or digit."""
    return isinstance(text, str) and len(text) <= _MOST_CHARS and _is_spelt_as_name(text)


# A site has few names, and each of its messages carries three.
@lru_cache(4096)
def _is_spelt_as_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def parse_room(text: str) -> RoomName:
    """Raises BadName, saying what is allowed."""
    return RoomName(_parse("room", text))


def parse_camera(text: str) -> CameraId:
    """Raises BadName, saying what is allowed."""
    return CameraId(_parse("camera", text))


def parse_group(text: str) -> str:
    """A group's name as it was meant. Raises ConfigError."""
    name = " ".join(text.split())
    if not 0 < len(name) <= MOST_GROUP_CHARS or not name.isprintable():
        raise ConfigError(f"{text!r} is no name of a group: give 1 to {MOST_GROUP_CHARS} letters")
    return name


def _parse(what: str, text: str) -> str:
    if not isinstance(text, str):
        raise BadName(f"{text!r} is not a {what} name: give its text, such as 'kitchen'")
    if not is_name(text):
        raise BadName(
            f"{shown(text)!r} is not a {what} name: use 1 to 63 of a-z, 0-9, _ and -, "
            f"starting with a letter or digit{_suggestion(shown(text))}"
        )
    return text


def _suggestion(text: str) -> str:
    nearest = re.sub(r"[^a-z0-9_-]+", "-", text.lower(), flags=re.ASCII).strip("-_")[:63]
    return f" (for example {nearest!r})" if is_name(nearest) else ""
