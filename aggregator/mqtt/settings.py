"""Which broker the bridge speaks to, and how."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from roommood.aggregator.mqtt.discovery import Topics
from roommood.aggregator.redis.client import DEFAULT_URL
from roommood.shared.errors import ConfigError
from roommood.shared.security.password_file import read_password
from roommood.shared.transport.addresses import is_loopback

DEFAULT_BROKER: Final = "mqtt://127.0.0.1:1883"
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Raises ConfigError for a broker that cannot be used, or that strangers could overhear.

    Attributes:
        broker: mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS.
        ca_file: certificate of the authority that signed the broker's; None: the system's.
        every_s: seconds between two looks, and so between two messages of a room at least.
    """

    broker: str = DEFAULT_BROKER
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    insecure: bool = False
    topics: Topics = field(default_factory=Topics)
    every_s: float = 5.0
    redis_url: str = DEFAULT_URL
    redis_password_file: Path | None = None

    def __post_init__(self) -> None:
        for name in (self.topics.base, self.topics.discovery):
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name, re.ASCII):
                raise ConfigError(f"{name!r} is no topic prefix: letters, digits, _ and - are")
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
        except ValueError as error:
            raise ConfigError(f"{self.broker!r} is no broker: {error}") from error
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
            raise ConfigError("the broker is to be given as mqtt://HOST:PORT or mqtts://HOST:PORT")
        if parts.username or parts.password:
            raise ConfigError("give --user and --password-file, not a password in the address")
        return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]
