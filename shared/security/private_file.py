"""Files that hold secrets: one rule says which of them may be used, and whose they must be."""

import os
import shlex
import stat
from pathlib import Path
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.text_file import decode_text

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_CHANGE: Final = stat.S_IWGRP | stat.S_IWOTH
# systemd lets a service's user in by an access control list: its mask shows as the group's bit
# (systemd.exec(5), "Credentials").
_CREDENTIAL_MODES: Final = (0o400, 0o440)


def credentials_folder() -> Path | None:
    """Where systemd put what a unit names with LoadCredential, or None outside such a unit."""
    named = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(named) if named else None


def read_private(path: Path, most_bytes: int, holds: str, *, is_secret: bool = True) -> str:
    """Text of a file, less the newline at its end; `holds` says in errors what it is to be.

    A secret is not empty, and only its owner may read or change it; what is none may be read by
    all. The owner is this process's user, or root.

    Raises:
        ConfigError: names the file and says what to do.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            _refuse_if_open_to_others(path, status, is_secret)
            data = file.read(most_bytes + 1)
        text = decode_text(data).removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}: it is to hold {holds}") from error
    except ValueError as error:
        raise ConfigError(f"cannot read {path}: {error} (it is to hold {holds})") from None
    if len(data) > most_bytes:
        raise ConfigError(f"{path} has more than {most_bytes} bytes: it is to hold {holds}")
    if is_secret and not text:
        raise ConfigError(f"{path} is empty: it is to hold {holds}")
    return text


def _refuse_if_open_to_others(path: Path, status: os.stat_result, is_secret: bool) -> None:
    mode, user = stat.S_IMODE(status.st_mode), os.geteuid()
    if mode & (_OTHERS if is_secret else _OTHERS_CHANGE) and not _is_credential(path, status):
        can = "change" if mode & _OTHERS_CHANGE else "read"
        raise ConfigError(
            f"others can {can} {path} (mode {mode:04o}): chmod 600 {shlex.quote(str(path))}"
        )
    if user and status.st_uid not in (0, user):
        todo = f"chown {user} {shlex.quote(str(path))}"
        raise ConfigError(f"{path} belongs to another user: {todo}")


def _is_credential(path: Path, status: os.stat_result) -> bool:
    """Whether it lies among systemd's credentials as systemd itself puts them there."""
    as_systemd_does = stat.S_IMODE(status.st_mode) in _CREDENTIAL_MODES and status.st_uid == 0
    return path.parent == credentials_folder() and as_systemd_does


def file_identity(path: Path) -> tuple[int, ...]:
    """Another one where the file, or who may read it, may have changed."""
    try:
        status = os.stat(path)
    except OSError as error:
        return (error.errno or 0,)
    # The change time also moves when only the rights do.
    return (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
