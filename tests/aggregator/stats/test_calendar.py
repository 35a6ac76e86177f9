"""Days and hours by the clock on people's walls."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import pytest

from roommood.aggregator.redis.keys import RESOLUTIONS
from roommood.aggregator.stats.calendar import (
    Span,
    days,
    parse_span,
    steps,
    wall_hours,
    zone_of,
)
from roommood.aggregator.stats.retention import buckets_of
from roommood.shared.errors import ConfigError
from roommood.shared.time_zone import machines_zone, with_name

BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 11, 26, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("start", "end", "begins", "ends"),
    [
        ("yesterday", "yesterday", utc(2026, 11, 24, 23), utc(2026, 11, 25, 23)),
        ("today", None, utc(2026, 11, 25, 23), NOW),
        ("2026-11-20", "2026-11-21", utc(2026, 11, 19, 23), utc(2026, 11, 21, 23)),
        ("2026-11-20T14:30", "2026-11-20T15:00", utc(2026, 11, 20, 13, 30), utc(2026, 11, 20, 14)),
        ("2026-11-20T14:30+00:00", "now", utc(2026, 11, 20, 14, 30), NOW),
        ("this-week", "this-week", utc(2026, 11, 22, 23), NOW),
        ("last-week", "last-week", utc(2026, 11, 15, 23), utc(2026, 11, 22, 23)),
        ("2026-11-26", "2026-11-30", utc(2026, 11, 25, 23), NOW),  # what lies ahead is cut
    ],
)
def test_a_span_is_read_by_the_clock_of_its_zone(
    start: str, end: str | None, begins: datetime, ends: datetime
) -> None:
    assert parse_span(start, end, NOW, BERLIN) == Span(begins, ends)


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        ("last week", None, "is no time: give a day"),
        ("2026-02-30", None, "is no day"),
        ("today", "yesterday", "that is nothing"),
        ("2027-01-01", None, "lies ahead"),
    ],
)
def test_what_is_no_span_is_refused_with_what_is_one(start: str, end: str | None, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse_span(start, end, NOW, BERLIN)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-20", 24)]
)
def test_a_day_is_as_long_as_its_clock_says(day: str, hours: int) -> None:
    span = parse_span(day, day, NOW, BERLIN)

    assert span.length == hours * HOUR
    assert list(days(span, BERLIN)) == [span]
    assert len(steps(span, HOUR, BERLIN)) == hours


def test_days_begin_at_the_zones_midnight() -> None:
    span = parse_span("2026-11-20", "2026-11-22", NOW, KOLKATA)

    assert [step.start for step in steps(span, timedelta(days=1), KOLKATA)] == [
        utc(2026, 11, 19, 18, 30), utc(2026, 11, 20, 18, 30), utc(2026, 11, 21, 18, 30),
    ]  # fmt: skip


def test_the_last_step_ends_with_the_span() -> None:
    span = Span(NOW, NOW + timedelta(minutes=25))

    assert [step.length.seconds for step in steps(span, timedelta(minutes=10), UTC)] == [
        600,
        600,
        300,
    ]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("Europe/Berln", "Europe/Berlin"), ("utc", "UTC"), ("EUROPE/BERLIN", "Europe/Berlin")],
)
def test_a_zone_that_does_not_exist_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {re.escape(nearest)}[?]"):
        zone_of(name)


@pytest.mark.parametrize(
    ("tz", "winter_h", "summer_h"),
    [
        ("CET-1CEST,M3.5.0,M10.5.0/3", 1, 2),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", 11, 10),
        ("<+0330>-3:30", 3.5, 3.5),
        ("UTC0", 0, 0),
        (":{file}", 1, 2),
    ],
)
def test_rules_and_files_in_tz_hold_for_every_day_of_the_year(
    tz: str, winter_h: float, summer_h: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As POSIX writes them; routers' and containers' images name no zone."""
    file, files = tmp_path / "zone", (Path(folder) / "Europe/Berlin" for folder in TZPATH)
    file.write_bytes(next(filter(Path.is_file, files)).read_bytes())
    monkeypatch.setenv("TZ", tz.format(file=file))
    zone = zone_of(None)
    for month, hours in ((1, winter_h), (7, summer_h)):
        assert datetime(2026, month, 15, tzinfo=zone).utcoffset() == timedelta(hours=hours)
    assert with_name(zone) is None


def test_without_a_name_the_environment_says_where_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    assert zone_of(None) == KOLKATA


@pytest.mark.parametrize("is_link", [True, False])
def test_without_a_name_a_past_day_is_that_of_the_machines_clock_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_link: bool
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    files = (Path(folder) / "Europe/Berlin" for folder in TZPATH)
    localtime, source = tmp_path / "localtime", next(filter(Path.is_file, files))
    if is_link:
        localtime.symlink_to(source)
    else:
        localtime.write_bytes(source.read_bytes())

    zone = machines_zone(localtime)

    now = datetime(2026, 11, 20, tzinfo=UTC)
    starts = [parse_span(day, day, now, zone).start for day in ("2026-07-01", "2026-11-01")]
    assert [start.hour for start in starts] == [22, 23]
    assert (with_name(zone) is not None) == is_link


def test_without_a_name_the_machines_own_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    assert zone_of(None) == machines_zone()


def test_a_machine_that_tells_nothing_is_off_utc_as_it_is_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    zone = machines_zone(tmp_path / "none")
    assert NOW.astimezone(zone).utcoffset() == NOW.astimezone().utcoffset()


@pytest.mark.parametrize("zone", [BERLIN, ZoneInfo("America/New_York"), UTC])
@pytest.mark.parametrize(
    ("start", "end"),
    [("0001-01-01", None), ("0001-01-01T00:00", None), ("2026-11-01", "9999-12-31")],
)
def test_a_day_at_the_end_of_all_days_is_an_error_or_a_span(
    zone: tzinfo, start: str, end: str | None
) -> None:
    with suppress(ConfigError):
        assert parse_span(start, end, NOW, zone).end <= NOW


@pytest.mark.parametrize("by", [timedelta(seconds=10), HOUR, timedelta(days=1)])
def test_more_rows_than_are_kept_of_any_length_are_not_even_counted_out(by: timedelta) -> None:
    span = Span(datetime(2, 1, 1, tzinfo=UTC), NOW)
    with pytest.raises(ConfigError, match="20000 at most"):
        steps(span, by, UTC)


def test_a_row_may_be_longer_than_any_calendar() -> None:
    span = Span(NOW - HOUR, NOW)
    assert steps(span, timedelta(hours=99_999_999), UTC) == [span]


@pytest.mark.parametrize(
    ("zone", "day", "odd"),
    [
        ("Europe/Berlin", "2026-10-25", (2, 2.0)),
        ("Europe/Berlin", "2026-03-29", None),
        ("Australia/Lord_Howe", "2026-04-05", (1, 1.5)),
    ],
)
def test_an_hour_of_the_clock_is_as_long_as_the_clock_shows_it(
    zone: str, day: str, odd: tuple[int, float] | None
) -> None:
    clock = ZoneInfo(zone)
    span = parse_span(day, day, NOW, clock)
    hours = wall_hours(span, clock)

    shown = [hour.start.astimezone(clock) for hour in hours]
    assert len({time.hour for time in shown}) == len(hours)
    assert sum((hour.length for hour in hours), timedelta()) == span.length
    unusual = [(at.hour, hour.length / HOUR) for at, hour in zip(shown, hours, strict=True)
               if hour.length != HOUR]  # fmt: skip
    assert unusual == ([] if odd is None else [odd])


def test_hours_of_a_zone_that_is_half_an_hour_off_each_have_an_hour_that_is_kept() -> None:
    span = parse_span("2026-11-20", "2026-11-20", NOW, KOLKATA)
    hour = RESOLUTIONS[-1]

    kept = [buckets_of(wall_hour, hour, NOW.timestamp()) for wall_hour in wall_hours(span, KOLKATA)]

    assert [len(buckets) for buckets in kept] == [1] * 24
    assert len({buckets.start for buckets in kept}) == 24
