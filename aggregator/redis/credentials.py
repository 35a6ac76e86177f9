"""How a Redis lets us in: user, password from a file, TLS. A password never stands in a URL."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from roommood.shared.errors import ConfigError
from roommood.shared.security.password_file import read_password
from roommood.shared.security.private_file import credentials_folder
from roommood.shared.security.secret_urls import holds_password


@dataclass(frozen=True, slots=True)
class PasswordFile:
    """Gives redis-py user and password anew for each connection, so that a new one is taken."""

    path: Path
    user: str = ""

    def get_credentials(self) -> tuple[str, ...]:
        """User, if one is named, and password. Raises redis-py's AuthenticationError."""
        from redis import AuthenticationError

        try:
            password = read_password(self.path)
        except ConfigError as error:
            raise AuthenticationError(str(error)) from error
        return (self.user, password) if self.user else (password,)


def access(url: str, password_file: Path | None) -> tuple[str, dict[str, Any]]:
    """The URL without what is for us alone, and redis-py's options for what it said.

    Raises ConfigError for a URL that names a user without a password file, or asks for TLS that
    checks nothing; and for a file that cannot be used.
    """
    plain_url, user = _without_user(url)
    plain_url, options = _tls(plain_url)
    path = password_file or _credential(user)
    if path is not None:
        read_password(path)
        options["credential_provider"] = PasswordFile(path, user)
    elif user:
        raise ConfigError(
            f"the Redis URL names the user {user!r}: give the file that holds the password, "
            "with --redis-password-file"
        )
    return plain_url, options


def refuse_password_in(url: str) -> None:
    """Raises ConfigError, which does not repeat it, for a URL that holds a password.

    Every user of a machine sees the command lines of all processes.
    """
    if holds_password(url):
        raise ConfigError(
            "the Redis URL holds a password, which others could read from it: change that "
            "password, write the new one into a file that only you can read, and give "
            "--redis-password-file FILE and a URL like redis://USER@HOST:6379/0"
        )


def _without_user(url: str) -> tuple[str, str]:
    scheme, slashes, rest = url.partition("://")
    end = min((place for mark in "/?" if (place := rest.find(mark)) >= 0), default=len(rest))
    user, _, host = rest[:end].rpartition("@")
    return f"{scheme}{slashes}{host}{rest[end:]}", unquote(user)


def _tls(url: str) -> tuple[str, dict[str, Any]]:
    """TLS always checks the server's certificate and its name; `ca_file` says by whose word."""
    address, _, query = url.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    for name, value in given:
        if name in ("ssl_cert_reqs", "ssl_check_hostname"):
            raise ConfigError(
                f"{name}={value} in the Redis URL: without that check TLS protects from nothing; "
                "give the certificate of the authority that signed, with ca_file=FILE"
            )
    ca_files = [value for name, value in given if name == "ca_file"]
    rest = urlencode([(name, value) for name, value in given if name != "ca_file"])
    plain_url = f"{address}?{rest}" if rest else address
    if not address.startswith("rediss://"):
        if ca_files:
            raise ConfigError("ca_file in a Redis URL without TLS: write rediss://")
        return plain_url, {}
    options: dict[str, Any] = {"ssl_check_hostname": True, "ssl_cert_reqs": "required"}
    if ca_files:
        options["ssl_ca_certs"] = _certificates(Path(ca_files[-1]))
    return plain_url, options


def _certificates(path: Path) -> str:
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file={path}: no certificates can be read there: {error}") from None
    return str(path)


def _credential(user: str) -> Path | None:
    """What systemd was told to give us (LoadCredential=): redis-USER.password, or redis.password
    for a URL without a user."""
    folder = credentials_folder()
    path = folder / (f"redis-{user}.password" if user else "redis.password") if folder else None
    return path if path is not None and path.is_file() else None
