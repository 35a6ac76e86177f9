"""Passwords come from files that only their owner may read, never from a command line."""

import stat
from pathlib import Path
from typing import Final

from shared.errors import ConfigError

_MAX_BYTES: Final = 4_096


def read_password(path: Path, least_chars: int = 1) -> str:
    """The first line of a file. Raises ConfigError where others may read it, or it is too short."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        with path.open("rb") as file:
            lines = file.read(_MAX_BYTES).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"the password file {path} cannot be read: {why}") from None
    if mode & 0o077:
        raise ConfigError(
            f"the password file {path} can be read by others (mode {mode:04o}): chmod 600 {path}"
        )
    if not lines or len(lines[0]) < least_chars:
        wanted = (
            f"a password of {least_chars} characters or more" if least_chars > 1 else "the password"
        )
        raise ConfigError(f"the password file {path}: its first line is to be {wanted}")
    return lines[0]
