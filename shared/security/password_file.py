"""Passwords come from files that only their owner may read, never from a command line."""

from pathlib import Path
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.security.private_file import read_private

_MAX_BYTES: Final = 4_096


def read_password(path: Path, least_chars: int = 1) -> str:
    """The first line of a private file. Raises ConfigError, also where it is too short."""
    expected = (
        f"a password of {least_chars} characters or more" if least_chars > 1 else "a password"
    )
    lines = read_private(path, _MAX_BYTES, expected).splitlines()
    if len(lines[0]) < least_chars:
        raise ConfigError(f"the first line of {path} is to be {expected}")
    return lines[0]
