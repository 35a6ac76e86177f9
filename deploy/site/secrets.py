"""Files that only their owner may read, on a machine: at no moment anybody else.

The content comes over the connection itself, into a folder that others cannot enter, under a name
that nobody knows in advance, and takes its place by a rename.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from shlex import quote
from typing import Final

from roommood.deploy.site.machine import Machine, MachineError

_MODE: Final = "600"
_PUT: Final = """
set -eu
umask 077
mkdir -p -m 755 {above}
[ -d {folder} ] || mkdir -m 700 {folder}
chown root:{group} {folder}
chmod {folder_mode} {folder}
new=$(mktemp {folder}/.new.XXXXXXXX)
trap 'rm -f "$new"' EXIT
base64 -d >"$new"
chown {owner}:{group} "$new"
chmod {mode} "$new"
mv -fT "$new" {path}
"""
# In the same folder, so that it stays as private.
_ASIDE: Final = "if [ -e {path} ]; then mv -fT {path} {aside}; fi"
_BACK: Final = "if [ -e {aside} ]; then mv -fT {aside} {path}; fi"
_LOOK: Final = (
    "stat -c '%a %U:%G' {folder} {path} 2>/dev/null; sha256sum {path} 2>/dev/null | cut -c-64"
)


@dataclass(frozen=True, slots=True)
class Secret:
    """A file that only `owner` may read; `path` on the machine, `text` its content.

    `is_live`: who uses it notices a change, so that nothing is restarted for it.
    """

    path: str
    text: str = field(repr=False)
    owner: str = "root"
    is_live: bool = False

    @property
    def folder(self) -> PurePosixPath:
        return PurePosixPath(self.path).parent

    @property
    def folder_mode(self) -> str:
        """Root's own folder; its owner may pass, where that is another."""
        return "700" if self.owner == "root" else "750"


def put_secrets(machine: Machine, secrets: Iterable[Secret], *, dry_run: bool = False) -> list[str]:
    """Has each lie on the machine; returns the paths of those that did not, or not as privately."""
    changed = [secret for secret in secrets if not _lies_there(machine, secret)]
    if not dry_run:
        for secret in changed:
            _put(machine, secret)
    return [secret.path for secret in changed]


def lying(machine: Machine, paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Those that are on the machine, or were put aside on it."""
    return [
        path
        for path in paths
        if machine.attempt(f"test -e {quote(str(path))} || test -e {quote(str(aside(path)))}")[0]
    ]


@contextmanager
def without(machine: Machine, paths: Iterable[PurePosixPath]) -> Iterator[None]:
    """What starts inside does not find these: they are deleted at its end, and back where it
    fails."""
    places = [{"path": quote(str(path)), "aside": quote(str(aside(path)))} for path in paths]
    for place in places:
        machine.run(_ASIDE.format(**place))
    try:
        yield
    except BaseException:
        for place in places:
            machine.attempt(_BACK.format(**place))
        raise
    for place in places:
        machine.run("rm -f {aside}".format(**place))


def aside(path: PurePosixPath) -> PurePosixPath:
    """Where a secret lies until it is sure that nothing needs it any more."""
    return path.with_name(f".{path.name}.before")


def _lies_there(machine: Machine, secret: Secret) -> bool:
    _, output = machine.attempt(_LOOK.format(**_words(secret)))
    group = f"root:{secret.owner}"
    return output.splitlines() == [
        f"{secret.folder_mode} {group}",
        f"{_MODE} {secret.owner}:{secret.owner}",
        hashlib.sha256(secret.text.encode()).hexdigest(),
    ]


def _put(machine: Machine, secret: Secret) -> None:
    content = base64.b64encode(secret.text.encode()).decode()
    done, output = machine.attempt(_PUT.format(**_words(secret)), stdin=content)
    if not done:
        raise MachineError(f"{machine.name}: {secret.path} cannot be written: {output}")


def _words(secret: Secret) -> dict[str, str]:
    return {
        "path": quote(secret.path),
        "folder": quote(str(secret.folder)),
        "above": quote(str(secret.folder.parent)),
        "folder_mode": secret.folder_mode,
        "owner": quote(secret.owner),
        "group": quote(secret.owner),
        "mode": _MODE,
    }
