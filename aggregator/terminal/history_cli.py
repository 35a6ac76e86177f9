"""Commands that look back: a room's figures over a span of time, for people and programs."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roommood.aggregator.terminal.common import (
    OUTPUT_PANEL,
    RoomArgument,
    note_missing,
    opened,
    print_table,
)
from roommood.aggregator.terminal.period import (
    PERIOD_PANEL,
    Asked,
    FromOption,
    ToOption,
    ZoneOption,
    asked,
    parse_duration,
)
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import RedisSettings
from roommood.shared.process.settings.options import with_settings

if TYPE_CHECKING:
    from roommood.aggregator.stats.figures import RoomPeriod
    from roommood.aggregator.stats.room_stats import Periods, RoomStats


@with_settings(RedisSettings)
def stats(
    settings: RedisSettings,
    room: RoomArgument,
    last: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", rich_help_panel=PERIOD_PANEL, show_default="1h",
            help="How far back: 30s, 10m, 1h, 7d.",
        ),
    ] = None,
    start: FromOption = None,
    end: ToOption = None,
    zone: ZoneOption = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", show_default="one summary", rich_help_panel=PERIOD_PANEL,
            help="Length of each row: a multiple of 10s (kept 6 h), 1m (7 d) or 1h (400 d); "
            "with --from, 1d is a day by the clock of the zone.",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT_PANEL)
    ] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV.", rich_help_panel=OUTPUT_PANEL)
    ] = False,
) -> None:  # fmt: skip
    """Say what a room's faces showed: people, share of each expression, coverage.

    Example: roommood stats kitchen --last 1d --by 1h --csv; or
    roommood stats kitchen --from yesterday --to yesterday --timezone Europe/Berlin
    """
    from roommood.aggregator.stats.export import as_json, csv_lines
    from roommood.aggregator.terminal import tables as read_view

    if json and csv:
        raise ConfigError("--json and --csv: choose one")
    period = asked(last, start, end, zone, usual="1h")
    with opened(settings) as reader:
        summary, history = _read(reader, room, period, None if by is None else parse_duration(by))
        cameras = reader.camera_states([summary.room]).get(summary.room, {})
        note_missing(reader)
    if json:
        typer.echo(as_json(summary, history))
    elif csv:
        typer.echo("".join(csv_lines(history or [summary])), nl=False)
    else:
        typer.echo(read_view.headline(summary, period.zone))
        for line in read_view.camera_lines(cameras):
            typer.echo(f"camera {line}")
        if summary.shares:
            print_table(read_view.summary_table(summary))
        if history:
            print_table(read_view.history_table(history, period.zone))


def _read(
    reader: "RoomStats", room: str, period: Asked, by: timedelta | None
) -> "tuple[RoomPeriod, list[RoomPeriod]]":
    """The whole, and its rows where they are asked for."""
    from roommood.aggregator.stats.calendar import steps

    if period.span is None:
        assert period.last is not None
        rows = reader.history(room, period.last, by) if by else []
        return reader.summary(room, period.last), rows
    (summary,) = reader.periods_of(room, [period.span])
    return summary, reader.periods_of(room, steps(period.span, by, period.zone)) if by else []


@with_settings(RedisSettings)
def export(
    settings: RedisSettings,
    room: RoomArgument,
    last: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", rich_help_panel=PERIOD_PANEL, show_default="7d",
            help="How far back: 6h, 7d, 400d.",
        ),
    ] = None,
    start: FromOption = None,
    end: ToOption = None,
    zone: ZoneOption = None,
    bucket: Annotated[
        str | None,
        typer.Option(
            "--bucket", "--by", metavar="TIME", show_default="the shortest that is kept",
            rich_help_panel=PERIOD_PANEL,
            help="Length of each row: a multiple of 10s (kept 6 h), 1m (7 d) or 1h (400 d).",
        ),
    ] = None,
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="A header and a line for each row: what you get unless you say --json.",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = False,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="A JSON object on a line for each row.", rich_help_panel=OUTPUT_PANEL
        ),
    ] = False,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default="standard output",
            rich_help_panel=OUTPUT_PANEL,
            help="File that is replaced once all is there, a new one for your eyes only; - is the "
            "standard output.",
        ),
    ] = Path("-"),
) -> None:  # fmt: skip
    """Write a room's history for other programs. Times are UTC, shares parts of 1.

    Example: roommood export kitchen --last 7d --csv --output kitchen.csv
    """
    from roommood.aggregator.stats.export import csv_lines, export_room, json_lines

    if json and csv:
        raise ConfigError("--json and --csv: choose one")
    length = None if bucket is None else parse_duration(bucket)
    period = asked(last, start, end, zone, usual="7d")
    with opened(settings) as reader:
        periods = _rows(reader, room, period, length)
        observed = export_room(periods, json_lines if json else csv_lines, output)
    if not observed:
        typer.echo(
            f"note: nothing of {room} was observed then: all {periods.count} rows are empty",
            err=True,
        )


def _rows(reader: "RoomStats", room: str, period: Asked, by: timedelta | None) -> "Periods":
    from roommood.aggregator.stats.calendar import steps
    from roommood.aggregator.stats.room_stats import Periods

    if period.span is None:
        assert period.last is not None
        return reader.periods(room, period.last, by)
    rows = reader.periods_of(room, steps(period.span, by or timedelta(hours=1), period.zone))
    return Periods(len(rows), iter(rows))


@with_settings(RedisSettings)
def report(
    settings: RedisSettings,
    rooms: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ROOM ...]", show_default="all rooms", help="Names of rooms."),
    ] = None,
    start: FromOption = None,
    end: ToOption = None,
    zone: ZoneOption = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            rich_help_panel=OUTPUT_PANEL,
            help="File that is replaced once all is there, a new one for your eyes only; - is the "
            "standard output.",
        ),
    ] = Path("roommood.html"),
) -> None:
    """Write a page to send: rooms beside each other, day by hour, what was not observed, how to
    read it. It needs nothing from anywhere, and prints well.

    Example: roommood report kitchen hall --from 2026-11-16 --to 2026-11-22 --output week.html
    """
    from roommood.aggregator.report.build import write_report

    period = asked(None, start, end, zone, usual="7d")
    with opened(settings) as reader:
        written = write_report(reader, rooms or (), period, output)
    typer.echo(f"{output}: {', '.join(written)}", err=str(output) == "-")
