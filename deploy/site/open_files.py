"""Files that everybody on a machine may read: settings, units, scripts. All go in one message."""

import base64
import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

from roommood.deploy.site.machine import Machine


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A text at an absolute path, of root, which everybody may read."""

    path: str
    text: str
    mode: int = 0o644

    @property
    def line(self) -> str:
        """As the machine tells of it where it lies there."""
        return f"{hashlib.sha256(self.text.encode()).hexdigest()} {self.mode:o} {self.path}"


def put_files(machine: Machine, due: Iterable[OpenFile], *, dry_run: bool = False) -> list[str]:
    """Has each lie on the machine; returns the paths of those that did not. Raises MachineError."""
    files = list(due)
    there = set(_look(machine, files))
    changed = [file for file in files if file.line not in there]
    if changed and not dry_run:
        content = base64.b64encode(packed(changed)).decode()
        machine.run("umask 022; base64 -d | tar -x -p --no-same-owner -C /", stdin=content)
    return [file.path for file in changed]


def _look(machine: Machine, files: list[OpenFile]) -> list[str]:
    names = " ".join(quote(file.path) for file in files)
    _, output = machine.attempt(
        f"for f in {names}; do [ ! -f $f ] || "
        'echo "$(sha256sum <$f | cut -c-64) $(stat -c %a $f) $f"; done'
    )
    return output.splitlines()


def packed(files: list[OpenFile]) -> bytes:
    """As an archive, to be unpacked at the root by root."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as archive:
        for file in files:
            content = file.text.encode()
            member = tarfile.TarInfo(file.path.lstrip("/"))
            member.size, member.mode = len(content), file.mode
            archive.addfile(member, io.BytesIO(content))
    return into.getvalue()
