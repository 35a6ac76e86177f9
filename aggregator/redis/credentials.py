"""How a Redis lets us in: user, password from a file, TLS. A password never stands in a URL."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roommood.aggregator.redis.url import RedisUrl
from roommood.shared.errors import ConfigError
from roommood.shared.security.password_file import read_password
from roommood.shared.security.private_file import credentials_folder


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


def access(url: RedisUrl, password_file: Path | None) -> dict[str, Any]:
    """redis-py's options for user, password and TLS of a URL.

    TLS always checks the server's certificate and its name; `ca_file` says by whose word. Raises
    ConfigError for a user without a password file, and for a file that cannot be used.
    """
    return {**_login(url.user, password_file, "--redis-password-file"), **_tls(url)}


def sentinel_access(url: RedisUrl) -> dict[str, Any]:
    """The same for the sentinels, which have users and passwords of their own, mostly none."""
    file = url.own.get("sentinel_password_file")
    user = url.own.get("sentinel_user", "")
    login = _login(user, Path(file) if file else None, "sentinel_password_file=FILE in the URL")
    return {**login, **_tls(url)}


def _login(user: str, password_file: Path | None, how: str) -> dict[str, Any]:
    path = password_file or _credential(user)
    if path is not None:
        read_password(path)
        return {"credential_provider": PasswordFile(path, user)}
    if user:
        raise ConfigError(
            f"the Redis URL names the user {user!r}: give the file that holds the password, "
            f"with {how}"
        )
    return {}


def _tls(url: RedisUrl) -> dict[str, Any]:
    ca_file = url.own.get("ca_file")
    if not url.has_tls:
        return {}
    options: dict[str, Any] = {"ssl_check_hostname": True, "ssl_cert_reqs": "required"}
    if ca_file is not None:
        options["ssl_ca_certs"] = ca_file
    for name, path in {"ca_file": ca_file, "ssl_ca_certs": url.options.get("ssl_ca_certs")}.items():
        if path is not None:
            _require_certificates(name, path)
    _require_own_certificate(url.options.get("ssl_certfile"), url.options.get("ssl_keyfile"))
    return options


def _require_certificates(name: str, path: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{name}={path}: no certificates can be read there: {error}") from None


def _require_own_certificate(certificate: str | None, key: str | None) -> None:
    """Of a Redis that wants one: redis-py would say of these files that nobody answers, and ask at
    the terminal for the password of a key that has one."""
    if certificate is None and key is None:
        return
    given = f"ssl_certfile={certificate or ''}, ssl_keyfile={key or ''}"
    if certificate is None:
        raise ConfigError(f"{given} in the Redis URL: a key is of use with its certificate alone")
    try:
        ssl.create_default_context().load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{given} in the Redis URL: they are to hold a certificate and its key, which has no "
            f"password: {error}"
        ) from None


def _credential(user: str) -> Path | None:
    """What systemd was told to give us (LoadCredential=): redis-USER.password, or redis.password
    for a URL without a user."""
    folder = credentials_folder()
    path = folder / (f"redis-{user}.password" if user else "redis.password") if folder else None
    return path if path is not None and path.is_file() else None
