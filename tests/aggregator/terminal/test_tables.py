"""What a terminal of 80 columns shows of a room's past."""

import io
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from roommood.aggregator.stats.figures import RoomPeriod, room_period
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.terminal.tables import headline, history_table, live_line


def period(start: datetime, frames: int = 12_345) -> RoomPeriod:
    """Ten minutes of one happy face."""
    begin, seen_us = start.timestamp(), 600_000_000
    counters = {
        "frames:door": frames, "observed_us:door": seen_us, "face_us:door": seen_us,
        "us:net:large:happiness": seen_us, "label_us:net:large:happiness": seen_us,
    }  # fmt: skip
    return room_period("kitchen", counters, begin, begin + 600, begin + 600)


def rows(*starts: datetime) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as drawn:
        console.print(history_table([period(start) for start in starts], ZoneInfo("Etc/UTC")))
    return [line for line in drawn.get().splitlines() if line.startswith("│")]


def test_a_row_of_the_same_day_is_one_line() -> None:
    first = datetime(2026, 3, 2, 14, 10, tzinfo=UTC)
    shown = rows(first, first.replace(minute=20))
    assert [line.split()[1] for line in shown] == ["14:10", "14:20"]
    assert all("happiness 100 %" in line for line in shown)
    assert rows(first.replace(second=10))[0].split()[1] == "14:10:10"


def test_rows_of_several_days_have_their_day() -> None:
    shown = rows(datetime(2026, 3, 2, 23, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
    assert ["2026-03-02" in "".join(shown), "2026-03-03" in "".join(shown)] == [True, True]


@pytest.mark.parametrize(("frames", "text"), [(1, " 1 frame,"), (2, " 2 frames,")])
def test_one_frame_is_one(frames: int, text: str) -> None:
    assert text in headline(period(datetime(2026, 3, 2, tzinfo=UTC), frames))


def test_what_leads_but_not_yet_by_enough_is_told_as_that() -> None:
    """The dominant expression is held, so that it does not flicker."""
    now, shares = datetime(2026, 3, 2, tzinfo=UTC), {"neutral": 0.42, "happiness": 0.5}

    def line(dominant: str) -> str:
        return live_line(RoomNow("kitchen", 1.0, shares, dominant, updated=now, age_s=0.1))

    assert "most: neutral, turning to happiness (happiness 50 %, neutral 42 %)" in line("neutral")
    assert "most: happiness (happiness 50 %, neutral 42 %)" in line("happiness")
