"""What wants a person's eye stands first, and what is looked for is found."""

from datetime import UTC, datetime

import pytest

from roommood.aggregator.dashboard.order import Wanted, groups_of, ordered
from roommood.aggregator.dashboard.snapshot import Room
from roommood.aggregator.dashboard.sparkline import sparkline
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import KnownRoom


def room(name: str, group: str = "", silent: bool = False, paused: bool = False) -> Room:
    known = KnownRoom(name, datetime(2026, 11, 26, tzinfo=UTC), paused, group)
    return Room(known, RoomNow(name, age_s=None if silent else 0.5))


ROOMS = [
    room("attic", "second floor"),
    room("cellar", silent=True),
    room("den", "first floor"),
    room("hall", "first floor"),
    room("porch", silent=True, paused=True),
]


def names(filters: Wanted, *troubled: str) -> list[str]:
    return [room.name for room in ordered(ROOMS, set(troubled), filters)]


def test_what_is_wrong_is_first_then_what_is_silent_though_it_is_not_paused() -> None:
    assert names(Wanted(), "hall") == ["hall", "cellar", "den", "attic", "porch"]


@pytest.mark.parametrize(
    ("filters", "rooms"),
    [
        (Wanted("EN"), ["den"]),
        (Wanted(" floor "), ["den", "hall", "attic"]),
        (Wanted("", "first floor"), ["den", "hall"]),
        (Wanted("hall", "second floor"), []),
    ],
)
def test_a_room_is_found_by_part_of_its_name_or_its_group(
    filters: Wanted, rooms: list[str]
) -> None:
    assert names(filters) == rooms


def test_groups_are_those_that_rooms_are_in() -> None:
    assert groups_of(ROOMS) == ["first floor", "second floor"]


def test_a_trend_has_a_gap_where_nothing_is_known_and_escapes_what_it_is_called() -> None:
    line = sparkline([1.0, 2.0, None, 0.0], '"<b>')
    assert line.count("M") == 2
    assert "<b>" not in line
    assert sparkline([None, None], "nothing") == ""
