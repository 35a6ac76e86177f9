"""Which pasts a page shows, by whose clock, and what their times are called."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from roommood.aggregator.dashboard import charts, windows, zones
from roommood.aggregator.stats.calendar import Span, parse_span, steps
from roommood.aggregator.stats.figures import RoomPeriod, room_period
from roommood.aggregator.stats.retention import nearest, resolution_for_spans
from roommood.shared.errors import ConfigError

BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 11, 26, 10, 31, 5, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def seen(start: datetime, length: timedelta = HOUR) -> RoomPeriod:
    counters = {"frames:door": 10, "observed_us:door": 1, "face_us:door": 1}
    begin = start.timestamp()
    return room_period("den", counters, begin, begin + length.total_seconds(), begin + 1e6)


@pytest.mark.parametrize("window", windows.WINDOWS)
def test_every_window_opens_with_a_picture_that_is_not_too_fine(window: str) -> None:
    for place, bucket in enumerate(windows.WINDOWS[window].buckets):
        span = windows.span_of(window, "2026-11-20", bucket, NOW, BERLIN)
        rows = steps(span, windows.length_of(bucket), BERLIN)
        assert len(rows) <= (1_500 if place else charts.MOST_BARS)
        assert rows[-1].end == span.end


@pytest.mark.parametrize(("window", "day"), [("yesterday", ""), ("this-week", ""),
                                            ("date", "2026-10-25")])  # fmt: skip
def test_a_window_of_the_calendar_is_the_span_that_the_commands_take(window: str, day: str) -> None:
    named = day or window
    span = windows.span_of(window, day, "1h", NOW, BERLIN)
    assert span == parse_span(named, named, NOW, BERLIN)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_day_on_which_the_clock_is_changed_is_as_long_as_it_was(day: str, hours: int) -> None:
    span = windows.span_of("date", day, "1h", NOW, BERLIN)
    assert span.length == hours * HOUR
    assert len(steps(span, HOUR, BERLIN)) == hours


def test_a_day_that_lies_ahead_is_refused() -> None:
    with pytest.raises(ConfigError, match="lies ahead"):
        windows.span_of("date", "2026-11-28", "1h", NOW, BERLIN)


def test_this_week_is_beside_the_same_part_of_the_last() -> None:
    span = windows.span_of("this-week", "", "1h", NOW, BERLIN)
    before = windows.span_before(span, "this-week", BERLIN)
    assert (before.start, before.end) == (span.start - 7 * 24 * HOUR, NOW - 7 * 24 * HOUR)


def test_the_day_before_a_changed_clock_is_a_day_by_that_clock() -> None:
    span = windows.span_of("date", "2026-10-26", "1h", NOW, BERLIN)
    before = windows.span_before(span, "date", BERLIN)
    assert before == parse_span("2026-10-25", "2026-10-25", NOW, BERLIN)
    assert before.length == 25 * HOUR


def test_a_day_of_which_no_minutes_are_kept_is_shown_by_the_hour() -> None:
    assert windows.buckets_of("date", "2026-11-25", NOW) == ("10m", "1h")
    assert windows.buckets_of("date", "2026-11-01", NOW) == ("1h",)


@pytest.mark.parametrize("zone", [BERLIN, KOLKATA, ZoneInfo("Asia/Kathmandu")])
def test_hours_are_sorted_into_days_by_the_clock_of_the_zone(zone: ZoneInfo) -> None:
    spans = windows.heat_hours(NOW, zone)
    hours = [seen(span.start) for span in spans]
    heat = windows.by_day_and_hour(spans, hours, zone)
    assert len(heat.days) == windows.HEAT_DAYS
    assert [cell[:2] for cell in heat.cells[:24]] == [(hour, 0) for hour in range(24)]
    assert heat.days[-1] == f"{NOW.astimezone(zone):%a %d %b}"


@pytest.mark.parametrize(
    ("zone", "message"),
    [(BERLIN, ""), (KOLKATA, "begin at :30 are kept"),
     (ZoneInfo("Asia/Kathmandu"), "begin at :45 are kept")],
)  # fmt: skip
def test_hours_that_begin_elsewhere_than_the_clocks_are_told(zone: ZoneInfo, message: str) -> None:
    spans = windows.heat_hours(NOW, zone)
    kept = [datetime.fromtimestamp(nearest(span.start, 3_600), UTC) for span in spans]
    sentence = windows.moved_hours(spans, [seen(start) for start in kept], zone)
    assert message in sentence
    assert bool(message) is bool(sentence)


def test_an_hour_that_the_clock_shows_twice_is_one_cell_of_both() -> None:
    now = datetime(2026, 10, 26, 12, tzinfo=UTC)
    spans = windows.heat_hours(now, BERLIN)
    twice = [span for span in spans if span.length == 2 * HOUR]
    assert [span.start.astimezone(BERLIN).hour for span in twice] == [2]
    cells = windows.by_day_and_hour(spans, [seen(span.start) for span in spans], BERLIN).cells
    assert len({cell[:2] for cell in cells}) == len(cells)


def test_hours_that_nobody_observed_are_left_out() -> None:
    spans = windows.heat_hours(NOW, BERLIN)
    empty = room_period("den", {}, 0.0, 3_600.0, 3_600.0)
    assert windows.by_day_and_hour(spans, [empty] * len(spans), BERLIN).cells == ()


def test_times_are_told_by_the_clock_of_the_zone() -> None:
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    assert windows.labels([seen(noon)], "1h", KOLKATA) == ["17:30"]
    span = parse_span("2026-11-24", "2026-11-24", NOW, BERLIN)
    assert windows.between(span, BERLIN) == "Tue 24 Nov 2026 00:00 to Wed 25 Nov 00:00"


def test_the_browsers_zone_holds_unless_the_page_was_told_another() -> None:
    servers, chosen = zones.zone_at_first(None), zones.zone_at_first("Europe/Berlin")
    assert zones.zone_for(servers, "Asia/Kolkata").name == "Asia/Kolkata"
    assert zones.zone_for(chosen, "Asia/Kolkata").name == "Europe/Berlin"
    assert zones.zone_for(servers, "Moon/Crater") is servers
    assert zones.zone_for(servers, None) is servers


@pytest.mark.parametrize(
    ("window", "bucket", "shown_by"),
    [("hour", "10s", "10s"), ("day", "10m", "10m"), ("week", "10m", "1h"), ("week", "1d", "1d"),
     ("year", "1d", "")],
)  # fmt: skip
def test_what_is_compared_is_shown_by_what_is_kept_of_it(
    window: str, bucket: str, shown_by: str
) -> None:
    span = windows.span_of(window, "", bucket, NOW, BERLIN)
    before = windows.span_before(span, window, BERLIN)
    assert windows.bucket_before(bucket, before, NOW) == shown_by


@pytest.mark.parametrize("second", range(0, 60, 5))
def test_a_week_by_ten_minutes_is_read_of_minutes_at_any_second(second: int) -> None:
    now = NOW.replace(minute=30, second=second)
    rows = list(steps(windows.span_of("week", "", "10m", now, BERLIN), 10 * MINUTE, BERLIN))
    assert resolution_for_spans(rows, now.timestamp() + 8).name == "1m"


def test_rows_shorter_than_what_is_kept_are_refused_and_no_whole_hours_in_their_place() -> None:
    start = NOW.replace(minute=0, second=0) - timedelta(days=10)
    rows = [Span(start + n * 10 * MINUTE, start + (n + 1) * 10 * MINUTE) for n in range(12)]
    with pytest.raises(ConfigError, match="rows of 10m are not kept for so long"):
        resolution_for_spans(rows, NOW.timestamp())
