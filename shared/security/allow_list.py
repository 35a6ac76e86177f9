"""Who may come in: the cameras of a site by their keys, in a file that is read again on change.

    [[camera]]
    name = "kitchen-1"
    room = "kitchen"
    key = "..."              # public, Z85
    added = 2026-11-22
    revoked = 2026-12-01     # only where it is

A camera may have several keys, so that one can be renewed while the old one still serves.
"""

import logging
import threading
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Protocol

from roommood.shared.errors import ConfigError, RoommoodError
from roommood.shared.process.logs import event
from roommood.shared.protocol.names import parse_camera, parse_room
from roommood.shared.security.keys import MAX_ALLOW_LIST_BYTES, is_key
from roommood.shared.security.private_file import file_identity, read_private

REVOKED: Final = "revoked"
KEY_MISMATCH: Final = "key-mismatch"

_log = logging.getLogger(__name__)
_FIELDS: Final = {"name", "room", "key", "added", "revoked"}
# Seconds between two log lines on a list that stays unreadable.
_REMIND_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of one camera in one room; `revoked` is the day from which it no longer serves."""

    name: str
    room: str
    key: str
    added: date
    revoked: date | None = None


class AccessPolicy(Protocol):
    """Whose keys a bound socket lets in; `problem` says why that cannot be told anew, or ""."""

    @property
    def problem(self) -> str: ...

    def refresh(self) -> None:
        """Looks whether the answer has changed; never raises."""

    def authorizes(self, key: str) -> bool:
        """True if who proves to hold this key may come in."""


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    """The holders of some keys that stay the same while the process runs."""

    keys: frozenset[str]
    problem: str = ""

    def refresh(self) -> None:
        """Nothing changes."""

    def authorizes(self, key: str) -> bool:
        return key in self.keys


class AllowList:
    """The cameras that may come in, as the file says now. Safe from any thread.

    A file that cannot be read any more (half copied, damaged, open to others, gone) changes
    nothing: who was allowed goes on, since a slip of the pen must not darken a whole site, and
    nobody new is let in, since nothing can be known of them. A revocation in such a file has no
    effect yet, so it is logged as an error, at once and each minute, and `problem` says why.
    At the start there is no last good list: then it is an error.

    Raises:
        ConfigError: the file cannot be used, at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen = file_identity(path)
        self._live = _live(read_allow_list(path))
        self._reminded = 0.0
        self.problem = ""
        self.version = 0

    @property
    def size(self) -> int:
        """Keys that serve."""
        return len(self._live)

    @property
    def rooms(self) -> frozenset[str]:
        """Rooms whose cameras may come in."""
        return frozenset(entry.room for entry in self._live.values())

    def authorizes(self, key: str) -> bool:
        return key in self._live

    def refusal(self, key: str, camera: str, room: str) -> str:
        """Why a message that claims this camera and room is refused to this key; "" if not."""
        entry = self._live.get(key)
        if entry is None:
            return REVOKED
        return "" if (entry.name, entry.room) == (camera, room) else KEY_MISMATCH

    def refresh(self) -> None:
        """Reads the file again if it is another than the one last read; never raises."""
        with self._lock:
            identity = file_identity(self._path)
            if identity != self._seen:
                # Told apart before it is read: what is written meanwhile is seen the next time.
                self._seen = identity
                self._read()
            elif self.problem and time.monotonic() - self._reminded > _REMIND_S:
                self._complain()

    def _read(self) -> None:
        try:
            live = _live(read_allow_list(self._path))
        except RoommoodError as error:
            self.problem = str(error)
            self._complain()
            return
        self.problem = ""
        gone = len(self._live.keys() - live.keys())
        added = len(live.keys() - self._live.keys())
        self._live = live
        self.version += 1
        event(_log, logging.INFO, "allow-list read", keys=len(live), added=added, gone=gone)

    def _complain(self) -> None:
        self._reminded = time.monotonic()
        text = "allow-list cannot be read: nobody new is let in, nobody revoked is put out"
        event(_log, logging.ERROR, text, why=self.problem)


def read_allow_list(path: Path) -> list[Entry]:
    """The entries of an allow-list, also those revoked. Raises ConfigError."""
    text = read_private(path, MAX_ALLOW_LIST_BYTES, "an allow-list", is_secret=False)
    try:
        document = tomllib.loads(text)
        if document.keys() - {"camera"} or not isinstance(document.get("camera", []), list):
            raise ConfigError("it holds something else than [[camera]] tables")
        entries = [_entry(values) for values in document.get("camera", [])]
        _refuse_double(entries)
    except (ValueError, RoommoodError, RecursionError) as error:
        raise ConfigError(f"{path} is no allow-list: {error}") from error
    return entries


def render_allow_list(entries: Iterable[Entry]) -> str:
    """The text of an allow-list."""
    head = "# Cameras that may come in, and the public key of each: `roommood keys` writes this.\n"
    return head + "".join(_render(entry) for entry in entries)


def _render(entry: Entry) -> str:
    lines = [
        "\n[[camera]]",
        f'name = "{entry.name}"',
        f'room = "{entry.room}"',
        f'key = "{entry.key}"',
        f"added = {entry.added.isoformat()}",
    ]
    if entry.revoked is not None:
        lines.append(f"revoked = {entry.revoked.isoformat()}")
    return "\n".join(lines) + "\n"


def _entry(values: Any) -> Entry:
    if not isinstance(values, dict) or values.keys() - _FIELDS:
        raise ConfigError(f"an entry has other fields than {', '.join(sorted(_FIELDS))}")
    name, room, key = (values.get(field) for field in ("name", "room", "key"))
    added, revoked = values.get("added"), values.get("revoked")
    if not isinstance(name, str) or not isinstance(room, str):
        raise ConfigError("an entry has no name or no room")
    if not is_key(key):
        raise ConfigError(f"the key of {name!r} is no key")
    if type(added) is not date or type(revoked) not in (date, type(None)):
        raise ConfigError(f"{name!r}: added and revoked are days, as in 2026-11-22")
    return Entry(parse_camera(name), parse_room(room), str(key), added, revoked)


def _refuse_double(entries: list[Entry]) -> None:
    if len({entry.key for entry in entries}) < len(entries):
        raise ConfigError("one key stands there twice")


def _live(entries: Iterable[Entry]) -> Mapping[str, Entry]:
    """By key, those that serve. A day in the future revokes too: clocks are not trusted."""
    return {entry.key: entry for entry in entries if entry.revoked is None}
