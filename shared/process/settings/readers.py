"""The tables of what looks at rooms: terminal, live page, Prometheus, MQTT, messages, a preview.

Raises ConfigError where strangers could look though nobody has allowed it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import urlsplit

from roommood.shared.errors import ConfigError
from roommood.shared.process.settings.components import (
    DEFAULT_REDIS_URL,
    PictureSettings,
    Settings,
)
from roommood.shared.process.settings.kinds import (
    any_text,
    choice,
    file_path,
    number,
    page_address,
    public_url,
    redis_address,
    several,
    switch,
    time_zone,
)
from roommood.shared.process.settings.rows import Table, row
from roommood.shared.security.page_password import read_page_password
from roommood.shared.security.password_file import read_password
from roommood.shared.transport.addresses import host_of, is_loopback, parse_address

_REDIS: Final = "Redis"
_SERVED: Final = "Where it is served"
_WHO: Final = "Who may look"
_SHOWS: Final = "What it shows"
_BROKER: Final = "Broker"
_TOPICS: Final = "What is told"
_SWITCHED: Final = "What may be switched"
_WHOM: Final = "Whom it tells"
_URL_HELP: Final = (
    "redis://USER@HOST:PORT/0, rediss://...?ca_file=FILE (TLS) or unix://PATH; "
    "?cluster=true for a Cluster, redis+sentinel://HOST,HOST/SERVICE/0 for sentinels."
)
_PASSWORD_HELP: Final = "File whose first line is the password."
_MQTT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, kw_only=True)
class RedisSettings(Table):
    """Which Redis is read; where others have none of their own, theirs too."""

    TABLE: ClassVar[str] = "redis"

    url: str = row(
        redis_address(), DEFAULT_REDIS_URL, _URL_HELP, _REDIS, flags=("--redis",),
        is_secret=True,
    )  # fmt: skip
    password_file: Path | None = row(
        file_path(), None, _PASSWORD_HELP, _REDIS, flags=("--redis-password-file",)
    )


@dataclass(frozen=True, kw_only=True)
class Reader(Settings):
    """What runs for long and reads Redis."""

    redis_url: str = row(
        redis_address(), DEFAULT_REDIS_URL, _URL_HELP, _REDIS, flags=("--redis",),
        shared_as="ROOMMOOD_REDIS_URL", falls_back=("redis", "url"), is_secret=True,
    )  # fmt: skip
    redis_password_file: Path | None = row(
        file_path(), None, _PASSWORD_HELP, _REDIS,
        shared_as="ROOMMOOD_REDIS_PASSWORD_FILE", falls_back=("redis", "password_file"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DashboardSettings(Reader):
    """The live page. `behind_proxy`: a server in front says who may look, and for whom, as it does
    where `public_urls` are given."""

    TABLE: ClassVar[str] = "dashboard"

    bind: str = row(page_address(), "127.0.0.1:5780", "Where the page is served.", _WHO)
    password_file: Path | None = row(
        file_path(), None,
        "File (mode 0600) whose first line is the password that the page asks for.", _WHO,
    )  # fmt: skip
    behind_proxy: bool = row(
        switch(), False, "A server in front of this one decides who may look.", _WHO
    )
    public_urls: tuple[str, ...] = row(
        several(public_url(), 0, 8), (),
        "Where people open the page through a server in front, as https://rooms.example/ or "
        "https://home.example/rooms/; may be given again, with the same path.",
        _WHO, flags=("--public-url",),
    )  # fmt: skip
    operator_redis_url: str | None = row(
        redis_address(), None,
        "Lets the page pause rooms and cameras and set views, groups and quiet hours, as "
        "redis://operator@HOST:PORT/0; without it the page only reads.",
        _WHO, is_secret=True,
    )  # fmt: skip
    operator_redis_password_file: Path | None = row(file_path(), None, _PASSWORD_HELP, _WHO)
    timezone: str | None = row(
        time_zone(), None, "By whose clock times and days are shown: Europe/Berlin.", _SHOWS,
        shown="that of each browser",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if len({urlsplit(url).path for url in self.public_urls}) > 1:
            raise ConfigError(f"{' and '.join(self.public_urls)}: give all with the same path")
        if self.is_behind_proxy and not (is_local(self.bind) or self.password_file):
            raise ConfigError(
                f"a page behind a proxy, at {self.bind}, lets whoever reaches that address pass "
                "the proxy by: use --bind 127.0.0.1:5780, or give --password-file as well"
            )
        if not (is_local(self.bind) or self.password_file):
            raise ConfigError(
                f"{self.bind} can be reached from other machines: give --password-file, or "
                "--behind-proxy where another server decides who may look"
            )

    @property
    def is_behind_proxy(self) -> bool:
        return self.behind_proxy or bool(self.public_urls)

    @property
    def public_origins(self) -> frozenset[str]:
        """What a browser says its pages come from, where they come through the server in front."""
        return frozenset(f"{url.scheme}://{url.netloc}" for url in map(urlsplit, self.public_urls))

    @property
    def base_path(self) -> str:
        """The path below which the server in front has the page; "" for all of a name."""
        return next((urlsplit(url).path for url in self.public_urls), "")

    @property
    def host(self) -> str:
        return host_and_port(self.bind)[0]

    @property
    def port(self) -> int:
        return host_and_port(self.bind)[1]

    @property
    def password(self) -> str | None:
        """Read from its file. Raises ConfigError where the file is no secret."""
        return read_page_password(self.password_file)


@dataclass(frozen=True, kw_only=True)
class ExporterSettings(Reader):
    """Rooms for Prometheus."""

    TABLE: ClassVar[str] = "exporter"

    bind: str = row(page_address(), "127.0.0.1:9704", "Where /metrics is served.", _SERVED)
    insecure: bool = row(
        switch(), False,
        "Allow an address that other machines can reach: whoever asks is told.", _SERVED,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not (self.insecure or is_local(self.bind)):
            raise ConfigError(
                f"{self.bind} can be reached from other machines, and whoever asks is told what "
                "the rooms show: let Prometheus run here, or allow it with --insecure"
            )


@dataclass(frozen=True, kw_only=True)
class MqttSettings(Reader):
    """Rooms for Home Assistant."""

    TABLE: ClassVar[str] = "mqtt"

    broker: str = row(
        any_text(), "mqtt://127.0.0.1:1883",
        "mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS.", _BROKER, is_secret=True,
    )  # fmt: skip
    user: str | None = row(any_text(), None, "User of the broker.", _BROKER)
    password_file: Path | None = row(
        file_path(), None,
        "File (mode 0600) whose first line is that user's password.", _BROKER,
    )  # fmt: skip
    ca_file: Path | None = row(
        file_path(), None, "Certificate of the authority that signed the broker's.",
        _BROKER, shown="the system's",
    )  # fmt: skip
    insecure: bool = row(
        switch(), False,
        "Allow a broker on another machine without TLS: the network can read along.", _BROKER,
    )  # fmt: skip
    prefix: str = row(any_text(), "roommood", "First part of the topics of states.", _TOPICS)
    discovery_prefix: str = row(
        any_text(), "homeassistant", "Where Home Assistant looks for devices.", _TOPICS
    )
    page: str | None = row(
        any_text(), None,
        "Address of the live page for those who look at Home Assistant: http://HOST:PORT.",
        _TOPICS,
    )  # fmt: skip
    operator_redis_url: str | None = row(
        redis_address(), None,
        "Offers a switch for each room and camera, which pauses it, as "
        "redis://operator@HOST:PORT/0; without it the bridge only reads.",
        _SWITCHED, is_secret=True,
    )  # fmt: skip
    operator_redis_password_file: Path | None = row(file_path(), None, _PASSWORD_HELP, _SWITCHED)
    every_s: float = row(
        number(0.2, 60, "S"), 5.0, "Seconds between two messages of a room at least.",
        _TOPICS, unit="s",
    )  # fmt: skip
    change_every_s: float = row(
        number(0, 3600, "S"), 30.0,
        "Seconds between two changes of one figure at least: each is a row in a recorder.",
        _TOPICS, unit="s",
    )  # fmt: skip

    def __post_init__(self) -> None:
        for name in (self.prefix, self.discovery_prefix):
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name, re.ASCII):
                raise ConfigError(f"{name!r} is no topic prefix: letters, digits, _ and - are")
        if self.page is not None and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", self.page):
            raise ConfigError(f"page {self.page!r}: write http://HOST:PORT or https://HOST")
        if self.password_file and not self.user:
            raise ConfigError("a password needs a user: give --user")
        if self.ca_file and not self.uses_tls:
            raise ConfigError("--ca-file is for TLS: write mqtts://")
        if not (self.uses_tls or self.insecure or is_loopback(f"tcp://{self.host}:{self.port}")):
            raise ConfigError(
                f"{self.broker}: whoever listens on the network would read the password and what "
                "the rooms show: use mqtts://, or allow it with --insecure"
            )

    @property
    def has_switches(self) -> bool:
        """Whether rooms and cameras may be paused from the broker."""
        return self.operator_redis_url is not None

    @property
    def uses_tls(self) -> bool:
        return self._parts[0] == "mqtts"

    @property
    def host(self) -> str:
        return self._parts[1]

    @property
    def port(self) -> int:
        return self._parts[2]

    @property
    def password(self) -> str | None:
        """Read from its file. Raises ConfigError."""
        return read_password(self.password_file) if self.password_file else None

    @property
    def _parts(self) -> tuple[str, str, int]:
        try:
            parts = urlsplit(self.broker)
            port = parts.port
            (parts.hostname or "").encode("idna")  # as it is looked up
        except ValueError as error:
            raise ConfigError(f"{self.broker!r} is no broker: {error}") from error
        if parts.scheme not in _MQTT_PORTS or not parts.hostname or parts.path.strip("/"):
            raise ConfigError("the broker is to be given as mqtt://HOST:PORT or mqtts://HOST:PORT")
        if parts.username or parts.password:
            raise ConfigError("give --user and --password-file, not a password in the address")
        return parts.scheme, parts.hostname, port or _MQTT_PORTS[parts.scheme]


@dataclass(frozen=True, kw_only=True)
class NotifySettings(Reader):
    """Messages to people about what is wrong."""

    TABLE: ClassVar[str] = "notify"

    urls_file: Path | None = row(
        file_path(), None,
        "File (mode 0600) with an address of Apprise on each line: jsons://HOST/PATH, ntfys://...",
        _WHOM,
    )  # fmt: skip
    command: Path | None = row(
        file_path("PROGRAM"), None, "Program to start for each message, which it reads as JSON.",
        _WHOM,
    )  # fmt: skip
    hold_s: float = row(
        number(0, 3600, "S"), 30.0,
        "Seconds that something must be wrong before it is told, and be gone before its end is.",
        _TOPICS, unit="s",
    )  # fmt: skip
    expressions: bool = row(
        switch(), True, "Tell, too, when a room shows another expression most.", _TOPICS
    )
    expression_hold_s: float = row(
        number(0, 3600, "S"), 30.0, "Seconds for which it must do so.", _TOPICS, unit="s"
    )
    every_s: float = row(
        number(0.2, 60, "S"), 2.0, "Seconds between two looks at Redis.", _TOPICS, unit="s"
    )


@dataclass(frozen=True, kw_only=True)
class PreviewSettings(PictureSettings):
    """A camera's aiming page; how the picture looks stands in the camera's own table."""

    TABLE: ClassVar[str] = "preview"

    log_level: str = row(
        choice("debug", "info", "warning", "error"), "warning",
        "Least severe line to log.", "Settings and logs", shared_as="ROOMMOOD_LOG_LEVEL",
    )  # fmt: skip
    save: bool = row(
        switch(), False, "Let the page save masks into the file given with --config.",
        _SHOWS,
    )  # fmt: skip
    bind: str = row(page_address(), "127.0.0.1:9705", "Where it is served.", _WHO)
    password_file: Path | None = row(
        file_path(), None, "File (mode 0600) with the password that the page asks for.", _WHO
    )
    idle_min: float = row(
        number(0.1, 1440, "MIN"), 10.0,
        "End by itself when nobody has looked for so many minutes.", _WHO, unit="min",
    )  # fmt: skip


def is_local(bind: str) -> bool:
    """Whether host:port can be reached from its own machine alone. Raises ConfigError."""
    return is_loopback(parse_address(bind))


def host_and_port(bind: str) -> tuple[str, int]:
    """Of host:port, as a socket takes them: "0.0.0.0" for *. Raises ConfigError."""
    address = parse_address(bind)
    host = host_of(address)
    return "0.0.0.0" if host == "*" else host, int(address.rpartition(":")[2])
