"""The password of a web page: from its file, and from the header in which a browser gives it."""

import base64
from pathlib import Path
from typing import Final

from roommood.shared.security.password_file import read_password

# What can be tried out in a lifetime over a network, at one attempt a second, is far less.
_LEAST_CHARS: Final = 8


def read_page_password(path: Path | None) -> str | None:
    """None where no file is named: then none is asked for. Raises ConfigError."""
    return None if path is None else read_password(path, _LEAST_CHARS)


def given_password(authorization: str) -> str | None:
    """That of an Authorization header (RFC 7617), whatever the user's name is; None for others."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:
        return None
