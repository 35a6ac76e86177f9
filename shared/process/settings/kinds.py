"""What a setting may be. A kind takes text (from a flag or the environment) or what TOML gave."""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from roommood.shared.errors import RoommoodError
from roommood.shared.protocol.names import parse_camera, parse_room
from roommood.shared.security.secret_urls import holds_password
from roommood.shared.time_zone import parse_zone
from roommood.shared.transport.addresses import is_wildcard, parse_address

T = TypeVar("T")

_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off")
_WEB_PORTS: Final = {"http": 80, "https": 443}
_WEB_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")
# Below one of these a request could mean the live page's own, or its page of that name.
_OWN_PATHS: Final = ("room", "health", "healthz", "api", "assets", "login", "report")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One type of value.

    Attributes:
        name: for the table of settings.
        check: gives the value, typed; raises ValueError, which says what to give instead.
        bounds: what is allowed, for help and docs.
        metavar: what stands for a value in `--help`.
        is_list: its flag may be given again.
        is_switch: its flag has no value.
    """

    name: str
    check: Callable[[Any], T]
    bounds: str = ""
    metavar: str = "TEXT"
    is_list: bool = False
    is_switch: bool = False


def any_text() -> Kind[str]:
    """Any text."""
    return Kind("text", _as_text)


def whole(least: int, most: int, metavar: str = "N") -> Kind[int]:
    """A whole number within bounds, both allowed."""
    todo = f"give a whole number from {least} to {most}"

    def check(value: Any) -> int:
        number = _number(value, todo)
        if not number.is_integer() or not least <= number <= most:
            raise ValueError(todo)
        return int(number)

    return Kind("whole number", check, f"{least} to {most}", metavar)


def number(least: float, most: float, metavar: str = "N", *, above: bool = False) -> Kind[float]:
    """A finite number within bounds; `above` excludes the lower one."""
    bounds = f"above {least:g}, to {most:g}" if above else f"{least:g} to {most:g}"
    todo = f"give a number {bounds}" if above else f"give a number from {bounds}"

    def check(value: Any) -> float:
        given = _number(value, todo)
        if not least <= given <= most or (above and given == least):
            raise ValueError(todo)
        return given

    return Kind("number", check, bounds, metavar)


def switch() -> Kind[bool]:
    """On or off."""

    def check(value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _TRUE + _FALSE:
            return value.lower() in _TRUE
        raise ValueError("give true or false")

    return Kind("true or false", check, is_switch=True)


def choice(*allowed: T) -> Kind[T]:
    """One of a few."""
    words = {str(word): word for word in allowed}
    todo = "give " + _either([str(word) for word in allowed])

    def check(value: Any) -> T:
        if isinstance(value, bool) or str(value) not in words:
            raise ValueError(todo)
        return words[str(value)]

    return Kind("choice", check, ", ".join(words), "|".join(words))


def file_path(metavar: str = "FILE") -> Kind[Path]:
    """Path of a file or folder; ~ is the user's home."""
    return Kind("path", lambda value: Path(_as_text(value)).expanduser(), metavar=metavar)


def address() -> Kind[str]:
    """host:port, as tcp://host:port."""
    return Kind("host:port", _ours(parse_address), metavar="HOST:PORT")


def reached_address() -> Kind[str]:
    """host:port of a peer, as tcp://host:port: of one machine, where a bound one may mean all."""

    def check(value: Any) -> str:
        address = _ours(parse_address)(value)
        if is_wildcard(address):
            port = address.rpartition(":")[2]
            raise ValueError(
                "that is where a machine listens on all of its networks: give the name or number "
                f"of one, or 127.0.0.1:{port} for this one"
            )
        return address

    return Kind("host:port", check, metavar="HOST:PORT")


def page_address() -> Kind[str]:
    """host:port at which a page is served, as host:port."""

    def check(value: Any) -> str:
        return _ours(parse_address)(value).removeprefix("tcp://")

    return Kind("host:port", check, metavar="HOST:PORT")


def public_url() -> Kind[str]:
    """Where people open a page through a server in front: as a browser writes such an address, and
    without a slash at its end."""
    todo = "give it as people open it: https://rooms.example/ or https://home.example/rooms/"

    def check(value: Any) -> str:
        text = _as_text(value)
        try:
            parts = urlsplit(text)
            host, port = (parts.hostname or "").encode("idna").decode(), parts.port
        except ValueError as error:
            raise ValueError(todo) from error
        path = parts.path.rstrip("/")
        known = parts.scheme in _WEB_PORTS and host and _WEB_PATH.fullmatch(path)
        if not known or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError(todo)
        if path.split("/")[1:2] and path.split("/")[1] in _OWN_PATHS:
            raise ValueError(f"{path} is a page of its own: give it another path")
        shown = f"[{host}]" if ":" in host else host
        other_port = "" if port in (None, _WEB_PORTS[parts.scheme]) else f":{port}"
        return f"{parts.scheme}://{shown}{other_port}{path}"

    return Kind("page URL", check, metavar="URL")


def room_name() -> Kind[str]:
    """Name of a room."""
    return Kind("name", _ours(parse_room), "1 to 63 of a-z, 0-9, _ and -", "NAME")


def camera_name() -> Kind[str]:
    """Name of a camera."""
    return Kind("name", _ours(parse_camera), "1 to 63 of a-z, 0-9, _ and -", "NAME")


def picture_source() -> Kind[str]:
    """What a camera looks at; a number is a webcam's."""

    def check(value: Any) -> str:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if is_number and value >= 0 else _as_text(value)

    return Kind("text or number", check, metavar="SOURCE")


def time_zone() -> Kind[str]:
    """IANA name of a time zone."""
    return Kind("time zone", _ours(lambda name: parse_zone(name).key), metavar="ZONE")


def redis_address() -> Kind[str]:
    """Address of a Redis, without a password."""

    def check(value: Any) -> str:
        url = _as_text(value)
        if holds_password(url):
            raise ValueError(
                "put the Redis password into a file that only you can read: "
                "redis_password_file, --redis-password-file"
            )
        return url

    return Kind("URL", check, metavar="URL")


def polygon() -> Kind[tuple[tuple[float, float], ...]]:
    """An area of a picture: x, y as fractions of its width and height."""
    todo = "give 3 to 100 points [x, y], each a fraction from 0 to 1"
    fraction = number(0.0, 1.0)

    def check(value: Any) -> tuple[tuple[float, float], ...]:
        points = _from_json(value, todo) if isinstance(value, str) else value
        if not isinstance(points, Sequence) or not 3 <= len(points) <= 100:
            raise ValueError(todo)
        if not all(isinstance(point, Sequence) and len(point) == 2 for point in points):
            raise ValueError(todo)
        return tuple((fraction.check(x), fraction.check(y)) for x, y in points)

    return Kind("points", check, "3 to 100 points", "[[X,Y],...]")


def several(kind: Kind[T], least: int, most: int) -> Kind[tuple[T, ...]]:
    """A list. As one text its items are separated by spaces, or it is a JSON list."""
    todo = f"give {least} to {most} of them"

    def check(value: Any) -> tuple[T, ...]:
        items = _split(value, todo) if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not least <= len(items) <= most:
            raise ValueError(todo)
        return tuple(_item(kind, item, place) for place, item in enumerate(items, 1))

    bounds = f"{least} to {most}" + (f"; each {kind.bounds}" if kind.bounds else "")
    return Kind(f"list of {kind.name}", check, bounds, kind.metavar, is_list=True)


def _item(kind: Kind[T], value: Any, place: int) -> T:
    try:
        return kind.check(value)
    except ValueError as error:
        raise ValueError(f"number {place}, {value!r}: {error}") from error


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("give text, in quotes")
    return value


def _number(value: Any, todo: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(todo)
    try:
        given = float(value)
    except (ValueError, OverflowError):
        raise ValueError(todo) from None
    if not math.isfinite(given):
        raise ValueError(todo)
    return given


def _ours(parse: Callable[[str], str]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        try:
            return parse(_as_text(value))
        except RoommoodError as error:
            raise ValueError(str(error)) from error

    return check


def _split(text: str, todo: str) -> Any:
    return _from_json(text, todo) if text.lstrip().startswith("[") else text.split()


def _from_json(text: str, todo: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(todo) from None


def _either(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
