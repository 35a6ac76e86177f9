"""Time zones by their IANA names: Europe/Berlin, Asia/Kolkata, UTC."""

import difflib
import io
import os
import struct
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import TZPATH, ZoneInfo, available_timezones

from roommood.shared.errors import ConfigError

_LOCALTIME: Final = Path("/etc/localtime")
_NAMELESS: Final = "local time"
_AS_UTC: Final = ("UTC", "UCT", "GMT", "ZULU", "UNIVERSAL")


def find_zone(name: str) -> ZoneInfo | None:
    """None for a name that this machine does not know."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, OSError, ValueError):  # unknown, or no name of a file
        return None


def machines_zone(localtime: Path = _LOCALTIME) -> tzinfo:
    """The machine's own, with the days on which its clock is changed: as `TZ` names it, gives its
    rules or its file, else as `localtime` links to it or is a copy of it. Where neither tells, what
    it is off UTC today.
    """
    given = os.environ.get("TZ")
    zone = _at(localtime) if given is None else _given(given.removeprefix(":"))
    return zone or datetime.now(UTC).astimezone().tzinfo or UTC


def require_zone_of_clock() -> None:
    """Raises ConfigError where `TZ` names a zone of which the C library has no file: its clock then
    shows UTC, without a word."""
    text = os.environ.get("TZ", "").removeprefix(":")
    if not text or text.rpartition("/")[2].upper() in _AS_UTC or _by_rules(text):
        return
    folders = [given] if (given := os.environ.get("TZDIR")) else TZPATH
    if not any(Path(folder, text).is_file() for folder in folders):
        raise ConfigError(
            f"TZ={text}: this machine knows no such time zone, and its clock would show UTC"
            f"{_nearest_to(text) or '; apt install tzdata'}"
        )


def with_name(zone: tzinfo) -> ZoneInfo | None:
    """The zone, where others find it by its name."""
    return zone if isinstance(zone, ZoneInfo) and zone.key != _NAMELESS else None


def _given(text: str) -> ZoneInfo | None:
    return find_zone(text) or (_at(Path(text)) if text.startswith("/") else _by_rules(text))


def _by_rules(text: str) -> ZoneInfo | None:
    """Of a zone as POSIX writes it, CET-1CEST,M3.5.0,M10.5.0/3: as the last line of a file of zones
    without any changes before (RFC 8536, section 3)."""
    block = b"TZif2" + bytes(15) + struct.pack(">6I", 0, 0, 0, 0, 1, 1) + bytes(7)
    try:
        file = io.BytesIO(block * 2 + f"\n{text}\n".encode("ascii"))
        return ZoneInfo.from_file(file, _NAMELESS) if text else None
    except ValueError:
        return None


def _at(localtime: Path) -> ZoneInfo | None:
    try:
        target = os.readlink(localtime) if localtime.is_symlink() else ""
        if zone := find_zone(target.partition("zoneinfo/")[2]):
            return zone
        with localtime.open("rb") as file:
            return ZoneInfo.from_file(file, _NAMELESS)
    except (OSError, ValueError):
        return None


def parse_zone(name: str) -> ZoneInfo:
    """Raises ConfigError that names the nearest zone there is."""
    zone = find_zone(name)
    if zone is None:
        nearest = _nearest_to(name) or ", such as Europe/Berlin or UTC"
        raise ConfigError(f"{name!r} is no time zone: give an IANA name{nearest}")
    return zone


def _nearest_to(name: str) -> str:
    # "utc" is none on a file system that tells large letters from small ones.
    zones = {zone.casefold(): zone for zone in sorted(available_timezones())}
    close = difflib.get_close_matches(name.strip().casefold(), zones, n=1, cutoff=0.5)
    return f"; did you mean {zones[close[0]]}?" if close and zones[close[0]] != name else ""
