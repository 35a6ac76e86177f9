"""The file that describes a site: one desktop, and a Pi with its camera for each room's corner.

    [site]
    keys = "keys"                 # folder of the site's keys, beside this file

    [desktop]
    host = "desk.local"           # as for ssh; "local" for the machine that deploys
    user = "ada"
    address = "192.168.1.10"      # by which the Pis reach it; the host, where it is not given
    workers = 2
    worker = { threads = 1 }      # any setting of a worker, and likewise of the aggregator

    [[camera]]
    name = "kitchen-1"
    room = "kitchen"
    host = "pi-kitchen.local"
    user = "pi"
    source = "picamera"           # and any other setting of a camera

A camera's settings are those of `camera-node`; a key that is not known is an error.
"""

import ipaddress
import re
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from roommood.shared.errors import ConfigError
from roommood.shared.process.settings.tables import problem_with
from roommood.shared.transport.addresses import parse_address

DESKTOP: Final = "desktop"
LOCAL: Final = "local"
FRAMES_PORT: Final = 5701
REPORTS_PORT: Final = 5700
REDIS_PORT: Final = 5770
DASHBOARD_PORT: Final = 5780
# Set by the site itself, for every component alike.
_OURS: Final = frozenset({"workers", "keys", "insecure", "bind", "advertise", "aggregators",
                          "instance", "processes", "redis_url", "redis_password_file"})  # fmt: skip
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}", re.ASCII)
_ON_DESKTOP: Final = (
    "camera {name!r} has the host of the desktop, {host!r}, where it would take the place of "
    "Redis, aggregator and workers. Take it out of this file, and run `camera-node` there by hand "
    "(docs/site.md, A camera on the desktop)"
)
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)


def _matching(pattern: re.Pattern[str], what: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise ValueError(f"{value!r} is no {what}")
        return value

    return BeforeValidator(check)


Host = Annotated[str, _matching(_HOST, "host name")]
User = Annotated[str, _matching(_USER, "user name")]


class Reached(BaseModel):
    """How a machine is reached: by ssh, as a user who may use sudo without a password, or root."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Host
    user: User = "pi"
    ssh_port: int = Field(default=22, ge=1, le=65_535)
    ssh_key: Path | None = None


class Desktop(Reached):
    """The machine that infers, counts and shows."""

    user: User = "root"
    address: Host = ""
    workers: int = Field(default=1, ge=1, le=64)
    dashboard: bool = True
    worker: dict[str, Any] = Field(default_factory=dict)
    aggregator: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.host == LOCAL and not self.address:
            raise ValueError('address is needed where host is "local": by it the Pis reach it')
        _check_settings("worker", self.worker)
        _check_settings("aggregator", self.aggregator)
        return self

    @property
    def reached_at(self) -> str:
        return self.address or self.host


class Pi(Reached):
    """One camera and the machine that it hangs on; `settings` are those of `camera-node`."""

    name: str
    room: str
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _sort(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        own = {"name", "room", *Reached.model_fields}
        rest = {key: value for key, value in values.items() if key not in own}
        kept = {key: value for key, value in values.items() if key in own}
        return {**kept, "settings": rest}

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_settings("camera", {**self.settings, "name": self.name, "room": self.room})
        return self


class Site(BaseModel):
    """Everything one file says. `folder` is where the file lies; relative paths start there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    keys: Path = Path("keys")
    desktop: Desktop
    cameras: tuple[Pi, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        of_desktop = {_machine(self.desktop.host), _machine(self.desktop.reached_at)}
        names: set[str] = set()
        machines: set[str] = set()
        for camera in self.cameras:
            machine = _machine(camera.host)
            if camera.name == DESKTOP:
                raise ValueError(f"a camera has the name {DESKTOP!r}, which stands for [desktop]")
            if camera.name in names:
                raise ValueError(f"two cameras have the name {camera.name!r}: names are unique")
            if machine in of_desktop:
                raise ValueError(_ON_DESKTOP.format(name=camera.name, host=camera.host))
            if machine in machines:
                raise ValueError(
                    f"two cameras have the host {camera.host!r}: a Pi has one camera node"
                )
            names.add(camera.name)
            machines.add(machine)
        return self

    @property
    def key_folder(self) -> Path:
        return self.folder / self.keys

    @property
    def frames_address(self) -> str:
        """Where every camera asks first; it learns the other workers."""
        return parse_address(f"{self.desktop.reached_at}:{FRAMES_PORT}")


def read_site(path: Path) -> Site:
    """The site that a file describes. Raises ConfigError naming the file and what is wrong."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the site file {path}: {error}") from error
    unknown = document.keys() - {"site", "desktop", "camera"}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ConfigError(f"{path}: unknown table {names}: known are [site], [desktop], [[camera]]")
    site = document.get("site", {})
    values = {
        "folder": path.resolve().parent,
        **(site if isinstance(site, dict) else {"site": site}),
        "desktop": document.get("desktop", {}),
        "cameras": document.get("camera", []),
    }
    try:
        return Site.model_validate(values)
    except ValidationError as error:
        # A camera that is wrong is also missing from the list: one complaint is enough.
        wrong = [one for one in error.errors() if one["type"] != "too_short"] or error.errors()
        raise ConfigError("\n".join(f"{path}: {_said(one)}" for one in wrong)) from None


def _machine(host: str) -> str:
    """One word for a machine, however its host is written: "local" for the one that deploys."""
    name = host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        own = socket.gethostname().lower()
        short = own.partition(".")[0]
        is_local = name in (LOCAL, "localhost", "localhost.localdomain", own, short)
        return LOCAL if is_local or name == f"{short}.local" else name
    return LOCAL if address.is_loopback or address.is_unspecified else str(address)


def _check_settings(table: str, values: dict[str, Any]) -> None:
    ours = _OURS & values.keys()
    if ours:
        raise ValueError(f"{', '.join(sorted(ours))}: the site itself sets this for every machine")
    said = [problem_with(table, key, value) for key, value in values.items()]
    if wrong := [one for one in said if one]:
        raise ValueError(f"{table}: {'; '.join(wrong)}")


def _said(one: Any) -> str:
    counted = (part + 1 if isinstance(part, int) else part for part in one["loc"])
    where = " ".join(str(part) for part in counted)
    message = str(one["msg"]).removeprefix("Value error, ")
    if one["type"] == "missing":
        message = "is needed"
    elif one["type"] == "extra_forbidden":
        message = "is not known"
    elif one["type"] == "too_short":
        message = "a site needs one at least: [[camera]], with a name, a room and a host"
    return f"{where.replace('cameras', 'camera')}: {message}" if where else message
