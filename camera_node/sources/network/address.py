"""The address of a network camera, with user and password kept apart from what is shown."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from roommood.shared.errors import ConfigError, SourceError
from roommood.shared.security.password_file import read_password
from roommood.shared.security.secret_urls import is_well_formed, redacted

SCHEMES: Final = frozenset({"rtsp", "rtsps", "http", "https"})
# Stands in an address for the password of the file, where a camera wants it in path or query.
PLACEHOLDER: Final = "{password}"
_PLAIN: Final = "/%:@!$&'()*+,;=~[]{}|^\\`\""
_ESCAPES: Final = (
    "in user and password write # as %23, / as %2F, ? as %3F, @ as %40 and % as %25, "
    "or put the password into a file: --source-password-file"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a camera."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a camera is; `url` has no user in it, and is not to be shown: `shown` is."""

    url: str = field(repr=False)
    shown: str
    credentials: Credentials | None = None

    @classmethod
    def parse(cls, spec: str, password_file: Path | None = None) -> Self:
        """Raises SourceError for no address of a camera, ConfigError for the password's file."""
        place = redacted(spec)
        if spec.partition("://")[0].lower() not in SCHEMES:
            raise SourceError(f"source {place!r} is not a stream that is known: {_KNOWN}")
        if not is_well_formed(spec):
            raise SourceError(f"source {place!r} is not an address with a host: {_ESCAPES}")
        password = read_password(password_file) if password_file else None
        if password is not None and PLACEHOLDER in spec:
            spec, password = spec.replace(PLACEHOLDER, quote(password, safe="")), None
        parts = urlsplit(spec)
        user = unquote(parts.username or "")
        if password is not None and not user:
            raise ConfigError(f"source {place!r} names no user: write it as {_WITH_USER}")
        given = password if password is not None else unquote(parts.password or "")
        host = parts.netloc.rpartition("@")[2]
        url = escaped(urlunsplit(parts._replace(netloc=host)))
        return cls(url, place, Credentials(user, given) if user else None)

    def with_credentials(self, url: str = "") -> str:
        """The URL, or that to which it led, as FFmpeg wants it; never to be shown."""
        parts = urlsplit(url or self.url)
        if self.credentials is None:
            return urlunsplit(parts)
        user, password = (
            quote(part, safe="") for part in (self.credentials.user, self.credentials.password)
        )
        return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc}"))


def escaped(url: str) -> str:
    """With blanks, umlauts and the like as %XX, as browsers send them; what is %XX stays."""
    parts = urlsplit(url)
    path, query = quote(parts.path, safe=_PLAIN), quote(parts.query, safe=_PLAIN + "?")
    return urlunsplit(parts._replace(path=path, query=query))


_KNOWN: Final = "use rtsp://, rtsps://, http:// or https://"
_WITH_USER: Final = (
    f"rtsp://USER@HOST/..., or put {PLACEHOLDER} where the camera wants the password"
)
