"""Time zones by their IANA names: Europe/Berlin, Asia/Kolkata, UTC."""

import difflib
import os
from zoneinfo import ZoneInfo, available_timezones

from roommood.shared.errors import ConfigError


def find_zone(name: str) -> ZoneInfo | None:
    """None for a name that this machine does not know."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, OSError, ValueError):  # unknown, or no name of a file
        return None


def machines_zone() -> ZoneInfo | None:
    """The machine's own by its name, as /etc/localtime links to it; None where it does not."""
    try:
        target = os.readlink("/etc/localtime")
    except OSError:
        return None
    return find_zone(target.partition("zoneinfo/")[2])


def parse_zone(name: str) -> ZoneInfo:
    """Raises ConfigError that names the nearest zone there is."""
    zone = find_zone(name)
    if zone is None:
        close = difflib.get_close_matches(name, available_timezones(), n=1, cutoff=0.5)
        nearest = f"; did you mean {close[0]}?" if close else ", such as Europe/Berlin or UTC"
        raise ConfigError(f"{name!r} is no time zone: give an IANA name{nearest}")
    return zone
