"""What the dashboard is told: where to listen, which Redis, and who may look."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from roommood.aggregator.redis.client import DEFAULT_URL
from roommood.shared.errors import ConfigError
from roommood.shared.security.page_password import read_page_password
from roommood.shared.transport.addresses import host_of, is_loopback, parse_address

DEFAULT_BIND: Final = "127.0.0.1:5780"


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
        return read_page_password(self.password_file)
