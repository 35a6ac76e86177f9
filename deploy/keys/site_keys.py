"""The key folder of a site, as `roommood keys` makes and changes it.

    DIR/workers.key  DIR/aggregators.key   what workers and aggregators are started with
    DIR/cameras.toml                       who may send frames
    DIR/to-copy/                           what belongs on other machines, until it is copied

Every file is 0600 and replaced at once, so that whoever reads it sees the old or the new.
"""

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.process.atomic_file import require_folder, write_private
from roommood.shared.protocol.names import parse_camera, parse_room
from roommood.shared.security.allow_list import Entry, read_allow_list, render_allow_list
from roommood.shared.security.keys import (
    AGGREGATORS_FILE,
    ALLOW_LIST_FILE,
    WORKERS_FILE,
    KeyPair,
    fingerprint,
    read_key_file,
)

_TO_COPY: Final = "to-copy"
# What `roommood keys redis` may have written there before.
_REDIS: Final = "redis"
_HEAD: Final = "# Secret: whoever can read this file can take its holder's place.\n"


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of `roommood keys list`; there is no secret in it."""

    holder: str
    room: str
    fingerprint: str
    state: str


class SiteKeys:
    """Makes and changes the keys in one folder. Raises ConfigError for all that cannot be done."""

    def __init__(self, folder: Path) -> None:
        require_folder(folder)
        self.folder = folder

    @property
    def to_copy(self) -> Path:
        return self.folder / _TO_COPY

    # Commands

    def init(self) -> None:
        """Makes the folder, a pair for the workers, one for the aggregators, and an empty list."""
        _refuse_others_folder(self.folder)
        with _private_folders(self.folder), self._locked():
            if (self.folder / WORKERS_FILE).exists():
                raise ConfigError(
                    f"{self.folder} already holds the keys of a site: `roommood keys rotate "
                    "workers` or `rotate aggregators` renews them"
                )
            self._write_pairs(new_pair(), new_pair())
            self._write_list([])

    def add_camera(self, name: str, room: str) -> Path:
        """Admits a camera with a key of its own; returns its bundle, to be copied to it."""
        name, room = parse_camera(name), parse_room(room)
        with self._locked():
            entries = self.entries()
            if any(entry.name == name and entry.revoked is None for entry in entries):
                raise ConfigError(
                    f"camera {name!r} has a key: `roommood keys rotate {name}` renews it, "
                    f"`roommood keys revoke {name}` takes it away"
                )
            return self._admit(entries, name, room)

    def add_worker(self) -> Path:
        """What a further machine with workers needs, as a folder to be copied to it."""
        bundle = self.to_copy / "worker"
        files = (WORKERS_FILE, ALLOW_LIST_FILE)
        for name in files:
            self._must_exist(name)
        with _private_folders(self.to_copy, bundle), self._locked():
            for name in files:
                write_private(bundle / name, (self.folder / name).read_text())
        return bundle

    def revoke(self, name: str, *, all_but_newest: bool = False) -> list[Entry]:
        """Takes a camera's keys away, or all but its newest; returns those that served."""
        with self._locked():
            entries = self.entries()
            serving = [entry for entry in entries if entry.name == name and entry.revoked is None]
            if not serving:
                raise ConfigError(f"no camera {name!r} has a key that serves{self._known(entries)}")
            gone = serving[:-1] if all_but_newest else serving
            today = date.today()
            self._write_list(
                replace(entry, revoked=today) if entry in gone else entry for entry in entries
            )
        return gone

    def rotate_camera(self, name: str) -> Path:
        """A further key for a camera; the old one serves until it is revoked."""
        with self._locked():
            entries = self.entries()
            serving = [entry for entry in entries if entry.name == name and entry.revoked is None]
            if not serving:
                raise ConfigError(f"no camera {name!r} has a key that serves{self._known(entries)}")
            return self._admit(entries, name, serving[-1].room)

    def rotate_workers(self) -> list[Path]:
        """A new pair for the workers, and a new bundle for each camera, since they trust it."""
        with self._locked():
            self._write_pairs(new_pair(), self.aggregators())
            entries = self.entries()
            serving = {entry.name: entry.room for entry in entries if entry.revoked is None}
            return [self._admit(self.entries(), name, room) for name, room in serving.items()]

    def rotate_aggregators(self) -> None:
        """A new pair for the aggregators, which the workers' key file trusts from now on."""
        with self._locked():
            self._write_pairs(self.workers(), new_pair())

    def listed(self) -> list[Listed]:
        """Every key of the site: whose it is, and whether it serves."""
        fixed = [
            Listed("workers", "", fingerprint(self.workers().public), "serves"),
            Listed("aggregators", "", fingerprint(self.aggregators().public), "serves"),
        ]
        return fixed + [
            Listed(
                f"camera {entry.name}",
                entry.room,
                fingerprint(entry.key),
                f"revoked {entry.revoked}" if entry.revoked else f"serves since {entry.added}",
            )
            for entry in self.entries()
        ]

    # What stands in the folder

    def workers(self) -> KeyPair:
        return self._pair(WORKERS_FILE, "workers")

    def aggregators(self) -> KeyPair:
        return self._pair(AGGREGATORS_FILE, "aggregators")

    def entries(self) -> list[Entry]:
        self._must_exist(ALLOW_LIST_FILE)
        return read_allow_list(self.folder / ALLOW_LIST_FILE)

    def _pair(self, name: str, role: str) -> KeyPair:
        self._must_exist(name)
        values = read_key_file(self.folder / name, role)
        return KeyPair(values["public"], values["secret"])

    def _must_exist(self, name: str) -> None:
        if not (self.folder / name).exists():
            raise ConfigError(
                f"no {name} in {self.folder}: make it with `roommood keys init`, or name the "
                "folder that has it with --keys"
            )

    def _known(self, entries: list[Entry]) -> str:
        names = sorted({entry.name for entry in entries if entry.revoked is None})
        return f"; known are {', '.join(names)}" if names else ""

    # Writing

    def _admit(self, entries: list[Entry], name: str, room: str) -> Path:
        own = new_pair()
        bundle = self.to_copy / f"camera-{name}.key"
        values = {"role": "camera", "camera": name, "room": room}
        with _private_folders(self.to_copy):
            write_private(bundle, _render(own, values, workers=self.workers().public))
        self._write_list([*entries, Entry(name, room, own.public, date.today())])
        return bundle

    def _write_pairs(self, workers: KeyPair, aggregators: KeyPair) -> None:
        for name, role, own, trusts in (
            (WORKERS_FILE, "workers", workers, {"aggregators": aggregators.public}),
            (AGGREGATORS_FILE, "aggregators", aggregators, {"workers": workers.public}),
        ):
            write_private(self.folder / name, _render(own, {"role": role}, **trusts))

    def _write_list(self, entries: Iterator[Entry] | list[Entry]) -> None:
        write_private(self.folder / ALLOW_LIST_FILE, render_allow_list(entries))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One command at a time changes a folder."""
        try:
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            self._must_exist(WORKERS_FILE)
            raise ConfigError(f"cannot use the key folder {self.folder}: {error}") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def _refuse_others_folder(folder: Path) -> None:
    """Its mode becomes 0700, which is not to happen to a home, /etc or /tmp."""
    try:
        if not folder.exists():
            return
        names = [path.name for path in folder.iterdir() if path.name != _REDIS]
        is_open = folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    except OSError as error:
        raise ConfigError(f"cannot make the key folder {folder}: {error.strerror}") from error
    if names and is_open and WORKERS_FILE not in names:
        raise ConfigError(
            f"{folder} is a folder of other things ({sorted(names)[0]}, ...), and a key folder is "
            "closed to all others: name one that is new, such as --keys keys"
        )


def new_pair() -> KeyPair:
    """A new pair, from the system's randomness."""
    import zmq

    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


@contextlib.contextmanager
def _private_folders(*folders: Path) -> Iterator[None]:
    """Makes folders that only their owner may look into; what was made goes if it fails."""
    made: list[Path] = []
    try:
        for folder in folders:
            _make_private(folder, made)
        yield
    except BaseException:
        for folder in reversed(made):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _make_private(folder: Path, made: list[Path]) -> None:
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
            made.append(folder)
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"cannot make the key folder {folder}: {error.strerror}") from error


def _render(own: KeyPair, values: dict[str, str], **trusts: str) -> str:
    lines = {**values, "public": own.public, "secret": own.secret, **trusts}
    return _HEAD + "".join(f'{name} = "{value}"\n' for name, value in lines.items())
