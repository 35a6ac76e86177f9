"""The file that describes a site: one desktop, and a camera for each room's corner.

    [site]
    keys = "keys"                 # folder of the site's keys, beside this file
    exporter = true               # what the rooms show, for a Prometheus on the desktop
    page_switches = false         # the page may pause rooms and set what [[room]] has
    camera_metrics = false        # cameras tell the network about themselves, too
    mqtt = "mqtts://home:8883"    # or a table: broker, user, password_file, ca_file, ...
    mqtt_switches = false         # whoever may publish there may pause rooms and cameras
    notify = { urls_file = "notify.urls" }  # who is told what is wrong

    wifi = { ssid = "home", password_file = "wifi.password", country = "DE" }  # for cards

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

    [[room]]                      # what is to hold of a room (rooms.py)
    name = "kitchen"
    group = "first floor"

A camera's settings are those of `camera-node`; a key that is not known is an error. A machine may
have several cameras, and the desktop's may have some too.
"""

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    model_validator,
)

from roommood.deploy.site.hosts import LOCAL, Host, User, is_loopback_name, machine_of
from roommood.deploy.site.in_sight import check_models
from roommood.deploy.site.readers import OURS_SAID, mqtt_settings, notify_settings
from roommood.deploy.site.rooms import Room, check_rooms
from roommood.shared.errors import ConfigError
from roommood.shared.process.advice import advice
from roommood.shared.process.settings import MqttSettings, NotifySettings
from roommood.shared.process.settings.tables import nearest, problem_with, rows_in
from roommood.shared.security.secret_urls import holds_password
from roommood.shared.text_file import read_text, why
from roommood.shared.transport.addresses import parse_address

DESKTOP: Final = "desktop"
FRAMES_PORT: Final = 5701
REPORTS_PORT: Final = 5700
REDIS_PORT: Final = 5770
DASHBOARD_PORT: Final = 5780
# Set by the site itself, for every component alike.
_OURS: Final = frozenset({"workers", "keys", "insecure", "bind", "advertise", "aggregators",
                          "instance", "processes", "redis_url", "redis_password_file"})  # fmt: skip
# Keys whose value is a file beside the site's.
_FILES: Final = frozenset(
    {"ssh_key", "password_file", "ca_file", "source_password_file", "urls_file"}
)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://")
_LISTS: Final = ("camera", "room")
_KNOWN_TABLES: Final = "[site], [desktop], [[camera]], [[room]]"
# What of a site does not stand in [site].
_OTHER_TABLES: Final = frozenset({"folder", "desktop", "cameras", "rooms"})


def _no_switch(value: Any) -> Any:
    """To Python, and so to pydantic, true is 1."""
    if isinstance(value, bool):
        raise ValueError("give a whole number")
    return value


Whole = Annotated[int, BeforeValidator(_no_switch)]


class Wifi(BaseModel):
    """The network that a camera's card is to join."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ssid: str = Field(min_length=1, max_length=32)
    password_file: Path
    country: str = Field(pattern="^[A-Z]{2}$")


class Reached(BaseModel):
    """How a machine is reached: by ssh, as a user who may use sudo without a password, or root."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Host
    user: User = "pi"
    # What ssh's own files say, where the site's says nothing.
    ssh_port: Whole | None = Field(default=None, ge=1, le=65_535)
    ssh_key: Path | None = None


class Desktop(Reached):
    """The machine that infers, counts and shows."""

    user: User = "root"
    address: Host = ""
    workers: Whole = Field(default=1, ge=1, le=64)
    dashboard: bool = True
    worker: dict[str, Any] = Field(default_factory=dict)
    aggregator: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_settings("worker", self.worker)
        check_models(self.worker)
        _check_settings("aggregator", self.aggregator)
        return self


class Camera(Reached):
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
        if holds_password(self.source):
            raise ValueError(
                "source holds a password, which others would read on its machine: put it into a "
                'file beside this one, for you alone, and write source_password_file = "FILE"'
            )
        own, known = Reached.model_fields, {*Reached.model_fields, *rows_in("camera")}
        for key in self.settings.keys() - rows_in("camera"):
            if close := set(get_close_matches(key, known, 1, 0.5)) & own.keys():
                raise ValueError(f"unknown key {key!r}; did you mean {close.pop()!r}?")
        _check_settings("camera", {**self.settings, "name": self.name, "room": self.room})
        return self

    @property
    def source_password_file(self) -> Path | None:
        """Here, beside the site's file."""
        given = self.settings.get("source_password_file")
        return Path(given) if given else None

    @property
    def source(self) -> str:
        """Where its pictures come from, as `camera-node` takes it."""
        return str(self.settings.get("source", rows_in("camera")["source"].default))


class Site(BaseModel):
    """Everything one file says. `folder` is where the file lies; relative paths start there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    keys: Path = Path("keys")
    exporter: bool = True
    camera_metrics: bool = False
    page_switches: bool = False
    mqtt: Annotated[InstanceOf[MqttSettings], BeforeValidator(mqtt_settings)] | None = None
    mqtt_switches: bool = False
    notify: Annotated[InstanceOf[NotifySettings], BeforeValidator(notify_settings)] | None = None
    wifi: Wifi | None = None
    desktop: Desktop
    cameras: tuple[Camera, ...] = Field(min_length=1)
    rooms: tuple[Room, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        names: set[str] = set()
        for camera in self.cameras:
            if camera.name == DESKTOP:
                raise ValueError(f"a camera has the name {DESKTOP!r}, which stands for [desktop]")
            if camera.name in names:
                raise ValueError(f"two cameras have the name {camera.name!r}: names are unique")
            names.add(camera.name)
        self._check_devices()
        check_rooms(self.rooms, {camera.room for camera in self.cameras})
        if self.page_switches and not self.desktop.dashboard:
            raise ValueError("page_switches needs the page: leave out [desktop] dashboard = false")
        if self.mqtt_switches and self.mqtt is None:
            raise ValueError('mqtt_switches needs the bridge: give mqtt = "mqtts://HOST:PORT"')
        reached_by = self.desktop.address or self.desktop.host
        if is_loopback_name(reached_by) and not self._is_one_machine:
            raise ValueError(
                f"desktop: {reached_by!r} is each machine's name for itself, and a camera is "
                'elsewhere: give address = "192.168.1.10", or the name by which that reaches it'
            )
        return self

    def _check_devices(self) -> None:
        """A device serves one camera: the second would wait for it for ever."""
        taken: dict[tuple[str, str], str] = {}
        for camera in self.cameras:
            if _URL.match(camera.source) or camera.source.startswith("simulated"):
                continue
            device = f"/dev/video{camera.source}" if camera.source.isdecimal() else camera.source
            first = taken.setdefault((machine_of(camera.host), device), camera.name)
            if first != camera.name:
                raise ValueError(
                    f"cameras {first!r} and {camera.name!r} have the same source, {device!r}, on "
                    f"{camera.host}: give each its own device"
                )

    @property
    def _is_one_machine(self) -> bool:
        return {machine_of(part.host) for part in (self.desktop, *self.cameras)} == {LOCAL}

    @property
    def desktop_address(self) -> str:
        """By which the cameras reach the desktop, as it stands in `host:port`."""
        address = self.desktop.address or self.desktop.host
        if machine_of(address) == LOCAL and self._is_one_machine:
            return "127.0.0.1"
        return f"[{address}]" if ":" in address else address

    def on_machine_of(self, camera: Camera) -> list[Camera]:
        """All cameras of the machine that this one hangs on."""
        return [
            other for other in self.cameras if machine_of(other.host) == machine_of(camera.host)
        ]

    def is_on_desktop(self, camera: Camera) -> bool:
        """Whether the camera hangs on the desktop's machine, as far as the hosts tell."""
        desktop = {machine_of(self.desktop.host), machine_of(self.desktop.address)}
        return machine_of(camera.host) in desktop

    @property
    def key_folder(self) -> Path:
        return self.folder / self.keys

    @property
    def frames_address(self) -> str:
        """Where every camera asks first; it learns the other workers."""
        return parse_address(f"{self.desktop_address}:{FRAMES_PORT}")


def read_site(path: Path) -> Site:
    """The site that a file describes. Raises ConfigError naming the file and what is wrong."""
    folder = path.resolve().parent
    document = _document(path)
    site = document.get("site", {})
    values = {
        "folder": folder,
        **(_beside(folder, site) if isinstance(site, dict) else {"site": site}),
        "desktop": _beside(folder, document.get("desktop", {})),
        "cameras": [_beside(folder, camera) for camera in document.get("camera", [])],
        "rooms": document.get("room", []),
    }
    try:
        return Site.model_validate(values)
    except ValidationError as error:
        # A camera that is wrong is also missing from the list: one complaint is enough.
        wrong = [
            fault for fault in error.errors() if fault["type"] != "too_short"
        ] or error.errors()
        raise ConfigError("\n".join(f"{path}: {_message(fault)}" for fault in wrong)) from None


def _document(path: Path) -> dict[str, Any]:
    """Its tables, each of the right kind."""
    try:
        document = tomllib.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read the site file {path}: {why(error)}") from error
    for name, value in document.items():
        if name not in ("site", "desktop", *_LISTS):
            close = get_close_matches(name, ("site", "desktop", *_LISTS), 1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ConfigError(f"{path}: unknown table {name}: {hint}known are {_KNOWN_TABLES}")
        is_list = isinstance(value, list) and all(isinstance(item, dict) for item in value)
        if name in _LISTS and not is_list:
            raise ConfigError(f"{path}: write [[{name}]], in two brackets, before each {name}")
        if name not in _LISTS and not isinstance(value, dict):
            raise ConfigError(f"{path}: write [{name}], in one bracket, and once")
    return document


def _beside(folder: Path, table: Any) -> Any:
    """A table whose files are looked for beside the site's file, those of its tables likewise."""
    if not isinstance(table, dict):
        return table
    resolved = {key: _beside(folder, value) for key, value in table.items()}
    for key in _FILES & resolved.keys():
        if isinstance(resolved[key], str):
            resolved[key] = str(folder / Path(resolved[key]).expanduser())
    return resolved


def _check_settings(table: str, values: dict[str, Any]) -> None:
    ours = _OURS & values.keys()
    if ours:
        raise ValueError(OURS_SAID.format(", ".join(sorted(ours))))
    problems = [problem_with(table, key, value) for key, value in values.items()]
    if wrong := [problem for problem in problems if problem]:
        raise ValueError(f"{table}: {'; '.join(wrong)}")


def _message(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        return _about_unknown_key(*fault["loc"])
    counted = (part + 1 if isinstance(part, int) else part for part in fault["loc"])
    where = " ".join(str(part) for part in counted)
    message = advice(fault)
    if fault["type"] == "too_short":
        message = "a site needs one at least: [[camera]], with a name, a room and a host"
    where = where.replace("cameras", "camera").replace("rooms", "room")
    return f"{where}: {message}" if where else message


def _about_unknown_key(*place: Any) -> str:
    """Of a table other than those that check their keys by themselves."""
    *tables, key = place
    where = str(tables[0]) if tables else "site"
    known = {"desktop": Desktop.model_fields, "wifi": Wifi.model_fields}.get(
        where, Site.model_fields
    )
    return f"{where}: unknown key {key!r}{nearest(key, known.keys() - _OTHER_TABLES)}"
