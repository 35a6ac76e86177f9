"""What the dashboard is told: where to listen, which Redis, and who may look."""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aggregator.redis_client import DEFAULT_URL
from shared.addresses import host_of, is_loopback, parse_address
from shared.errors import ConfigError

DEFAULT_BIND: Final = "127.0.0.1:5780"
# What can be tried out in a lifetime over a network, at one attempt a second, is far less.
_LEAST_PASSWORD_CHARS: Final = 8


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """Raises ConfigError where strangers could look without a password.

    Attributes:
        bind: host:port of the page.
        password_file: its first line is the password of the page; None asks for none.
        behind_proxy: another server in front decides who may look, and says so for whom.
    """

    bind: str = DEFAULT_BIND
    redis_url: str = DEFAULT_URL
    redis_password_file: Path | None = None
    password_file: Path | None = None
    behind_proxy: bool = False

    def __post_init__(self) -> None:
        if self.port == 0 or self.is_local or self.password_file or self.behind_proxy:
            return
        raise ConfigError(
            f"{self.bind} can be reached from other machines: give --password-file, or "
            "--behind-proxy where another server decides who may look"
        )

    @property
    def address(self) -> str:
        return parse_address(self.bind)

    @property
    def host(self) -> str:
        host = host_of(self.address)
        return "0.0.0.0" if host == "*" else host

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.address)

    @property
    def password(self) -> str | None:
        """Read from its file. Raises ConfigError where the file is no secret."""
        return None if self.password_file is None else read_password(self.password_file)


def read_password(path: Path) -> str:
    """The first line of a file that only its owner may read. Raises ConfigError."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the password file {path} cannot be read: {error}") from error
    if mode & 0o077:
        raise ConfigError(
            f"the password file {path} can be read by others (mode {mode:04o}): chmod 600 {path}"
        )
    if not lines or len(lines[0]) < _LEAST_PASSWORD_CHARS:
        raise ConfigError(
            f"the first line of {path} is to be a password of {_LEAST_PASSWORD_CHARS} "
            "characters or more"
        )
    return lines[0]
