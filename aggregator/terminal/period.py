"""The options that say of which time: `--last`, or `--from`, `--to` and `--timezone`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated, Final

import typer

from roommood.shared.errors import ConfigError

if TYPE_CHECKING:
    from roommood.aggregator.stats.calendar import Span

PERIOD_PANEL: Final = "Period"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="WHEN", show_default="none", rich_help_panel=PERIOD_PANEL,
        help="Instead of --last: 2026-11-20, 2026-11-20T14:30, today, yesterday, this-week.",
    ),
]  # fmt: skip
ToOption = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="WHEN", show_default="now", rich_help_panel=PERIOD_PANEL,
        help="Where --from ends; a day is meant whole.",
    ),
]  # fmt: skip
ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--timezone", metavar="ZONE", show_default="this machine's (TZ)",
        rich_help_panel=PERIOD_PANEL, help="By whose clock days begin: Europe/Berlin, UTC.",
    ),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """Of which time: `last` up to now, or a `span`; and by whose clock. One of the two is None."""

    zone: tzinfo
    last: timedelta | None = None
    span: "Span | None" = None


def asked(
    last: str | None, start: str | None, end: str | None, zone: str | None, usual: str
) -> Asked:
    """What the options say; `usual` is how far back it goes where they say nothing.

    Raises ConfigError.
    """
    from roommood.aggregator.stats.calendar import parse_span, zone_of

    clock = zone_of(zone)
    if start is None:
        if end is not None:
            raise ConfigError("--to needs --from: say where it begins")
        return Asked(clock, last=parse_duration(usual if last is None else last))
    if last is not None:
        raise ConfigError("--last and --from: choose one")
    return Asked(clock, span=parse_span(start, end, datetime.now(UTC), clock))


def parse_duration(text: str) -> timedelta:
    """30s, 10m, 1h, 7d, 2w to a time; raises ConfigError that says what is allowed."""
    match = re.fullmatch(r"([0-9]{1,8})([smhdw])", text)
    if match is None or int(match[1]) == 0:
        raise ConfigError(
            f"{text!r} is not a time: a whole number above 0 with s, m, h, d or w, "
            "such as 30s, 10m, 1h or 7d"
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
