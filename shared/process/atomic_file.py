"""Files that are replaced whole: whoever reads one finds all of the new text, or the old file."""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from roommood.shared.errors import ConfigError

# A path takes one of its slashes.
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@contextmanager
def atomic_file(
    path: Path, mode: int | None = None, *, mode_if_new: int | None = None
) -> Iterator[TextIO]:
    """A text file that takes the place of `path` once all is written, or not at all.

    A link goes on pointing to its file, and a file that was there keeps its mode unless another
    is given; `mode_if_new` is that of one that was not there. Raises ConfigError where it cannot
    be written; on any error what was there before stays.
    """
    target = Path(os.path.realpath(path))
    require_replaceable(path)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        if mode is None:
            mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else mode_if_new
        with _opened(part, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def require_local(path: Path) -> None:
    """Raises ConfigError for an address: folders of such a name would be made."""
    if _ADDRESS.match(str(path)):
        raise ConfigError(f"{path} is an address: give a path on this machine")


def require_folder(path: Path) -> None:
    """For a folder that may be made. Raises ConfigError for an address, and for what is there and
    no folder."""
    require_local(path)
    if os.path.exists(path) and not os.path.isdir(path):
        raise ConfigError(f"{path} is no folder: give another")


def require_replaceable(path: Path) -> None:
    """Raises ConfigError for an address, and for what is there and no file: root would replace the
    device itself."""
    require_local(path)
    # Unlike Path's these raise nothing: a name that is too long, say, is told when it is written.
    if os.path.isdir(path):
        raise ConfigError(f"{path} cannot be written: it is a folder")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigError(f"{path} is no file, but a device, a pipe or a socket: give another")


def write_private(path: Path, text: str) -> None:
    """A whole file that nobody but its owner may read, not for a moment. Raises ConfigError."""
    with atomic_file(path, 0o600) as file:
        file.write(text)


def _opened(part: Path, mode: int | None) -> TextIO:
    allowed = 0o666 if mode is None else mode
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, allowed)
    file = open(descriptor, "w", encoding="utf-8", newline="")  # noqa: SIM115
    if mode is not None:
        os.fchmod(descriptor, mode)  # the umask had its say above
    return file


def _sync_folder(folder: Path) -> None:
    """As far as it goes: the file is there by now, and some may not read its folder, nor can all
    file systems do this."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
