"""When a camera is off by the clock on the wall."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.quiet_hours import QuietHours, RoomQuietHours, is_quiet, why_unreadable

MONDAY, TUESDAY, FRIDAY, SATURDAY, SUNDAY = 6, 7, 10, 11, 12


def at(day: int, clock: str) -> datetime:
    """2026-07-06 is a Monday."""
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 7, day, hour, minute)


@pytest.mark.parametrize(
    ("clock", "quiet"),
    [("21:59", False), ("22:00", True), ("00:00", True), ("06:29", True), ("06:30", False)],
)
def test_a_span_past_midnight_holds_until_the_morning(clock: str, quiet: bool) -> None:
    assert QuietHours.parse(["22:00-06:30"]).is_quiet(at(MONDAY, clock)) is quiet


def test_a_span_past_midnight_belongs_to_the_day_it_began_on() -> None:
    hours = QuietHours.parse("fri 22:00-06:00")
    assert hours.is_quiet(at(FRIDAY, "23:00"))
    assert hours.is_quiet(at(SATURDAY, "05:59"))
    assert not hours.is_quiet(at(FRIDAY, "05:00"))
    assert not hours.is_quiet(at(SATURDAY, "22:30"))


def test_days_are_lists_and_ranges_and_ranges_may_pass_sunday() -> None:
    weekend = QuietHours.parse(["Sat,Sun 00:00-24:00"])
    assert weekend.is_quiet(at(SATURDAY, "00:00"))
    assert weekend.is_quiet(at(SUNDAY, "23:59"))
    assert not weekend.is_quiet(at(MONDAY, "00:00"))
    around = QuietHours.parse(["sat-mon 9:00-10:00"])
    assert [around.is_quiet(at(day, "09:30")) for day in (FRIDAY, SATURDAY, MONDAY, TUESDAY)] == [
        False,
        True,
        True,
        False,
    ]


def test_any_of_several_spans_is_quiet_and_none_never_is() -> None:
    hours = QuietHours.parse(["12:00-13:00", "mon 15:00-16:00"])
    assert hours.is_quiet(at(SUNDAY, "12:30"))
    assert hours.is_quiet(at(MONDAY, "15:00"))
    assert not hours.is_quiet(at(SUNDAY, "15:00"))
    assert not QuietHours.parse([]).is_quiet(at(MONDAY, "03:00"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("night", "not a span of time"),
        ("22-06", "not a span of time"),
        ("25:00-26:00", "25:00 is no time of day"),
        ("10:60-11:00", "10:60 is no time of day"),
        ("10:00-24:01", "24:01 is no time of day"),
        ("10:00-10:00", "empty"),
        ("24:00-06:00", "empty"),
        ("noday 10:00-11:00", "'noday' is no day"),
        ("mon, 10:00-11:00", "'' is no day"),
    ],
)
def test_what_is_no_span_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        QuietHours.parse([text])


def test_a_rooms_hours_go_by_the_clock_of_their_zone_and_come_back_as_they_were() -> None:
    hours = RoomQuietHours.parse("Asia/Kolkata; 22:00-06:30;  Sat,sun 00:00-24:00")
    assert str(hours) == "Asia/Kolkata; 22:00-06:30; sat,sun 00:00-24:00"
    assert RoomQuietHours.parse(str(hours)) == hours
    assert hours.is_quiet(datetime(2026, 7, MONDAY, 17, 0, tzinfo=UTC))  # 22:30 there
    assert not hours.is_quiet(datetime(2026, 7, MONDAY, 16, 0, tzinfo=UTC))


@pytest.mark.parametrize("text", ["", "Europe/Berlin", "22:00-06:30", "Moon/Crater; 22:00-06:30"])
def test_what_cannot_be_read_of_a_rooms_hours_counts_as_quiet(text: str) -> None:
    with pytest.raises(ConfigError):
        RoomQuietHours.parse(text)
    assert is_quiet(text, datetime(2026, 7, MONDAY, 12, tzinfo=UTC))
    assert not is_quiet("UTC; 22:00-06:30", datetime(2026, 7, MONDAY, 12, tzinfo=UTC))


def test_why_a_rooms_hours_cannot_be_read_can_be_told() -> None:
    assert "Nowhere/Land" in why_unreadable("Nowhere/Land; 22:00-06:30")
    assert why_unreadable("UTC; 22:00-06:30") == ""


def test_a_time_zone_that_is_set_later_holds_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    zones = ("Asia/Kolkata", "America/New_York", "Pacific/Auckland")
    for zone in zones:
        monkeypatch.setenv("TZ", zone)
        now = datetime.now(ZoneInfo(zone))
        around = [(now + timedelta(minutes=by)).strftime("%H:%M") for by in (-90, 90)]
        assert QuietHours.parse("-".join(around)).is_quiet_here()
    monkeypatch.undo()
    time.tzset()
