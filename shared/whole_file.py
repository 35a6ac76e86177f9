"""Files that are replaced whole: whoever reads one finds all of the new text, or the old file."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from shared.errors import ConfigError


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A text file that takes the place of `path` once all is written, or not at all.

    A link goes on pointing to its file, and a file that was there keeps its mode. Raises
    ConfigError where it cannot be written; on any error what was there before stays.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with _opened(part, target) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _opened(part: Path, target: Path) -> TextIO:
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    allowed = 0o666 if mode is None else mode
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, allowed)
    file = open(descriptor, "w", encoding="utf-8", newline="")  # noqa: SIM115
    if mode is not None:
        os.fchmod(descriptor, mode)  # the umask had its say above
    return file
