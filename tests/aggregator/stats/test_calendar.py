"""Days and hours by the clock on people's walls."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

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


def test_a_zone_that_does_not_exist_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean Europe/Berlin"):
        zone_of("Europe/Berln")


def test_without_a_name_the_environment_says_where_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    assert zone_of(None) == KOLKATA


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
