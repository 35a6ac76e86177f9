"""Settings: a TOML file, then the environment, then flags; typed, frozen, and picky.

Each component has one table in the file, named after it, and one model here. A key that no
model knows is an error that names the file, the line and the nearest key that exists.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from roommood.shared.errors import ConfigError, RoommoodError
from roommood.shared.protocol.names import parse_camera, parse_room
from roommood.shared.transport.addresses import parse_address

DEFAULT_FRAMES_ADDRESS: Final = "tcp://127.0.0.1:5701"
DEFAULT_REPORTS_ADDRESS: Final = "tcp://127.0.0.1:5700"
DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"


def _plain_error(parse: Any) -> Any:
    """Lets pydantic report our own errors, which it only does for ValueError."""

    def check(value: Any) -> Any:
        try:
            return parse(value) if isinstance(value, str) else value
        except RoommoodError as error:
            raise ValueError(str(error)) from error

    return check


Address = Annotated[str, BeforeValidator(_plain_error(parse_address))]
Room = Annotated[str, BeforeValidator(_plain_error(parse_room))]
Camera = Annotated[str, BeforeValidator(_plain_error(parse_camera))]
Port = Annotated[int, Field(ge=1, le=65_535)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Polygon = Annotated[list[tuple[Fraction, Fraction]], Field(min_length=3, max_length=100)]


class Settings(BaseModel):
    """What every component has."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = None
    drain_s: float = Field(5.0, ge=0.0, le=300.0)
    keys: Path | None = None
    insecure: bool = False


class CameraSettings(Settings):
    """A camera node."""

    name: Camera
    room: Room
    source: str = "0"
    workers: list[Address] = Field([DEFAULT_FRAMES_ADDRESS], min_length=1, max_length=8)
    rate_hz: float | None = Field(None, gt=0.0, le=240.0)
    width: int | None = Field(None, ge=16, le=3840)
    height: int | None = Field(None, ge=16, le=3840)
    jpeg_quality: int = Field(80, ge=10, le=95)
    rotation: Literal[0, 90, 180, 270] = 0
    masks: list[Polygon] = Field([], max_length=100)
    quiet_hours: list[str] = Field([], max_length=50)
    loop: bool = True
    discover: bool = False

    @property
    def known_workers(self) -> list[str]:
        """The configured addresses; none where workers are discovered and none was named."""
        named = "workers" in self.model_fields_set
        return list(self.workers) if named or not self.discover else []


class WorkerSettings(Settings):
    """An inference worker."""

    bind: Address = DEFAULT_FRAMES_ADDRESS
    advertise: Address | None = None
    announce: bool = False
    aggregators: list[Address] = Field([DEFAULT_REPORTS_ADDRESS], min_length=1, max_length=8)
    detector: str = ""
    classifier: str = ""
    input_size: int = Field(640, ge=96, le=3840)
    threads: int = Field(1, ge=1, le=64)
    processes: int = Field(1, ge=1, le=64)
    instance: int = Field(1, ge=1, le=1024)
    provider: str = "cpu"
    max_age_ms: float = Field(2_000.0, ge=50.0, le=60_000.0)
    min_frame_ms: float = Field(0.0, ge=0.0, le=60_000.0)


class AggregatorSettings(Settings):
    """An aggregator."""

    bind: Address = DEFAULT_REPORTS_ADDRESS
    redis_url: str = DEFAULT_REDIS_URL
    redis_password_file: Path | None = None
    min_people: int = Field(1, ge=1, le=64)

    @model_validator(mode="after")
    def _no_password_in_url(self) -> Self:
        if re.search(r"://[^/@]*:[^/@]+@|[?&]password=", self.redis_url):
            raise ValueError("put the Redis password into a file: redis_password_file")
        return self


TABLES: Final[Mapping[str, type[Settings]]] = {
    "camera": CameraSettings,
    "worker": WorkerSettings,
    "aggregator": AggregatorSettings,
}

S = TypeVar("S", bound=Settings)


def load(model: type[S], path: Path | None, given: Mapping[str, Any]) -> S:
    """Settings of one component: defaults, then the file's table, then what was given.

    Args:
        path: a TOML file, or None for none.
        given: flags and environment by setting name; None means "not given".

    Raises:
        ConfigError: naming file, line, key, value and what is allowed.
    """
    table = next(name for name, known in TABLES.items() if known is model)
    text = _read(path) if path else ""
    from_file = _table(path, text, table) if path else {}
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return model(**{**from_file, **chosen})
    except ValidationError as error:
        origin = _Origin(path, text, table, frozenset(chosen))
        problems = (_problem(one, model, origin) for one in error.errors())
        raise ConfigError("\n".join(problems)) from None


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where the values of one component came from."""

    path: Path | None
    text: str
    table: str
    given: frozenset[str]

    def place_of(self, key: str) -> str:
        if not key:
            return "settings"
        if self.path is None or key in self.given:
            return _flag(key)
        start = re.search(rf"^\s*\[\s*{self.table}\s*\]", self.text, re.MULTILINE)
        line = _line_of(self.text, re.escape(key) + r"\s*=", start.end() if start else 0)
        return f"{self.path}:{line}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the settings file {path}: {error}") from error


def _table(path: Path | None, text: str, table: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    for name in document:
        if name not in TABLES:
            line = _line_of(text, rf"\[\s*{re.escape(name)}\b|{re.escape(name)}\s*=")
            raise ConfigError(f"{path}:{line}: unknown table {name!r}{_nearest(name, TABLES)}")
    values = document.get(table, {})
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: {table} is not a table: write [{table}]")
    return values


def _problem(one: Any, model: type[Settings], origin: _Origin) -> str:
    key = str(one["loc"][0]) if one["loc"] else ""
    if one["type"] == "missing" and len(one["loc"]) == 1:
        return (
            f"{_flag(key)} is needed: give it, "
            f"or set {key} under [{origin.table}] in a settings file"
        )
    place = origin.place_of(key)
    if one["type"] == "extra_forbidden":
        return f"{place}: unknown key {key!r}{_nearest(key, model.model_fields)}"
    message = one["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in one["loc"])
    return f"{place}: {where} = {one['input']!r}: {message}" if key else f"{place}: {message}"


def _line_of(text: str, pattern: str, offset: int = 0) -> int:
    match = re.compile(rf"^\s*(?:{pattern})", re.MULTILINE).search(text, offset)
    return text.count("\n", 0, match.end()) + 1 if match else 1


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(sorted(known))}"
