"""By whose clock a page tells times: as its settings say, else as the browser's own."""

from dataclasses import dataclass
from datetime import tzinfo

from roommood.aggregator.stats.calendar import zone_of
from roommood.shared.time_zone import find_zone

SERVERS = "this server's"
BROWSERS = "your browser's"
CHOSEN = "as it is set here"


@dataclass(frozen=True, slots=True)
class PageZone:
    """A time zone, and whose it is, in words."""

    zone: tzinfo
    whose: str

    @property
    def name(self) -> str:
        return str(self.zone)


def zone_at_first(setting: str | None) -> PageZone:
    """What holds until the browser has told its own: that of the settings, or the server's."""
    return PageZone(zone_of(setting), CHOSEN if setting else SERVERS)


def zone_for(first: PageZone, browsers: object) -> PageZone:
    """What holds once the browser has told the name of its own: that of the settings goes before,
    and the server's is kept where the browser's is not known here."""
    zone = find_zone(browsers) if isinstance(browsers, str) else None
    return first if first.whose == CHOSEN or zone is None else PageZone(zone, BROWSERS)
